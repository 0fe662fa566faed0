package logs

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A step takes bytes from a stream's stage into the log: the file grows from
// one size to another, and then the bytes leave the stage. The journal says
// what a step was going to do before it does it, so that a process that finds
// it half done can do the rest, in the same bytes and no other.
type step struct {
	seq      uint64
	from, to int64 // sizes of the log before and after
	at       time.Time
	staged   int    // bytes in the stage before
	taken    int    // bytes that leave it
	rest     []byte // the beginning of a line whose end has not come, after
	done     bool
}

// journal is a file in memory with two steps of each stream, written in turn:
// the one before the last tells with which rest the last one began.
type journal struct{ f *os.File }

const (
	stepHead   = 64 // bytes
	restsStart = 4096
	doneAt     = 44 // of a step's head
)

func newJournal() (*journal, error) {
	fd, err := unix.MemfdCreate("log-journal", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make the journal: %w", err)
	}
	return &journal{f: os.NewFile(uintptr(fd), "journal")}, nil
}

func slotOf(stream int, seq uint64) int64 { return int64(stream)*2 + int64(seq%2) }

// begin notes a step that is about to be made.
func (j *journal) begin(stream int, s *step) error {
	slot := slotOf(stream, s.seq)
	if len(s.rest) > 0 {
		if _, err := j.f.WriteAt(s.rest, restsStart+slot*MaxPiece); err != nil {
			return err
		}
	}
	var head [stepHead]byte
	le := binary.LittleEndian
	le.PutUint64(head[0:], s.seq)
	le.PutUint64(head[8:], uint64(s.from))
	le.PutUint64(head[16:], uint64(s.to))
	le.PutUint64(head[24:], uint64(s.at.UnixNano()))
	le.PutUint32(head[32:], uint32(s.staged))
	le.PutUint32(head[36:], uint32(s.taken))
	le.PutUint32(head[40:], uint32(len(s.rest)))
	_, err := j.f.WriteAt(head[:], slot*stepHead)
	return err
}

// end notes that a step has been made.
func (j *journal) end(stream int, s *step) error {
	_, err := j.f.WriteAt([]byte{1}, slotOf(stream, s.seq)*stepHead+doneAt)
	return err
}

// last are the last two steps of a stream; zero steps where there were none.
func (j *journal) last(stream int) (before, last step, err error) {
	for seq := range uint64(2) {
		s, err := j.read(slotOf(stream, seq))
		if err != nil {
			return before, last, err
		}
		if s.seq >= last.seq {
			before, last = last, s
		} else {
			before = s
		}
	}
	return before, last, nil
}

func (j *journal) read(slot int64) (s step, err error) {
	var head [stepHead]byte
	if n, err := j.f.ReadAt(head[:], slot*stepHead); n < stepHead {
		if n == 0 {
			return s, nil // never written
		}
		return s, err
	}
	le := binary.LittleEndian
	s = step{
		seq: le.Uint64(head[0:]), from: int64(le.Uint64(head[8:])), to: int64(le.Uint64(head[16:])),
		at: time.Unix(0, int64(le.Uint64(head[24:]))).UTC(), staged: int(le.Uint32(head[32:])), taken: int(le.Uint32(head[36:])),
		done: head[doneAt] == 1,
	}
	if n := le.Uint32(head[40:]); n > 0 && n <= MaxPiece {
		s.rest = make([]byte, n)
		_, err = j.f.ReadAt(s.rest, restsStart+slot*MaxPiece)
	}
	return s, err
}
