package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"
)

// maxPiece is how long a piece of a line may be until it is written without
// waiting for the line's end; it is Docker's.
const maxPiece = 16 << 10

// Writer appends what a container writes to its log. Its methods may be
// called from several goroutines.
type Writer struct {
	path    string
	maxSize int64 // bytes; 0: no limit
	files   int   // at most so many, the current one included

	mu   sync.Mutex
	f    *os.File
	size int64
	buf  []byte
}

// Open opens the log at path for writing. Of the options of Docker's
// json-file driver "max-size" and "max-file" count.
func Open(path string, options map[string]string) (*Writer, error) {
	w := &Writer{path: path, files: 1}
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
	return w, w.open()
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

// Close closes the file.
func (w *Writer) Close() error { return w.f.Close() }

// Copy reads a stream to its end and logs its lines. Each chunk that was read
// is also handed to tee as it came, before it is logged; it may not be kept.
func (w *Writer) Copy(r io.Reader, stream string, tee func([]byte)) error {
	chunk := make([]byte, 64<<10)
	var rest []byte // the beginning of a line whose end has not come
	for {
		n, err := r.Read(chunk)
		if n > 0 {
			tee(chunk[:n])
			var werr error
			if rest, werr = w.lines(append(rest, chunk[:n]...), stream); werr != nil {
				return werr
			}
		}
		if err != nil {
			if len(rest) > 0 {
				if werr := w.write(stream, rest); werr != nil {
					return werr
				}
			}
			if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
				return nil
			}
			return err
		}
	}
}

// lines logs the whole lines in data and returns what is left.
func (w *Writer) lines(data []byte, stream string) ([]byte, error) {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n') + 1
		if end == 0 && len(data) < maxPiece {
			break
		}
		if end == 0 || end > maxPiece {
			end = pieceEnd(data)
		}
		if err := w.add(stream, data[:end]); err != nil {
			return nil, err
		}
		data = data[end:]
	}
	return append([]byte(nil), data...), w.flush()
}

// pieceEnd is where to cut a long line: not inside a character.
func pieceEnd(data []byte) int {
	for end := maxPiece; end > maxPiece-utf8.UTFMax; end-- {
		if utf8.RuneStart(data[min(end, len(data)-1)]) {
			return min(end, len(data))
		}
	}
	return maxPiece
}

func (w *Writer) write(stream string, line []byte) error {
	if err := w.add(stream, line); err != nil {
		return err
	}
	return w.flush()
}

// add puts one entry into the buffer.
func (w *Writer) add(stream string, line []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, `{"log":"`...)
	w.buf = appendEscaped(w.buf, line)
	w.buf = append(w.buf, `","stream":"`...)
	w.buf = append(w.buf, stream...)
	w.buf = append(w.buf, `","time":"`...)
	w.buf = time.Now().UTC().AppendFormat(w.buf, time.RFC3339Nano)
	w.buf = append(w.buf, "\"}\n"...)
	if len(w.buf) >= 256<<10 {
		return w.flushLocked()
	}
	return nil
}

func (w *Writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flushLocked()
}

func (w *Writer) flushLocked() error {
	if len(w.buf) == 0 {
		return nil
	}
	n, err := w.f.Write(w.buf)
	w.size += int64(n)
	w.buf = w.buf[:0]
	if err != nil {
		return err
	}
	if w.maxSize > 0 && w.size >= w.maxSize {
		return w.rotate()
	}
	return nil
}

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
		if err := os.Rename(from, fmt.Sprintf("%s.%d", w.path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return w.open()
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends text as the inside of a JSON string.
func appendEscaped(dst, text []byte) []byte {
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		var r rune
		if c >= utf8.RuneSelf {
			if r, size = utf8.DecodeRune(text[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, text[start:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c >= utf8.RuneSelf:
			dst = append(dst, `\ufffd`...) // not UTF-8
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
		i += size
		start = i
	}
	return append(dst, text[start:]...)
}
