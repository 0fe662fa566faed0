package logs

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/fault"
)

// batchSize is how much is written to the file in one go, about.
const batchSize = 128 << 10

// stream is one output of the container on its way into the log.
//
// Whoever reads a pipe and dies has lost what it read. So the bytes first move
// into a pipe of ours, the stage, where the container does not change them and
// another process holds them too. They are looked at there, written to the
// log, and only then dropped; the journal knows how far that has come.
type stream struct {
	name  string
	index int
	stage *os.File // both ends in one; nil until there is output
	last  step
	rest  []byte // the beginning of a line whose end has not come
}

// Names under which the files are stored.
const journalName = "journal"

// recover finishes the steps that a Writer which died has left half made, of
// both streams before either goes on: they share the file.
func (w *Writer) recover() error {
	f := w.keep.Left[journalName]
	if f == nil {
		return nil
	}
	w.journal = &journal{f: f}
	for _, s := range w.streams {
		if s.stage = w.keep.Left[s.name]; s.stage == nil {
			continue
		}
		before, last, err := w.journal.last(s.index)
		if err != nil {
			return err
		}
		s.last, s.rest = last, last.rest
		if last.seq == 0 || last.done {
			continue
		}
		if err := w.redo(s, before.rest); err != nil {
			return err
		}
	}
	return nil
}

// redo makes the rest of the stream's last step.
func (w *Writer) redo(s *stream, rest []byte) error {
	b, err := takeBench()
	if err != nil {
		return err
	}
	defer b.discard()
	staged, err := s.staged()
	if err != nil {
		return err
	}
	dropped := s.last.staged - staged
	if dropped == 0 { // perhaps it was not even written
		b.in = append(b.in, rest...)
		if s.last.taken > 0 {
			if err := b.peek(s.fd()); err != nil {
				return err
			}
		}
		taken := b.in[:min(len(b.in), len(rest)+s.last.taken)]
		out := appendAll(nil, taken[:len(taken)-min(len(taken), len(s.last.rest))], s.name, s.last.at)
		written := min(max(w.size-s.last.from, 0), int64(len(out)))
		if w.size < s.last.to {
			w.write(out[written:])
		}
	}
	if err := b.drop(s.fd(), s.last.taken-dropped); err != nil {
		return err
	}
	return w.journal.end(s.index, &s.last)
}

func (s *stream) fd() int { return int(s.stage.Fd()) }

// staged is how many bytes are in the stage.
func (s *stream) staged() (int, error) {
	return unix.IoctlGetInt(s.fd(), unix.TIOCINQ) // the same number as FIONREAD
}

// Copy logs the lines of a stream, "stdout" or "stderr", to its end. from is a
// pipe or a terminal that does not block. What is logged is also handed to
// tee, as it came; it may not be kept.
func (w *Writer) Copy(from *os.File, name string, tee func([]byte)) error {
	s := w.streams[0]
	if name == w.streams[1].name {
		s = w.streams[1]
	}
	raw, err := from.SyscallConn()
	if err != nil {
		return err
	}
	if s.stage != nil { // the last Writer got no further
		if err := w.log(s, tee, false); err != nil {
			return err
		}
	}
	for {
		more, err := w.fill(s, raw)
		if err != nil {
			return err
		}
		fault.Point("logs: output taken")
		if err := w.log(s, tee, !more); err != nil || !more {
			return err
		}
	}
}

