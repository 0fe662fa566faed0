package image

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/klauspost/compress/flate"

	"compose/internal/lateinit"
)

const (
	gzipBlock  = 1 << 20  // bytes compressed by themselves
	gzipWindow = 32 << 10 // bytes that deflate looks back
)

// compressor is a gzip stream whose blocks are compressed side by side. The
// bytes depend on the content alone: not on the time, and not on how many
// processors there are.
type compressor struct {
	to   io.Writer
	crc  uint32
	size uint32

	block []byte
	dict  []byte // the end of the block before
	queue chan chan []byte
	done  chan error
}

func newCompressor(to io.Writer) *compressor {
	c := &compressor{to: to, block: make([]byte, 0, gzipBlock), queue: make(chan chan []byte, runtime.GOMAXPROCS(0)), done: make(chan error, 1)}
	go c.write()
	return c
}

// write puts the compressed blocks out in their order.
func (c *compressor) write() {
	_, err := c.to.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	for block := range c.queue {
		data := <-block
		if err == nil {
			_, err = c.to.Write(data)
		}
	}
	c.done <- err
}

func (c *compressor) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part := p[:min(len(p), gzipBlock-len(c.block))]
		c.block = append(c.block, part...)
		p = p[len(part):]
		if len(c.block) == gzipBlock {
			c.flush(false)
		}
	}
	return n, nil
}

func (c *compressor) flush(last bool) {
	block, dict := c.block, c.dict
	c.crc = crc32.Update(c.crc, crc32.IEEETable, block)
	c.size += uint32(len(block))
	c.dict = block[max(0, len(block)-gzipWindow):]
	c.block = make([]byte, 0, gzipBlock)
	out := make(chan []byte, 1)
	c.queue <- out
	go func() { out <- deflate(block, dict, last) }()
}

func deflate(block, dict []byte, last bool) []byte {
	lateinit.Open(lateinit.Compression)
	var buf bytes.Buffer
	buf.Grow(len(block) / 2)
	w, err := flate.NewWriterDict(&buf, flate.DefaultCompression, dict)
	if err == nil {
		_, err = w.Write(block)
	}
	if err == nil && last {
		err = w.Close()
	} else if err == nil {
		err = w.Flush()
	}
	if err != nil {
		panic("deflate to memory: " + err.Error()) // a level or a dictionary that does not exist
	}
	return buf.Bytes()
}

// Close writes what is left, and the end.
func (c *compressor) Close() error {
	c.flush(true)
	close(c.queue)
	if err := <-c.done; err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint32(nil, c.crc)
	_, err := c.to.Write(binary.LittleEndian.AppendUint32(end, c.size))
	return err
}
