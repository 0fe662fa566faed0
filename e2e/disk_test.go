package e2e

import (
	"crypto/rand"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// TestFullDiskDuringPull pulls more than the disk of the root has room for.
func TestFullDiskDuringPull(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/big:1"
	content := make([]byte, 24<<20)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(content, types.DockerLayer))
	if err != nil {
		t.Fatal(err)
	}
	target, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(target, img); err != nil {
		t.Fatal(err)
	}

	h := newHost(t)
	small := h.root + "-small"
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		// The supervisor that up has begun to start may be about to leave.
		eventually(t, "unmount the small disk", func() error { return syscall.Unmount(small, 0) })
		os.Remove(small)
	}()
	whole := h.root
	h.root = small
	defer func() { h.root = whole }()
	dir := h.project("p", "compose.yaml", "services:\n  a:\n    image: "+ref+"\n")
	h.in(dir, "up", "-d").fails(1, "no space left on the disk of the image store")
	var st syscall.Statfs_t
	if err := syscall.Statfs(small, &st); err != nil {
		t.Fatal(err)
	}
	if used := (st.Blocks - st.Bfree) * uint64(st.Bsize); used > 1<<20 {
		t.Errorf("the refused pull left %d bytes", used)
	}
	if ps := h.in(dir, "ps", "-a", "-q").ok().stdout; ps != "" {
		t.Errorf("there are containers: %s", ps)
	}
}
