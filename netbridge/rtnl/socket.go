package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"compose/internal/fault"
)

// Socket is a NETLINK_ROUTE socket. It stays bound to the network namespace of
// the thread that opened it and may be used from any goroutine afterwards.
type Socket struct {
	fd  int
	mu  sync.Mutex
	buf []byte
}

// Open opens a socket in the calling thread's network namespace.
func Open() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind a netlink socket: %w", err)
	}
	// Short acknowledgements: the kernel need not send each request back.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	// Dumps honour the filters of their request.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return &Socket{fd: fd, buf: make([]byte, 32<<10)}, nil
}

// Close closes the socket. It is safe to call on nil and twice.
func (s *Socket) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

var sequence atomic.Uint32

// Do sends the batch in one write and returns one result a message, in order.
// err is set only where the conversation itself failed.
func (s *Socket) Do(b *Batch) (results []error, err error) {
	if b.Len() == 0 {
		return nil, nil
	}
	b.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	first := sequence.Add(uint32(b.Len())) - uint32(b.Len()) + 1
	for i, at := range b.start {
		binary.NativeEndian.PutUint32(b.buf[at+8:], first+uint32(i))
	}
	fault.Point("rtnl: before a batch")
	defer fault.Point("rtnl: after a batch")
	if err := s.send(b.buf); err != nil {
		return nil, err
	}
	results = make([]error, b.Len())
	for left := b.Len(); left > 0; {
		if err := s.receive(func(kind uint16, seq uint32, body []byte) error {
			i := int(seq - first)
			if kind != unix.NLMSG_ERROR || i < 0 || i >= len(results) {
				return nil
			}
			left--
			code := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
			if code != 0 && !(code == unix.EAFNOSUPPORT && slices.Contains(b.optional, i)) {
				results[i] = code
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// Run is Do for a batch of which every message must succeed.
func (s *Socket) Run(b *Batch) error {
	results, err := s.Do(b)
	return errors.Join(err, errors.Join(results...))
}

// errStop ends a dump early.
var errDone = errors.New("end of dump")

// dump sends one request and hands every message of the answer to fn.
func (s *Socket) dump(kind uint16, body []byte, attrs func(*Batch), fn func(body []byte)) error {
	b := new(Batch)
	b.message(kind, unix.NLM_F_DUMP, body)
	if attrs != nil {
		attrs(b)
	}
	b.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := sequence.Add(1)
	binary.NativeEndian.PutUint32(b.buf[8:], want)
	if err := s.send(b.buf); err != nil {
		return err
	}
	for {
		err := s.receive(func(kind uint16, seq uint32, body []byte) error {
			switch {
			case seq != want:
			case kind == unix.NLMSG_DONE:
				return errDone
			case kind == unix.NLMSG_ERROR:
				if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
					return unix.Errno(-code)
				}
			default:
				fn(body)
			}
			return nil
		})
		if err == errDone {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *Socket) send(data []byte) error {
	for {
		err := unix.Sendto(s.fd, data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if err != unix.EINTR {
			if err != nil {
				return fmt.Errorf("write to netlink: %w", err)
			}
			return nil
		}
	}
}

// receive reads one datagram and hands on the messages in it.
func (s *Socket) receive(fn func(kind uint16, seq uint32, body []byte) error) error {
	n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read from netlink: %w", err)
	}
	for msg := s.buf[:n]; len(msg) >= unix.SizeofNlMsghdr; {
		size := int(binary.NativeEndian.Uint32(msg))
		if size < unix.SizeofNlMsghdr || size > len(msg) {
			return errors.New("read from netlink: malformed message")
		}
		kind, seq := binary.NativeEndian.Uint16(msg[4:]), binary.NativeEndian.Uint32(msg[8:])
		if err := fn(kind, seq, msg[unix.SizeofNlMsghdr:size]); err != nil {
			return err
		}
		msg = msg[min((size+3)&^3, len(msg)):]
	}
	return nil
}
