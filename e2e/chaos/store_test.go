package chaos

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"compose/engine/image"
)

// images is how many images the registry has.
const images = 4

// serveImages starts a registry with images of three random layers.
func (w *world) serveImages() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	w.t.Cleanup(server.Close)
	w.registry = strings.TrimPrefix(server.URL, "http://")
	for i := range images {
		img, err := random.Image(300_000, 3, random.WithSource(rand.NewSource(int64(i))))
		if err != nil {
			w.t.Fatal(err)
		}
		ref, err := name.ParseReference(fmt.Sprintf("%s/img:%d", w.registry, i))
		if err != nil {
			w.t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			w.t.Fatal(err)
		}
	}
}

// pullVerb pulls one of the images, which is not there before.
func (w *world) pullVerb() verb {
	ref := fmt.Sprintf("%s/img:%d", w.registry, w.rand.IntN(images))
	w.run(nil, "image", "rm", "-f", ref)
	return verb{args: []string{"image", "pull", ref}}
}

// checkStore reads the whole store: every blob has its digest, every image all
// its layers, and these give the tars again that the image says they came from.
func (w *world) checkStore() (wrong []string) {
	blobs, _ := filepath.Glob(filepath.Join(w.roots.Images(), "blobs", "sha256", "*"))
	for _, path := range blobs {
		data, err := os.ReadFile(path)
		if err != nil {
			return []string{err.Error()}
		}
		if strings.HasPrefix(filepath.Base(path), ".") {
			continue
		}
		if got := digest.FromBytes(data).Encoded(); got != filepath.Base(path) {
			wrong = append(wrong, fmt.Sprintf("the blob %s holds %s", path, got))
		}
	}
	store, err := image.Open(w.roots)
	if err != nil {
		return append(wrong, err.Error())
	}
	list, err := store.List(context.Background())
	if err != nil {
		return append(wrong, err.Error())
	}
	for _, img := range list {
		if err := w.checkImage(img); err != nil {
			wrong = append(wrong, fmt.Sprintf("image %s %v: %v", img.ID, img.RepoTags, err))
		}
	}
	return wrong
}

func (w *world) checkImage(img *image.Image) error {
	e := w.run(nil, "image", "save", img.ID)
	if e.code != 0 {
		return fmt.Errorf("%s", e.stderr)
	}
	files := map[string][]byte{}
	for tr := tar.NewReader(strings.NewReader(e.stdout)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return err
		}
	}
	var manifest []struct{ Layers []string }
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 {
		return fmt.Errorf("its manifest in the archive: %v", err)
	}
	diffs := img.Config.RootFS.DiffIDs
	if len(manifest[0].Layers) != len(diffs) {
		return fmt.Errorf("%d layers, its configuration says %d", len(manifest[0].Layers), len(diffs))
	}
	for i, l := range manifest[0].Layers {
		plain, err := plainTar(files[l])
		if err != nil {
			return err
		}
		if got := digest.FromBytes(plain); got != diffs[i] {
			return fmt.Errorf("layer %d is %s, its configuration says %s", i, got, diffs[i])
		}
	}
	return nil
}

// plainTar is a layer's tar, whether it was compressed or not.
func plainTar(data []byte) ([]byte, error) {
	if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return data, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
