package build

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"compose/engine/image"
	"compose/internal/filelock"
)

// CacheEntry is something that builds keep for the next build.
type CacheEntry struct {
	ID   string // of a layer, or the name of a cache directory
	Type string // "regular": what a step gave; "exec.cachemount"; "source.git", "source.http"
	Size int64  // bytes
	Used time.Time
}

// Cache lists what builds keep beside the layers of images.
func (b *Builder) Cache() ([]CacheEntry, error) {
	layers, err := b.store.CacheLayers()
	if err != nil {
		return nil, err
	}
	var out []CacheEntry
	for _, l := range layers {
		out = append(out, layerEntry(l))
	}
	for _, dir := range keptDirs {
		list, err := os.ReadDir(filepath.Join(b.roots.Build(), dir.name))
		if err != nil {
			continue // nothing of the kind has been kept
		}
		for _, e := range list {
			if filepath.Ext(e.Name()) == lockSuffix {
				continue
			}
			path := filepath.Join(b.roots.Build(), dir.name, e.Name())
			info, err := os.Lstat(path)
			if err != nil {
				continue // it has just gone
			}
			out = append(out, CacheEntry{ID: e.Name(), Type: dir.kind, Size: sizeOf(path), Used: info.ModTime()})
		}
	}
	return out, nil
}

// keptDirs are the directories below the build directory with what builds
// keep, by kind.
var keptDirs = []struct{ name, kind string }{{"caches", "exec.cachemount"}, {"git", "source.git"}, {"http", "source.http"}}

func layerEntry(l image.CacheLayer) CacheEntry {
	return CacheEntry{ID: l.ChainID.Encoded()[:25], Type: "regular", Size: l.Size, Used: l.Used}
}

func sizeOf(path string) (sum int64) {
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil // what goes meanwhile has no size
	})
	return sum
}

// Prune deletes what builds keep and want chooses; what a build uses at this
// moment stays. With all it also forgets what steps gave that images have. busy
// says that a pull or a build is under way, and layers were left alone.
func (b *Builder) Prune(all bool, want func(CacheEntry) bool) (removed []CacheEntry, busy bool, err error) {
	layers, busy, err := b.store.PruneCache(func(l image.CacheLayer) bool { return want(layerEntry(l)) })
	for _, l := range layers {
		removed = append(removed, layerEntry(l))
	}
	if err != nil || busy {
		return removed, busy, err
	}
	list, err := b.Cache()
	if err != nil {
		return removed, false, err
	}
	for _, e := range list {
		if e.Type == "regular" || !all || !want(e) {
			continue
		}
		for _, dir := range keptDirs {
			path := filepath.Join(b.roots.Build(), dir.name, e.ID)
			if dir.kind != e.Type {
				continue
			}
			lock, err := filelock.TryExclusive(path + lockSuffix)
			if err != nil {
				continue // a step has it
			}
			err = os.RemoveAll(path)
			os.Remove(path + lockSuffix)
			lock.Unlock()
			if err != nil {
				return removed, false, err
			}
			removed = append(removed, e)
		}
	}
	return removed, false, nil
}
