package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
	"time"
)

// Options say which entries are wanted.
type Options struct {
	Tail         int // the last so many; negative: all
	Since, Until time.Time
	// Follow goes on with what is still to come until the context is done or
	// the file's directory is removed.
	Follow bool
	// Sync is for Follow: the reader reads what has been written by now and
	// then calls the function it received; one that returns false ends it.
	Sync <-chan func() bool
	// Idle, if set, is called whenever there is nothing more to read for now.
	Idle func()
}

// Read calls emit for each entry of the log at path and its rotated
// predecessors, oldest first. A file that does not exist is an empty one. A
// line that cannot be understood, as a power loss may leave one, is skipped.
func Read(ctx context.Context, path string, opts Options, emit func(Entry)) error {
	r := &reader{path: path, opts: opts, emit: emit}
	defer r.close()
	var changes *subscription
	if opts.Follow {
		var err error
		if changes, err = subscribe(path); err != nil {
			return err
		}
		defer changes.close()
	}
	if err := r.begin(); err != nil {
		return err
	}
	for {
		if err := r.drain(ctx); err != nil || r.done {
			return err
		}
		if opts.Idle != nil {
			opts.Idle()
		}
		if !opts.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-changes.c:
			if !ok { // the directory is gone; what we have open can still be read
				return r.drain(ctx)
			}
		case fn := <-opts.Sync:
			if err := r.drain(ctx); err != nil {
				return err
			}
			if !fn() {
				return nil
			}
		}
	}
}

type reader struct {
	path string
	opts Options
	emit func(Entry)

	f    *os.File
	buf  *bufio.Reader
	part []byte // a line whose end has not been written yet
	done bool   // past Until
}

func (r *reader) close() {
	if r.f != nil {
		r.f.Close()
	}
}

// generation is the n-th file of the log: 0 is the one being written.
func (r *reader) generation(n int) string {
	if n == 0 {
		return r.path
	}
	return fmt.Sprintf("%s.%d", r.path, n)
}

// generations are the numbers of the files there are, in order. A rotation
// that is under way, or that was cut short, leaves a gap.
func (r *reader) generations() []int {
	var found []int
	for n, misses := 0, 0; misses < 2; n++ {
		if _, err := os.Lstat(r.generation(n)); err != nil {
			misses++
			continue
		}
		found, misses = append(found, n), 0
	}
	return found
}

// begin opens the file and finds the place that Tail asks for.
func (r *reader) begin() error {
	files := r.generations()
	if len(files) == 0 {
		return nil
	}
	if r.opts.Tail < 0 {
		return r.open(files[len(files)-1], 0)
	}
	want := r.opts.Tail
	for i, n := range files {
		offset, found, err := tailOffset(r.generation(n), want)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if want -= found; want <= 0 || i == len(files)-1 {
			return r.open(n, offset)
		}
	}
	return nil
}

// open goes on with the n-th file, if it is there.
func (r *reader) open(n int, offset int64) error {
	f, err := os.Open(r.generation(n))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return err
	}
	r.use(f)
	return nil
}

func (r *reader) use(f *os.File) {
	r.close()
	r.f, r.part = f, nil
	if r.buf == nil {
		r.buf = bufio.NewReaderSize(f, 64<<10)
	} else {
		r.buf.Reset(f)
	}
}

// drain reads all that has been written by now, through every rotation.
func (r *reader) drain(ctx context.Context) error {
	for {
		if r.f != nil {
			if err := r.lines(ctx); err != nil || r.done {
				return err
			}
		}
		next, err := r.next()
		if err != nil {
			return err
		}
		if next == nil {
			if at, _ := r.place(); r.f != nil && at == math.MaxInt {
				// It was removed. As long as we have it open the kernel does not
				// tell of the removal of its directory.
				r.f.Close()
				r.f = nil
			}
			return nil
		}
		if r.f != nil {
			// What was written just before it was rotated away is there by now.
			if err := r.lines(ctx); err != nil || r.done {
				next.Close()
				return err
			}
		}
		r.use(next)
	}
}

// next opens the file that comes after the open one; nil where that is the
// one being written. Files may be renamed meanwhile: numbers only grow, so one
// that is the same before and after was the same in between.
func (r *reader) next() (*os.File, error) {
	for {
		at, successor := r.place()
		if successor < 0 {
			return nil, nil
		}
		f, err := os.Open(r.generation(successor))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if again, same := r.place(); again == at && same == successor {
			return f, nil
		}
		f.Close()
	}
}

// place is the number of the open file, past all others if it is there no
// more, and the number of the file that comes after it, or -1.
func (r *reader) place() (at, successor int) {
	for try := 0; ; try++ {
		var ours os.FileInfo
		if r.f != nil {
			ours, _ = r.f.Stat() // of an open file it does not fail
		}
		successor = -1
		for _, n := range r.generations() {
			info, err := os.Stat(r.generation(n))
			if err == nil && ours != nil && os.SameFile(ours, info) {
				return n, successor
			}
			successor = n
		}
		// One that is still somewhere is being renamed, or was moved away by hand.
		if ours == nil || ours.Sys().(*syscall.Stat_t).Nlink == 0 || try == 1000 {
			return math.MaxInt, successor
		}
	}
}

func (r *reader) lines(ctx context.Context) error {
	for count := 0; ; count++ {
		if count%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := r.buf.ReadSlice('\n')
		if err != nil {
			r.part = append(r.part, line...)
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if len(r.part) > 0 {
			r.part = append(r.part, line...)
			line = r.part
		}
		r.entry(line)
		r.part = r.part[:0]
		if r.done {
			return nil
		}
	}
}

func (r *reader) entry(line []byte) {
	e, err := parse(line)
	if err != nil {
		return
	}
	if !r.opts.Since.IsZero() && e.Time.Before(r.opts.Since) {
		return
	}
	if !r.opts.Until.IsZero() && e.Time.After(r.opts.Until) {
		r.done = true
		return
	}
	r.emit(e)
}

// tailOffset is where the last n lines of a file begin, and how many of them
// it has.
func tailOffset(path string, n int) (offset int64, found int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	end := info.Size()
	if n == 0 {
		return end, 0, nil
	}
	chunk := make([]byte, 64<<10)
	last := true // the line feed at the very end begins no line
	for end > 0 {
		size := min(int64(len(chunk)), end)
		end -= size
		if _, err := f.ReadAt(chunk[:size], end); err != nil {
			return 0, 0, err
		}
		part := chunk[:size]
		if last {
			part = bytes.TrimSuffix(part, []byte("\n"))
			last = false
		}
		for {
			i := bytes.LastIndexByte(part, '\n')
			if i < 0 {
				break
			}
			if found++; found == n {
				return end + int64(i) + 1, found, nil
			}
			part = part[:i]
		}
	}
	if info.Size() > 0 {
		found++ // the first line has no line feed before it
	}
	return 0, found, nil
}
