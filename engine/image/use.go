package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"compose/internal/filelock"
	"compose/internal/statefile"
)

// Layers that no image has may be what a pull or a build is just about to
// name, in whatever process. So whoever makes or uses layers holds a lock in
// common, and layers are deleted only while nobody holds it; what is left
// then goes with the next prune.

func (s *Store) usePath() string { return filepath.Join(s.images, "use.lock") }

// Use keeps all layers in place until release is called.
//
// Where it is the first to come it clears away what a killed one has left.
func (s *Store) Use() (release func(), err error) {
	if list, _ := os.ReadDir(s.layers); slices.ContainsFunc(list, func(e os.DirEntry) bool { return stale(e.Name()) }) {
		if _, err := s.alone(s.Sweep); err != nil {
			return nil, err
		}
	}
	lock, err := filelock.Shared(s.usePath())
	if err != nil {
		return nil, fmt.Errorf("lock the image store: %w", err)
	}
	return lock.Unlock, nil
}

// WhileThere calls fn while an image cannot be removed: what fn makes is seen
// by whoever wants to remove it next.
func (s *Store) WhileThere(id string, fn func() error) error {
	lock, err := filelock.Shared(filepath.Join(s.images, "lock"))
	if err != nil {
		return fmt.Errorf("lock the image store: %w", err)
	}
	defer lock.Unlock()
	ix, err := s.known()
	if err != nil {
		return err
	}
	if ix.Images[id] == nil {
		return &NotFoundError{Ref: id}
	}
	return fn()
}

// alone calls fn while nobody uses layers; busy says that somebody does.
func (s *Store) alone(fn func() error) (busy bool, err error) {
	lock, err := filelock.TryExclusive(s.usePath())
	if errors.Is(err, filelock.ErrHeld) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Unlock()
	return false, fn()
}

// CacheLayer is a layer that no image has: what a step of a build gave.
type CacheLayer struct {
	Layer
	Used time.Time // when it was made
}

// CacheLayers are the layers that no image has.
func (s *Store) CacheLayers() ([]CacheLayer, error) {
	ix, err := s.known()
	if err != nil {
		return nil, err
	}
	used := map[digest.Digest]bool{}
	for _, r := range ix.Images {
		for _, l := range r.Layers {
			used[l.ChainID] = true
		}
	}
	entries, err := os.ReadDir(s.layers)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var out []CacheLayer
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		var info layerInfo
		path := filepath.Join(s.layers, e.Name(), "layer.json")
		if statefile.ReadJSON(path, &info) != nil || used[info.Layer.ChainID] {
			continue
		}
		c := CacheLayer{Layer: info.Layer}
		if st, err := os.Stat(path); err == nil {
			c.Used = st.ModTime()
		}
		out = append(out, c)
	}
	return out, nil
}

// PruneCache deletes layers that no image has and that want chooses. busy says
// that a pull or a build is under way, and nothing has been deleted.
func (s *Store) PruneCache(want func(CacheLayer) bool) (removed []CacheLayer, busy bool, err error) {
	busy, err = s.alone(func() error {
		list, err := s.CacheLayers()
		if err != nil {
			return err
		}
		for _, l := range list {
			if !want(l) {
				continue
			}
			if err := s.dropLayer(l.Layer); err != nil {
				return err
			}
			removed = append(removed, l)
		}
		return s.Sweep()
	})
	return removed, busy, err
}
