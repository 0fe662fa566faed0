// Package zstd compresses and decompresses by the library for it, whose
// initialisers take longer than most commands need it for: they run when it is
// first used.
package zstd

import (
	"io"

	"github.com/klauspost/compress/zstd"

	"compose/internal/lateinit"
)

// NewReader decompresses a stream, with so many blocks of it at a time. A stream
// that asks for more memory than that many bytes is refused; 0 stands for the
// library's limit of 64 GiB. Closing the reader leaves r open.
func NewReader(r io.Reader, blocks int, memory uint64) (io.ReadCloser, error) {
	lateinit.Run(lateinit.Compression)
	options := []zstd.DOption{zstd.WithDecoderConcurrency(blocks)}
	if memory > 0 {
		options = append(options, zstd.WithDecoderMaxMemory(memory))
	}
	z, err := zstd.NewReader(r, options...)
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// NewWriter compresses what is written to it on the caller's goroutine, fast
// rather than well. Closing the writer ends the stream and leaves w open.
func NewWriter(w io.Writer) (io.WriteCloser, error) {
	lateinit.Run(lateinit.Compression)
	return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
}
