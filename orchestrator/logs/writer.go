package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/docker/go-units"

	"compose/internal/fault"
)

// Keep is how a log survives the death of the process that writes it: another
// process holds some files, and the next Writer gets them back. The zero Keep
// is for a log that need not.
type Keep struct {
	// Store lets the other process hold a file under a name.
	Store func(name string, f *os.File)
	// Left is what the last Writer of this log has stored.
	Left map[string]*os.File
	// Warn is told when lines could not be written, as on a full disk. They
	// are lost: a container does not have to wait for somebody to make room. It is
	// told no more than once a minute.
	Warn func(error)
}

// Writer appends what a container writes to its log. Its methods may be
// called from several goroutines.
type Writer struct {
	path    string
	maxSize int64 // bytes; 0: no limit
	files   int   // at most so many, the current one included
	keep    Keep

	mu      sync.Mutex
	f       *os.File
	size    int64
	warned  time.Time // when it was told that a write failed
	journal *journal
	streams [2]*stream
}

// Open opens the log at path for writing and finishes what a Writer that died
// had begun. Of the options of Docker's json-file driver "max-size" and
// "max-file" count.
func Open(path string, options map[string]string, keep Keep) (*Writer, error) {
	w := &Writer{path: path, files: 1, keep: keep}
	w.streams = [2]*stream{{name: "stdout", index: 0}, {name: "stderr", index: 1}}
	if s := options["max-size"]; s != "" && s != "-1" {
		n, err := units.RAMInBytes(s)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("logging option max-size: %q is not a size, as 10m is", s)
		}
		w.maxSize = n
	}
	if s := options["max-file"]; s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("logging option max-file: %q is not a number of files", s)
		}
		if n > 1 && w.maxSize == 0 {
			return nil, errors.New("logging option max-file needs max-size")
		}
		w.files = n
	}
	if err := w.open(); err != nil {
		return nil, err
	}
	if err := w.recover(); err != nil {
		w.Close()
		return nil, fmt.Errorf("take over the log %s: %w", path, err)
	}
	return w, nil
}

func (w *Writer) open() error {
	f, err := os.OpenFile(w.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	w.f, w.size = f, info.Size()
	return nil
}

// Close closes the files.
func (w *Writer) Close() error {
	for _, s := range w.streams {
		if s.stage != nil {
			s.stage.Close()
		}
	}
	if w.journal != nil {
		w.journal.f.Close()
	}
	return w.f.Close()
}

func (w *Writer) store(name string, f *os.File) {
	if w.keep.Store != nil {
		w.keep.Store(name, f)
	}
}

// write appends to the file. What cannot be written is dropped.
func (w *Writer) write(out []byte) {
	before := w.size
	n, err := w.f.Write(out)
	w.size += int64(n)
	if err == nil {
		return
	}
	if w.f.Truncate(before) == nil { // half a line is of no use to anybody
		w.size = before
	}
	if w.keep.Warn != nil && time.Since(w.warned) > time.Minute {
		w.keep.Warn(err)
		w.warned = time.Now()
	}
}

// full says that the file is to be rotated once more has been added to it.
func (w *Writer) full(more int) bool { return w.maxSize > 0 && w.size+int64(more) >= w.maxSize }

// rotate renames the files from the oldest on, so that at any point all that
// was kept has a name.
func (w *Writer) rotate() error {
	w.f.Close()
	if w.files == 1 {
		if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return w.open()
	}
	for n := w.files - 1; n >= 1; n-- {
		from := w.path
		if n > 1 {
			from = fmt.Sprintf("%s.%d", w.path, n-1)
		}
		fault.Point("logs: rotating")
		if err := os.Rename(from, fmt.Sprintf("%s.%d", w.path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return w.open()
}
