package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestAttackZipBomb: a few bytes that become very many, in both compressions.
func TestAttackZipBomb(t *testing.T) {
	floor := bombFloor
	bombFloor = 32 << 20
	defer func() { bombFloor = floor }()
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	if err := w.WriteHeader(&tar.Header{Name: "zeros", Mode: 0o644, Size: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, compressor := range map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
	} {
		var packed bytes.Buffer
		z := compressor(&packed)
		if _, err := z.Write(plain.Bytes()); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		s, dir := newStore(t)
		if _, err := s.Import(context.Background(), &packed, "bomb", ImportOptions{}); err == nil || !strings.Contains(err.Error(), "is refused") {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := os.ReadDir(filepath.Join(dir, "layers")); len(left) != 0 {
			t.Errorf("%s left %v", name, left)
		}
	}
	// The same bytes as they are cost what they are.
	s, _ := newStore(t)
	if _, err := s.Import(context.Background(), &plain, "large", ImportOptions{}); err != nil {
		t.Error(err)
	}
}
