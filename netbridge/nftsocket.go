package netbridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// nftSocket is a connection to the nftables of a network namespace: that of the
// thread that opened it.
type nftSocket struct {
	fd  int
	buf []byte
}

func openNft() (*nftSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return &nftSocket{fd: fd, buf: make([]byte, 1<<10)}, nil
}

func (s *nftSocket) close() { unix.Close(s.fd) }

// commit carries a transaction out: all of it, or nothing and the error is the
// first. After an error there may be answers that nobody has read.
func (s *nftSocket) commit(t nftTransaction) error {
	if err := s.send(t.bytes); err != nil {
		return err
	}
	for done := false; !done; {
		err := s.receive(func(kind uint16, seq uint32, body []byte) error {
			done = done || seq == t.answered
			return answerError(kind, body) // what fails is answered, too, also where nobody asked
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hasTable asks whether there is a table.
func (s *nftSocket) hasTable(family nftables.TableFamily, name string) (bool, error) {
	var b nftBatch
	b.message(nftType(unix.NFT_MSG_GETTABLE), 0, byte(family), 0)
	b.text(unix.NFTA_TABLE_NAME, name)
	b.close()
	if err := s.send(b.buf); err != nil {
		return false, err
	}
	err := s.receive(func(kind uint16, _ uint32, body []byte) error {
		if kind == nftType(unix.NFT_MSG_NEWTABLE) {
			return nil
		}
		return answerError(kind, body)
	})
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// dump asks for all objects of a kind, of a table and chain unless "", and hands
// them on by their family and attributes. The answers' kind of message is that
// of making such an object.
func (s *nftSocket) dump(get uint16, family byte, table, chain string, each func(family byte, attrs map[uint16][]byte)) error {
	var b nftBatch
	b.message(nftType(get), unix.NLM_F_DUMP, family, 0)
	if table != "" {
		b.text(unix.NFTA_RULE_TABLE, table)
		b.text(unix.NFTA_RULE_CHAIN, chain)
	}
	b.close()
	if err := s.send(b.buf); err != nil {
		return err
	}
	if len(s.buf) < dumpSize {
		s.buf = make([]byte, dumpSize)
	}
	for done := false; !done; {
		err := s.receive(func(kind uint16, _ uint32, body []byte) error {
			switch kind {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				return answerError(kind, body)
			default:
				if len(body) >= sizeofNfgenmsg {
					each(body[0], attributes(body[sizeofNfgenmsg:]))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	dumpSize       = 32 << 10 // the largest that the kernel answers at once
	sizeofNfgenmsg = 4        // family, version, resource
)

func (s *nftSocket) send(data []byte) error {
	if err := unix.Sendto(s.fd, data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("write to nftables: %w", err)
	}
	return nil
}

var errNftMalformed = errors.New("read from nftables: malformed answer")

// receive reads one datagram and hands on the messages in it.
func (s *nftSocket) receive(each func(kind uint16, seq uint32, body []byte) error) error {
	n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read from nftables: %w", err)
	}
	for rest := s.buf[:n]; len(rest) > 0; {
		if len(rest) < unix.SizeofNlMsghdr {
			return errNftMalformed
		}
		size := int(binary.NativeEndian.Uint32(rest))
		if size < unix.SizeofNlMsghdr || size > len(rest) {
			return errNftMalformed
		}
		if err := each(binary.NativeEndian.Uint16(rest[4:]), binary.NativeEndian.Uint32(rest[8:]), rest[unix.SizeofNlMsghdr:size]); err != nil {
			return err
		}
		rest = rest[min((size+3)&^3, len(rest)):]
	}
	return nil
}

// answerError is the error in an answer, nil for success.
func answerError(kind uint16, body []byte) error {
	if kind != unix.NLMSG_ERROR || len(body) < 4 {
		return errNftMalformed
	}
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// attributes takes a run of attributes apart, by kind.
func attributes(data []byte) map[uint16][]byte {
	all := map[uint16][]byte{}
	for len(data) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(data))
		if size < unix.SizeofRtAttr || size > len(data) {
			break
		}
		all[binary.NativeEndian.Uint16(data[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)] = data[unix.SizeofRtAttr:size]
		data = data[min((size+3)&^3, len(data)):]
	}
	return all
}

func attrText(data []byte) string { return strings.TrimRight(string(data), "\x00") }

func attrNumber(data []byte) (n uint32, ok bool) {
	if len(data) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(data), true
}

// chains are those of all tables.
func (s *nftSocket) chains() (list []*nftables.Chain, err error) {
	err = s.dump(unix.NFT_MSG_GETCHAIN, unix.NFPROTO_UNSPEC, "", "", func(family byte, attrs map[uint16][]byte) {
		c := &nftables.Chain{
			Name: attrText(attrs[unix.NFTA_CHAIN_NAME]), Type: nftables.ChainType(attrText(attrs[unix.NFTA_CHAIN_TYPE])),
			Table: &nftables.Table{Name: attrText(attrs[unix.NFTA_CHAIN_TABLE]), Family: nftables.TableFamily(family)},
		}
		if n, ok := attrNumber(attributes(attrs[unix.NFTA_CHAIN_HOOK])[unix.NFTA_HOOK_HOOKNUM]); ok {
			c.Hooknum = nftables.ChainHookRef(nftables.ChainHook(n))
		}
		if n, ok := attrNumber(attrs[unix.NFTA_CHAIN_POLICY]); ok {
			policy := nftables.ChainPolicy(n)
			c.Policy = &policy
		}
		list = append(list, c)
	})
	return list, err
}

// rules are those of a chain, with what tells and finds them: what they say is
// left out.
func (s *nftSocket) rules(c *nftables.Chain) (list []*nftables.Rule, err error) {
	err = s.dump(unix.NFT_MSG_GETRULE, byte(c.Table.Family), c.Table.Name, c.Name, func(_ byte, attrs map[uint16][]byte) {
		r := &nftables.Rule{Table: c.Table, Chain: c, UserData: append([]byte(nil), attrs[unix.NFTA_RULE_USERDATA]...)}
		if handle := attrs[unix.NFTA_RULE_HANDLE]; len(handle) == 8 {
			r.Handle = binary.BigEndian.Uint64(handle)
		}
		list = append(list, r)
	})
	return list, err
}
