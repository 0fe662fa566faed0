package client

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"compose/internal/roots"
	"compose/orchestrator/supervisor/api"
)

// TestAttachToTheDying attaches to supervisors that die: before they have said
// yes, which the next one does, and in the middle, with something unread.
func TestAttachToTheDying(t *testing.T) {
	dir, err := os.MkdirTemp("", "ccl-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	r, err := roots.New(filepath.Join(dir, "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(r.RunProject("shop"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", api.Socket(r, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	var attempts atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.Prefix+"/info", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	mux.HandleFunc("POST "+api.Prefix+"/containers/{id}/attach", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close() // with what it has not read: the kernel resets the connection
		if attempts.Add(1) == 1 {
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n\x01\x00\x00\x00\x00\x00\x00\x03hi\n")
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
	server := &http.Server{Handler: mux}
	defer server.Close()
	go func() { _ = server.Serve(l) }()
	c, err := Connect(t.Context(), r, "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out bytes.Buffer
	wait, err := c.Attach(t.Context(), "id", false, bytes.NewReader(make([]byte, 1000)), &out, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil || out.String() != "hi\n" || attempts.Load() != 2 {
		t.Errorf("after %d attempts %q, %v", attempts.Load(), out.String(), err)
	}
}
