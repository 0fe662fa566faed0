package engine

import (
	"context"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Size is how many bytes a container has written into its own layer, and how
// many it sees with its image's.
func (e *Engine) Size(ctx context.Context, id string) (written, total int64, err error) {
	c, err := e.read(id)
	if err != nil {
		return 0, 0, err
	}
	written, err = treeSize(filepath.Join(e.dir(id), "upper"))
	if err != nil {
		return 0, 0, err
	}
	if img, err := e.images.Get(ctx, c.ImageID); err == nil {
		total = img.Size
	}
	return written, total + written, nil
}

// VolumeSize is how many bytes a volume's files have.
func (e *Engine) VolumeSize(name string) (int64, error) { return treeSize(e.volumes.Path(name)) }

// treeSize sums up the sizes of all regular files, one with several links once.
func treeSize(dir string) (int64, error) {
	var sum int64
	seen := map[inode]bool{}
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it is going at this moment
		}
		info, err := d.Info()
		if err != nil {
			return nil // likewise
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			key := inode{st.Dev, st.Ino}
			if seen[key] {
				return nil
			}
			seen[key] = true
		}
		sum += info.Size()
		return nil
	})
	return sum, err
}
