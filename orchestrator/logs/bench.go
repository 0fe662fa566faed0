package logs

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// pipeSize is that of a pipe, unless somebody changes it.
const pipeSize = 64 << 10

// bench is what is needed to work on a stream's bytes for a moment. There are
// few, however many containers there are.
type bench struct {
	scratch [2]int // a pipe: the way to look at another pipe's bytes
	null    int
	in, out []byte
}

var benches = make(chan *bench, runtime.GOMAXPROCS(0))

func takeBench() (*bench, error) {
	select {
	case b := <-benches:
		b.in, b.out = b.in[:0], b.out[:0]
		return b, nil
	default:
	}
	b := &bench{in: make([]byte, 0, pipeSize+MaxPiece)}
	if err := unix.Pipe2(b.scratch[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	var err error
	if b.null, err = unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
		unix.Close(b.scratch[0])
		unix.Close(b.scratch[1])
		return nil, err
	}
	return b, nil
}

// giveBack lets others use the bench; it must be clean, with nothing in its pipe.
func (b *bench) giveBack() {
	select {
	case benches <- b:
	default:
		b.discard()
	}
}

func (b *bench) discard() {
	unix.Close(b.scratch[0])
	unix.Close(b.scratch[1])
	unix.Close(b.null)
}

// peek appends what is in the pipe to b.in and leaves it there. It may see
// less than there is.
func (b *bench) peek(pipe int) error {
	n, err := again(func() (int64, error) {
		return unix.Tee(pipe, b.scratch[1], pipeSize, unix.SPLICE_F_NONBLOCK)
	})
	if err != nil {
		return fmt.Errorf("look at the output: %w", err)
	}
	for n > 0 {
		start := len(b.in)
		b.in = append(b.in, make([]byte, n)...)
		got, err := again(func() (int64, error) {
			n, err := unix.Read(b.scratch[0], b.in[start:])
			return int64(n), err
		})
		if err != nil {
			return fmt.Errorf("look at the output: %w", err)
		}
		b.in = b.in[:start+int(got)]
		n -= got
	}
	return nil
}

// drop takes n bytes out of the pipe.
func (b *bench) drop(pipe, n int) error {
	for n > 0 {
		got, err := again(func() (int64, error) {
			return unix.Splice(pipe, nil, b.null, nil, n, unix.SPLICE_F_NONBLOCK)
		})
		if err != nil {
			return fmt.Errorf("drop what was logged: %w", err)
		}
		n -= int(got)
	}
	return nil
}

// again repeats a system call that a signal has interrupted.
func again(call func() (int64, error)) (int64, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
