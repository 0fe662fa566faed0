package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/internal/filelock"
	"compose/internal/journal"
	"compose/internal/roots"
	"compose/internal/sparsejson"
	"compose/internal/statefile"
)

const indexVersion = 1

// Store is the images of one root. Its methods may be used by several
// goroutines and several processes at once.
type Store struct {
	roots  roots.Roots
	state  string // the root of all state
	images string
	layers string

	pushing sync.Map // repository -> *sync.Mutex: two names of one take turns
	seen    atomic.Pointer[seenIndex]
}

// Open returns the store of a root. It reads nothing yet.
func Open(r roots.Roots) (*Store, error) {
	return &Store{roots: r, state: r.State, images: r.Images(), layers: r.Layers()}, nil
}

// happened writes down an event of an image.
func (s *Store) happened(action, id, name string) {
	journal.Add(s.roots, "image", action, id, map[string]string{"name": name})
}

func (s *Store) indexPath() string { return filepath.Join(s.images, "index.json") }

func (s *Store) blobPath(d digest.Digest) string {
	return filepath.Join(s.images, "blobs", d.Algorithm().String(), d.Encoded())
}

func (s *Store) readIndex() (*index, error) {
	ix := &index{Version: indexVersion, Images: map[string]*record{}, Tags: map[string]string{}}
	err := statefile.ReadVersioned(s.indexPath(), ix, &ix.Version, indexVersion)
	var damaged *statefile.CorruptError
	if errors.As(err, &damaged) {
		_ = damaged.SetAside() // the images are pulled or built again; layers are found
		return nil, damaged
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return ix, nil
}

// seenIndex is the index as it was read last, which nobody changes. Its file is
// kept open: another index is another file, and cannot have its number. (Only
// damage would change the file itself.)
type seenIndex struct {
	*index
	file *os.File
	info os.FileInfo
}

// known is what readIndex returns, and not to be changed. Fifty containers that
// are made or started at once have it read once.
func (s *Store) known() (*index, error) {
	if seen := s.seen.Load(); seen != nil {
		if info, err := os.Stat(s.indexPath()); err == nil && os.SameFile(seen.info, info) && info.ModTime().Equal(seen.info.ModTime()) {
			return seen.index, nil
		}
	}
	file, err := os.Open(s.indexPath())
	if err != nil {
		return s.readIndex() // which knows what that means
	}
	info, err := file.Stat()
	if err == nil {
		var ix *index
		if ix, err = s.readIndex(); err == nil { // a later one perhaps: then it is read again
			if before := s.seen.Swap(&seenIndex{ix, file, info}); before != nil {
				before.file.Close()
			}
			return ix, nil
		}
	}
	file.Close()
	return nil, err
}

// change edits the index under its lock. Nothing is written if edit fails.
func (s *Store) change(edit func(*index) error) error {
	lock, err := filelock.Exclusive(filepath.Join(s.images, "lock"))
	if err != nil {
		return fmt.Errorf("lock the image store: %w", err)
	}
	defer lock.Unlock()
	statefile.Sweep(s.images)
	ix, err := s.readIndex()
	if err != nil {
		return err
	}
	if err := edit(ix); err != nil {
		return err
	}
	return statefile.WriteKept(s.indexPath(), ix)
}

// find returns the ID of the image that ref names: a name, a name by digest,
// an ID or the beginning of one.
func (ix *index) find(ref string) (string, error) {
	if strings.HasPrefix(ref, "sha256:") && ix.Images[ref] != nil {
		return ref, nil
	}
	if parsed, err := ParseReference(ref); err == nil {
		if id, ok := ix.Tags[parsed.String()]; ok {
			return id, nil
		}
		if d := parsed.Digest(); d != "" {
			want := parsed.Repository() + "@" + d
			for id, r := range ix.Images {
				if slices.Contains(r.Digests, want) {
					return id, nil
				}
			}
		}
	}
	if prefix, ok := asID(ref); ok {
		found := ""
		for id := range ix.Images {
			if strings.HasPrefix(strings.TrimPrefix(id, "sha256:"), prefix) {
				if found != "" {
					return "", fmt.Errorf("the image ID %s is ambiguous: give more of its digits", ref)
				}
				found = id
			}
		}
		if found != "" {
			return found, nil
		}
	}
	return "", &NotFoundError{Ref: ref}
}

// Get returns the image that ref names, or *NotFoundError.
func (s *Store) Get(_ context.Context, ref string) (*Image, error) {
	ix, err := s.known()
	if err != nil {
		return nil, err
	}
	id, err := ix.find(ref)
	if err != nil {
		return nil, err
	}
	return s.load(ix, id)
}

// List returns all images, the newest first.
func (s *Store) List(context.Context) ([]*Image, error) {
	ix, err := s.known()
	if err != nil {
		return nil, err
	}
	var list []*Image
	for id := range ix.Images {
		img, err := s.load(ix, id)
		if err != nil {
			return nil, err
		}
		list = append(list, img)
	}
	sort.Slice(list, func(i, j int) bool {
		if !list[i].Created.Equal(list[j].Created) {
			return list[i].Created.After(list[j].Created)
		}
		return list[i].ID < list[j].ID
	})
	return list, nil
}

func (s *Store) load(ix *index, id string) (*Image, error) {
	r := ix.Images[id]
	img := &Image{ID: id, Layers: slices.Clone(r.Layers), Created: r.Created, RepoDigests: slices.Clone(r.Digests), Tagged: r.Tagged}
	data, err := os.ReadFile(s.blobPath(digest.Digest(id)))
	if err != nil {
		return nil, fmt.Errorf("read the configuration of image %s: %w", shortID(id), err)
	}
	if err := sparsejson.Unmarshal(data, &img.Config); err != nil {
		return nil, fmt.Errorf("read the configuration of image %s: %w", shortID(id), err)
	}
	var docker struct {
		Config struct{ Healthcheck *Health } `json:"config"`
	}
	if err := sparsejson.Unmarshal(data, &docker); err != nil {
		return nil, fmt.Errorf("read the configuration of image %s: %w", shortID(id), err)
	}
	img.Health = docker.Config.Healthcheck
	img.Platform = img.Config.OS + "/" + img.Config.Architecture
	if img.Config.Variant != "" {
		img.Platform += "/" + img.Config.Variant
	}
	for _, l := range r.Layers {
		img.Size += l.Size
	}
	for ref, tagged := range ix.Tags {
		if tagged == id {
			if parsed, err := ParseReference(ref); err == nil {
				img.RepoTags = append(img.RepoTags, parsed.Familiar())
			}
		}
	}
	sort.Strings(img.RepoTags)
	return img, nil
}

// Lowers are the directories of an image's unpacked layers, the top one first,
// as an overlay wants them; *NotFoundError where no image has the ID.
func (s *Store) Lowers(_ context.Context, id string) ([]string, error) {
	ix, err := s.known()
	if err != nil {
		return nil, err
	}
	r := ix.Images[id]
	if r == nil {
		return nil, &NotFoundError{Ref: id}
	}
	dirs := make([]string, 0, len(r.Layers))
	for i := len(r.Layers) - 1; i >= 0; i-- {
		dir, ok := s.LayerByChainID(r.Layers[i].ChainID)
		if !ok {
			return nil, fmt.Errorf("a layer of image %s is missing below %s: remove the image and pull or build it again", shortID(id), s.layers)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// CreateImage stores a configuration over layers that exist and points the
// names at it. The configuration's rootfs is set from the layers.
func (s *Store) CreateImage(ctx context.Context, config ocispec.Image, layers []Layer, tags []string) (*Image, error) {
	config.RootFS = ocispec.RootFS{Type: "layers"}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
	}
	data, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	return s.put(ctx, data, config, layers, tags, "", nil)
}

// put makes an image out of its raw configuration.
func (s *Store) put(_ context.Context, raw []byte, config ocispec.Image, layers []Layer, tags []string, manifest string, digests []string) (*Image, error) {
	refs := make([]string, 0, len(tags))
	for _, t := range tags {
		r, err := ParseReference(t)
		if err != nil {
			return nil, err
		}
		refs = append(refs, r.String())
	}
	id := digest.FromBytes(raw)
	if err := s.writeBlob(id, raw); err != nil {
		return nil, err
	}
	created := time.Time{}
	if config.Created != nil {
		created = *config.Created
	}
	var img *Image
	err := s.change(func(ix *index) error {
		r := ix.Images[id.String()]
		if r == nil {
			r = &record{}
			ix.Images[id.String()] = r
		}
		r.Layers, r.Created, r.Tagged = layers, created, time.Now().UTC()
		if manifest != "" {
			r.Manifest = manifest
		}
		for _, d := range digests {
			if !slices.Contains(r.Digests, d) {
				r.Digests = append(r.Digests, d)
			}
		}
		for _, ref := range refs {
			ix.Tags[ref] = id.String()
		}
		var err error
		img, err = s.load(ix, id.String())
		return err
	})
	return img, err
}

func (s *Store) writeBlob(d digest.Digest, data []byte) error {
	path := s.blobPath(d)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := statefile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return statefile.Write(path, data, 0o600)
}

// Tag gives an image one more name.
func (s *Store) Tag(_ context.Context, source, ref string) error {
	target, err := ParseReference(ref)
	if err != nil {
		return err
	}
	if target.Tag() == "" {
		return fmt.Errorf("refusing to create a tag with a digest reference: %s", ref)
	}
	return s.change(func(ix *index) error {
		id, err := ix.find(source)
		if err != nil {
			return err
		}
		ix.Tags[target.String()] = id
		s.happened("tag", id, familiar(target.String()))
		return nil
	})
}
