package build

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/moby/patternmatcher"
	"github.com/opencontainers/go-digest"

	"compose/engine/build/fileop"
	"compose/engine/image"
	"compose/engine/runtime"
)

// snapshot is what a vertex comes to: a stack of layers (none: no files), or a
// directory of this host that is read where it lies.
type snapshot struct {
	layers []layer // the bottom one first
	dir    string
	id     string                         // identity of dir's content, if it has one
	ignore *patternmatcher.PatternMatcher // of dir
	asRoot bool                           // files of dir count as root's
}

// layer is one of the store's, with the time it was made in a build.
type layer struct {
	image.Layer
	Created time.Time `json:"created,omitzero"`
}

// chain is the identity of the files; "" for none.
func (s *snapshot) chain() digest.Digest {
	if n := len(s.layers); n > 0 {
		return s.layers[n-1].ChainID
	}
	return ""
}

// on puts one more layer on a copy of the stack.
func (s *snapshot) on(l ...layer) *snapshot {
	return &snapshot{layers: append(slices.Clone(s.layers), l...)}
}

// identity tells snapshots with the same files from others, if it is known
// without reading them.
func (s *snapshot) identity() (string, bool) {
	if s.dir != "" {
		return s.id, s.id != ""
	}
	return "chain " + s.chain().String(), true
}

// lowers are the directories of the layers, the top one first. Layers that
// only a cache elsewhere has are brought here.
func (s *session) lowers(snap *snapshot) ([]string, error) {
	out := make([]string, 0, len(snap.layers))
	var lost error
	for _, l := range slices.Backward(snap.layers) {
		dir, ok := s.store.LayerByChainID(l.ChainID)
		if !ok {
			if err := s.fetchLayer(l); err != nil {
				lost = err // the others are tried all the same: what else is lost is known then
			}
		}
		out = append(out, dir)
	}
	if lost != nil {
		return nil, lost
	}
	return out, nil
}

// read calls fn with the files of a snapshot.
func (s *session) read(snap *snapshot, fn func(fileop.Tree) error) error {
	dir := snap.dir
	switch {
	case dir != "":
	case len(snap.layers) == 0:
		empty, err := s.empty()
		if err != nil {
			return err
		}
		dir = empty
	default:
		lowers, err := s.lowers(snap)
		if err != nil {
			return err
		}
		if len(lowers) > 1 {
			return runtime.InMountNS(runtime.RootFS{Lowers: lowers}, func(root *os.File) error {
				return fn(fileop.Tree{Root: int(root.Fd()), Epoch: s.epoch})
			})
		}
		dir = lowers[0]
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return fn(fileop.Tree{Root: int(f.Fd()), Ignore: snap.ignore, AsRoot: snap.asRoot, Epoch: s.epoch})
}

// change calls fn with a place to write on top of a snapshot and makes what
// fn has changed a layer.
func (s *session) change(base *snapshot, fn func(runtime.RootFS) error) (layer, error) {
	w, err := s.newScratch()
	if err != nil {
		return layer{}, err
	}
	defer w.remove()
	// Nobody hears of the layer before it is synced with the others.
	root := runtime.RootFS{Upper: w.upper, Work: w.work, Volatile: true}
	if root.Lowers, err = s.lowers(base); err != nil {
		return layer{}, err
	}
	if err := fn(root); err != nil {
		return layer{}, err
	}
	if err := s.settle(w.upper); err != nil {
		return layer{}, err
	}
	return s.commit(base.chain(), w.upper)
}

// commit makes a directory in overlayfs' form a layer on top of parent.
func (s *session) commit(parent digest.Digest, upper string) (layer, error) {
	l, err := s.store.StageLayer(s.ctx, parent, upper)
	if err != nil {
		return layer{}, err
	}
	return layer{Layer: l, Created: s.created()}, nil
}

// edit calls fn with the top directory of a root that is being changed.
func edit(root runtime.RootFS, fn func(top int) error) error {
	if len(root.Lowers) == 0 {
		f, err := os.Open(root.Upper)
		if err != nil {
			return err
		}
		defer f.Close()
		return fn(int(f.Fd()))
	}
	return runtime.InMountNS(root, func(top *os.File) error { return fn(int(top.Fd())) })
}

func hasPrefixPath(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