// fill waits for output and moves it to the stage, which is empty. It returns
// false at the stream's end.
func (w *Writer) fill(s *stream, raw syscall.RawConn) (more bool, err error) {
	var n int64
	waitErr := raw.Read(func(from uintptr) bool {
		if s.stage == nil { // one that stays silent costs nothing
			var ready bool
			if ready, more = readable(int(from)); !ready || !more {
				return ready
			}
			if err = w.openStage(s); err != nil {
				return true
			}
		}
		n, err = again(func() (int64, error) {
			return unix.Splice(int(from), nil, s.fd(), nil, pipeSize, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		})
		more = n > 0
		return err != unix.EAGAIN
	})
	switch {
	case waitErr != nil:
		return false, fmt.Errorf("wait for output: %w", waitErr)
	case err == unix.EIO:
		return false, nil // a terminal's end, when the last that had it open is gone
	case err != nil:
		return false, fmt.Errorf("read the output: %w", err)
	}
	return more, nil
}

// readable says whether there is something to read, and whether that is more
// than the end.
func readable(fd int) (ready, more bool) {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := again(func() (int64, error) {
		n, err := unix.Poll(p, 0)
		return int64(n), err
	})
	return err != nil || n > 0, p[0].Revents&unix.POLLIN != 0
}

// openStage makes a stream's stage, and the journal before it.
func (w *Writer) openStage(s *stream) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.journal == nil {
		j, err := newJournal()
		if err != nil {
			return err
		}
		w.journal = j
		w.store(journalName, j.f)
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	// Blocking, lest the poller wakes us for what we do ourselves.
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fds[1]), unix.O_RDWR|unix.O_CLOEXEC, 0)
	unix.Close(fds[0])
	unix.Close(fds[1])
	if err != nil {
		return &fs.PathError{Op: "open", Path: "pipe", Err: err}
	}
	s.stage = os.NewFile(uintptr(fd), s.name)
	w.store(s.name, s.stage)
	return nil
}

// log takes what is in the stage into the log, and at the stream's end also
// the beginning of a line that will have no end.
func (w *Writer) log(s *stream, tee func([]byte), end bool) error {
	if s.stage == nil {
		return nil
	}
	b, err := takeBench()
	if err != nil {
		return err
	}
	for {
		staged, err := s.staged()
		if err == nil && staged == 0 && (!end || len(s.rest) == 0) {
			b.giveBack()
			return nil
		}
		if err == nil {
			b.in = append(b.in[:0], s.rest...)
			if staged > 0 {
				err = b.peek(s.fd())
			}
		}
		rest := len(s.rest)
		if err == nil {
			err = w.steps(s, b, staged, rest, end && staged == len(b.in)-rest)
		}
		if err != nil {
			b.discard()
			return err
		}
		if len(b.in) > rest {
			tee(b.in[rest:])
		}
	}
}

// steps logs b.in: the rest that the stream had, and what was peeked after it.
func (w *Writer) steps(s *stream, b *bench, staged, rest int, end bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for pos := 0; ; {
		next, upTo := w.cut(s, b, pos, rest, end)
		next.staged = staged
		if err := w.make(s, b, &next); err != nil {
			return err
		}
		staged -= next.taken
		if upTo+len(next.rest) == len(b.in) {
			return nil
		}
		pos = upTo
	}
}

// cut puts what one step adds to the file into b.out: entries from b.in[pos:].
// It returns the step, and where in b.in its entries end.
func (w *Writer) cut(s *stream, b *bench, pos, rest int, end bool) (next step, upTo int) {
	next = step{seq: s.last.seq + 1, at: time.Now().UTC().Round(0)}
	began := max(pos, rest)
	b.out = b.out[:0]
	for len(b.out) == 0 || len(b.out) < batchSize && !w.full(len(b.out)) {
		n := nextEntry(b.in[pos:])
		if n == 0 && end {
			n = len(b.in) - pos
		}
		if n == 0 { // nothing more can be cut off
			next.rest = b.in[pos:]
			next.taken = len(b.in) - began
			return next, pos
		}
		b.out = appendEntry(b.out, b.in[pos:pos+n], s.name, next.at)
		pos += n
	}
	next.rest = b.in[pos:max(pos, rest)]
	next.taken = max(pos, rest) - began
	return next, pos
}

// make carries a step out.
func (w *Writer) make(s *stream, b *bench, next *step) error {
	info, err := w.f.Stat() // somebody may have emptied it by hand
	if err != nil {
		return err
	}
	w.size = info.Size()
	next.from, next.to = w.size, w.size+int64(len(b.out))
	if err := w.journal.begin(s.index, next); err != nil {
		return fmt.Errorf("keep the journal: %w", err)
	}
	fault.Point("logs: step begun")
	if len(b.out) > 0 {
		w.write(b.out)
	}
	fault.Point("logs: step written")
	if err := b.drop(s.fd(), next.taken); err != nil {
		return err
	}
	fault.Point("logs: step dropped")
	if err := w.journal.end(s.index, next); err != nil {
		return fmt.Errorf("keep the journal: %w", err)
	}
	s.rest = append(s.rest[:0], next.rest...)
	s.last = *next
	s.last.rest = nil
	fault.Point("logs: step ended")
	if w.full(0) {
		return w.rotate()
	}
	return nil
}
