package zstd

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	want := strings.Repeat("all the same ", 1<<20)
	var packed bytes.Buffer
	w, err := NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, want); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		memory  uint64
		refused bool
	}{{0, false}, {256 << 20, false}, {1 << 10, true}} {
		r, err := NewReader(bytes.NewReader(packed.Bytes()), 1, c.memory)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if (err != nil) != c.refused || !c.refused && string(got) != want {
			t.Errorf("with %d bytes of memory: %d bytes, %v", c.memory, len(got), err)
		}
		r.Close()
	}
}
