package client

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"compose/internal/filelock"
	"compose/internal/roots"
	"compose/orchestrator/supervisor/api"
)

// TestDialWaits dials while a keeper has the project and its next supervisor is about
// to come.
func TestDialWaits(t *testing.T) {
	r := roots.Roots{State: t.TempDir(), Run: t.TempDir()}
	if _, err := Dial(context.Background(), r, "p"); err != ErrNotRunning {
		t.Fatalf("with neither a supervisor nor a keeper: %v", err)
	}
	lock, err := filelock.Exclusive(api.Lock(r, "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	dialled := make(chan error, 1)
	go func() {
		c, err := Dial(context.Background(), r, "p")
		c.Close()
		dialled <- err
	}()
	select {
	case err := <-dialled:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	early := filepath.Join(r.RunProject("p"), "new.sock")
	listener, err := net.Listen("unix", early)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.Info{Project: "p"})
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	if err := os.Rename(early, api.Socket(r, "p")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-dialled:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for ever")
	}
}
