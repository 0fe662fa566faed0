package unpack

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// Recorder passes a layer's tar stream on to Layer and writes down whatever of
// it is not the content of a file: headers, padding, the end. From that and
// the unpacked files Replay makes the very same stream again.
//
// The record is a list of pieces, each a kind, a length as a varint, and for
// 'r' (raw) so many bytes of the stream; 'f' (file) is followed by the length
// and the letters of the file's name below the layer's directory.
type Recorder struct {
	stream io.Reader
	to     io.Writer
	inFile bool
	body   int64
	err    error
}

// NewRecorder reads from stream and writes the record to to.
func NewRecorder(stream io.Reader, to io.Writer) *Recorder {
	return &Recorder{stream: stream, to: to}
}

// Err is what has made the record useless, or nil. Unpacking goes on.
func (r *Recorder) Err() error { return r.err }

func (r *Recorder) Read(p []byte) (int, error) {
	n, err := r.stream.Read(p)
	if r.inFile {
		r.body += int64(n)
	} else if n > 0 {
		r.piece('r', int64(n), p[:n])
	}
	return n, err
}

func (r *Recorder) piece(kind byte, length int64, text []byte) {
	if r.err != nil {
		return
	}
	head := binary.AppendUvarint([]byte{kind}, uint64(length))
	if kind == 'f' {
		head = binary.AppendUvarint(head, uint64(len(text)))
	}
	if _, r.err = r.to.Write(head); r.err == nil {
		_, r.err = r.to.Write(text)
	}
}

// isSparse says whether the archive holds less than the whole file.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// file runs copy, which reads a file's content from the stream.
func (r *Recorder) file(name string, h *tar.Header, copy func() error) error {
	if r == nil || h.Size == 0 || isSparse(h) {
		return copy()
	}
	r.inFile, r.body = true, 0
	err := copy()
	r.inFile = false
	if r.body != h.Size && r.err == nil {
		r.err = fmt.Errorf("%q: the archive holds %d bytes of %d", name, r.body, h.Size)
	}
	r.piece('f', h.Size, []byte(name))
	return err
}

// Replay writes the tar stream of which dir and record were made. Whoever
// calls it compares digests: a file that the archive had twice is there once.
func Replay(dir string, record io.Reader, to io.Writer) error {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	u := &unpacker{root: root, parent: -1}
	defer u.close()
	in := &byteReader{r: record}
	buf := make([]byte, 256<<10)
	for {
		kind, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the layer's record: %w", err)
		}
		length, err := binary.ReadUvarint(in)
		if err != nil {
			return fmt.Errorf("read the layer's record: %w", err)
		}
		switch kind {
		case 'r':
			if _, err := io.CopyN(to, record, int64(length)); err != nil {
				return fmt.Errorf("read the layer's record: %w", err)
			}
		case 'f':
			if err := u.replayFile(in, record, int64(length), buf, to); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the layer's record holds the unknown kind %q", kind)
		}
	}
}

func (u *unpacker) replayFile(in io.ByteReader, record io.Reader, size int64, buf []byte, to io.Writer) error {
	length, err := binary.ReadUvarint(in)
	if err != nil || length > 1<<16 {
		return errors.New("the layer's record is damaged")
	}
	name := make([]byte, length)
	if _, err := io.ReadFull(record, name); err != nil {
		return fmt.Errorf("read the layer's record: %w", err)
	}
	fd, err := u.openat2(string(name), unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	defer unix.Close(fd)
	for at := int64(0); at < size; {
		n, err := unix.Pread(fd, buf[:min(int64(len(buf)), size-at)], at)
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if n == 0 {
			return fmt.Errorf("%q: %w", name, io.ErrUnexpectedEOF)
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// byteReader reads single bytes and no further.
type byteReader struct {
	r   io.Reader
	one [1]byte
}

func (b *byteReader) ReadByte() (byte, error) {
	_, err := io.ReadFull(b.r, b.one[:])
	return b.one[0], err
}
