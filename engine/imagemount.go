package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/image"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// imageMount mounts an image's files, or a part of them, read-only: an overlay
// of the image's layers, or of the same directory in each.
func (e *Engine) imageMount(m Mount) (specs.Mount, error) {
	out := specs.Mount{Destination: path.Clean(m.Target), Type: "bind", Options: []string{"rbind", "rprivate", "ro"}}
	lowers, err := e.images.Lowers(context.Background(), m.ImageID)
	var gone *image.NotFoundError
	if errors.As(err, &gone) {
		return out, fmt.Errorf("its image %s is gone: create the container again", m.Source)
	}
	if err != nil {
		return out, err
	}
	found, err := layersOf(lowers, m.Subpath)
	if err != nil {
		return out, fmt.Errorf("image %s: %w", m.Source, err)
	}
	if len(found) == 1 {
		out.Source = found[0]
		return out, nil
	}
	option := "lowerdir=" + strings.Join(found, ":")
	if len(option) >= os.Getpagesize() {
		return out, fmt.Errorf("image %s has more layers than one mount can name", m.Source)
	}
	out.Type, out.Source, out.Options = "overlay", "overlay", []string{option, "ro"}
	return out, nil
}

// layersOf is a path of an image as its layers have it, the top one first: one
// file, or the directories whose entries together are there.
func layersOf(lowers []string, sub string) ([]string, error) {
	sub = strings.TrimPrefix(path.Clean("/"+sub), "/")
	if sub == "" {
		return lowers, nil
	}
	var found []string
	for _, layer := range lowers {
		at, hidden := layer, false
		var st unix.Stat_t
		var err error
		for part := range strings.SplitSeq(sub, "/") {
			at = filepath.Join(at, part)
			if err = unix.Lstat(at, &st); err != nil {
				break
			}
			hidden = hidden || opaque(at)
			if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFLNK {
				return nil, fmt.Errorf("subpath %s: %s is a symbolic link, which is not followed", sub, part)
			} else if kind != unix.S_IFDIR {
				hidden = true // a file, or the sign that there is nothing any more
			}
		}
		switch {
		case err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR):
			return nil, fmt.Errorf("subpath %s: %w", sub, err)
		case err != nil:
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			found = append(found, at)
		case st.Mode&unix.S_IFMT == unix.S_IFREG && len(found) == 0:
			return []string{at}, nil
		}
		if hidden {
			break // whatever layers below have there
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("subpath %s: there is no such file or directory in it", sub)
	}
	return found, nil
}

// opaque says that a layer's directory hides what layers below have there.
func opaque(dir string) bool {
	value := make([]byte, 1)
	n, err := unix.Lgetxattr(dir, "trusted.overlay.opaque", value)
	return err == nil && n == 1 && value[0] == 'y'
}
