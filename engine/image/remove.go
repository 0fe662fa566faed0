package image

import (
	"context"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/opencontainers/go-digest"

	"compose/internal/statefile"
)

// RemoveOptions say how far Remove goes.
type RemoveOptions struct {
	Force bool // take away every name of an image given by ID
	// InUse names the containers that need an image.
	InUse func(imageID string) []string
}

// Removed is what Remove did, in the order it did it.
type Removed struct {
	Untagged string
	Deleted  string
}

// Remove takes a name away, and the image and its layers with the last one.
func (s *Store) Remove(_ context.Context, ref string, opts RemoveOptions) ([]Removed, error) {
	var done []Removed
	var dropped []Layer
	untag := func(id, name string) {
		done = append(done, Removed{Untagged: familiar(name)})
		s.happened("untag", id, id)
	}
	err := s.change(func(ix *index) error {
		id, err := ix.find(ref)
		if err != nil {
			return err
		}
		var names []string
		for name, tagged := range ix.Tags {
			if tagged == id {
				names = append(names, name)
			}
		}
		sort.Strings(names)
		byName := ""
		if parsed, err := ParseReference(ref); err == nil && ix.Tags[parsed.String()] == id {
			byName = parsed.String()
		}
		if byName == "" || len(names) == 1 {
			// The image itself goes.
			if opts.InUse != nil {
				if by := opts.InUse(id); len(by) > 0 && !opts.Force {
					return &InUseError{Ref: ref, ID: id, By: by}
				} else if len(by) > 0 {
					for _, name := range names {
						delete(ix.Tags, name)
						untag(id, name)
					}
					return nil
				}
			}
			for _, name := range names {
				delete(ix.Tags, name)
				untag(id, name)
			}
			dropped = ix.Images[id].Layers
			delete(ix.Images, id)
			done = append(done, Removed{Deleted: id})
			dropped = ix.unreferenced(dropped)
			return nil
		}
		delete(ix.Tags, byName)
		untag(id, byName)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, r := range done {
		if r.Deleted != "" {
			if err := os.Remove(s.blobPath(digest.Digest(r.Deleted))); err != nil && !os.IsNotExist(err) {
				return done, err
			}
			s.happened("delete", r.Deleted, r.Deleted)
		}
	}
	_, err = s.alone(func() error {
		// Somebody may have named them again meanwhile.
		ix, err := s.readIndex()
		if err != nil {
			return err
		}
		for _, l := range ix.unreferenced(dropped) {
			if err := s.dropLayer(l); err != nil {
				return err
			}
			done = append(done, Removed{Deleted: l.ChainID.String()})
		}
		return nil
	})
	if err != nil {
		return done, err
	}
	return done, nil
}

func familiar(ref string) string {
	if r, err := ParseReference(ref); err == nil {
		return r.Familiar()
	}
	return ref
}

// unreferenced are those of the layers that no image has any more.
func (ix *index) unreferenced(layers []Layer) []Layer {
	used := map[digest.Digest]bool{}
	for _, r := range ix.Images {
		for _, l := range r.Layers {
			used[l.ChainID] = true
		}
	}
	var free []Layer
	for _, l := range layers {
		if !used[l.ChainID] {
			free = append(free, l)
		}
	}
	return free
}

// dropLayer takes a layer out of sight at once and then deletes it.
func (s *Store) dropLayer(l Layer) error {
	if l.Digest != "" {
		if err := os.Remove(s.blobPath(l.Digest)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	dir := filepath.Join(s.layers, layerName(l.ChainID))
	trash, err := os.MkdirTemp(s.layers, ".trash-")
	if err != nil {
		return err
	}
	if err := os.Rename(dir, filepath.Join(trash, "layer")); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.RemoveAll(trash)
}

// Sweep deletes what interrupted work has left: half-made layers and trash
// that no process works on any more. The store is the caller's alone.
func (s *Store) Sweep() error {
	list, err := os.ReadDir(s.layers)
	if err != nil {
		return nil
	}
	for _, e := range list {
		if stale(e.Name()) {
			if err := os.RemoveAll(filepath.Join(s.layers, e.Name())); err != nil {
				return err
			}
		}
	}
	statefile.Sweep(filepath.Dir(s.blobPath(digest.FromString(""))))
	return nil
}

// stale says whether an entry among the layers is none while nobody works
// there.
func stale(name string) bool {
	return strings.HasPrefix(name, ".new-") || strings.HasPrefix(name, ".trash-")
}
