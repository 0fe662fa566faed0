package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"compose/engine/build/fileop"
	"compose/internal/filelock"
)

// mounter makes what a RUN step mounts beside its root, and takes it away.
type mounter struct {
	s    *session
	ctx  context.Context
	undo []func()
}

func (m *mounter) close() {
	for i := len(m.undo) - 1; i >= 0; i-- {
		m.undo[i]()
	}
}

func (m *mounter) mounts(list []*pb.Mount, in []*snapshot) ([]specs.Mount, error) {
	out := []specs.Mount{}
	if size := m.s.opts.ShmSize; size > 0 {
		out = append(out, specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", fmt.Sprintf("size=%d", size)}})
	}
	for _, one := range list {
		if one.Dest == pb.RootMount {
			continue
		}
		mount, ok, err := m.mount(one, in)
		if err != nil {
			return nil, fmt.Errorf("mount on %s: %w", one.Dest, err)
		}
		if ok {
			out = append(out, mount)
		}
	}
	return out, nil
}

func (m *mounter) mount(one *pb.Mount, in []*snapshot) (specs.Mount, bool, error) {
	bind := func(source string, readonly bool) specs.Mount {
		options := []string{"rbind", "rprivate"}
		if readonly {
			options = append(options, "ro")
		}
		return specs.Mount{Destination: one.Dest, Type: "bind", Source: source, Options: options}
	}
	switch one.MountType {
	case pb.MountType_BIND:
		if one.Input < 0 {
			return specs.Mount{}, false, errors.New("a bind mount of nothing")
		}
		source, err := m.source(in[one.Input], one.Selector, !one.Readonly)
		return bind(source, one.Readonly), true, err
	case pb.MountType_TMPFS:
		options := []string{"nosuid", "nodev", "noexec"}
		if size := one.TmpfsOpt.GetSize(); size > 0 {
			options = append(options, fmt.Sprintf("size=%d", size))
		}
		return specs.Mount{Destination: one.Dest, Type: "tmpfs", Source: "tmpfs", Options: options}, true, nil
	case pb.MountType_CACHE:
		var from *snapshot
		if one.Input >= 0 {
			from = in[one.Input]
		}
		dir, err := m.cache(one.CacheOpt, from, one.Selector)
		return bind(dir, one.Readonly), true, err
	case pb.MountType_SECRET:
		file, err := m.secretFile(one.SecretOpt)
		if err != nil && one.SecretOpt.Optional && errors.Is(err, errNoSecret) {
			return specs.Mount{}, false, nil
		}
		return bind(file, true), true, err
	case pb.MountType_SSH:
		id := cmp.Or(one.SSHOpt.ID, "default")
		socket, ok := m.s.opts.SSH[id]
		if !ok && one.SSHOpt.Optional {
			return specs.Mount{}, false, nil
		}
		if !ok {
			return specs.Mount{}, false, fmt.Errorf("ssh %s: %w", id, errNoSecret)
		}
		return bind(socket, true), true, nil
	}
	return specs.Mount{}, false, fmt.Errorf("mounts of type %s are not supported", one.MountType)
}

// source is a path of this host with the files of a snapshot. One layer or a
// directory is mounted as it lies; of several, or where the step may write, a
// copy is made, which goes with the step.
func (m *mounter) source(snap *snapshot, selector string, writable bool) (string, error) {
	selector = path.Join("/", selector)
	if !writable && (snap.dir != "" && snap.ignore == nil || len(snap.layers) == 1) {
		dir := snap.dir
		if dir == "" {
			lowers, err := m.s.lowers(snap)
			if err != nil {
				return "", err
			}
			dir = lowers[0]
		}
		// The kernel resolves it below the directory; a link cannot lead out.
		root, err := os.OpenRoot(dir)
		if err != nil {
			return "", err
		}
		defer root.Close()
		if _, err := root.Stat("." + selector); err != nil {
			return "", fmt.Errorf("%q: not found", selector)
		}
		if real, err := filepath.EvalSymlinks(filepath.Join(dir, selector)); err == nil && hasPrefixPath(real, dir) {
			return real, nil
		}
	}
	w, err := m.s.newScratch()
	if err != nil {
		return "", err
	}
	m.undo = append(m.undo, w.remove)
	top, err := os.Open(w.upper)
	if err != nil {
		return "", err
	}
	defer top.Close()
	err = m.s.read(snap, func(t fileop.Tree) error {
		return fileop.Copy(m.ctx, t, int(top.Fd()), &pb.FileActionCopy{
			Src: selector, Dest: "/copy", Mode: -1, FollowSymlink: true, CreateDestPath: true, DirCopyContents: true, Timestamp: -1,
		}, nil)
	})
	return filepath.Join(w.upper, "copy"), err
}

// cache is a directory that outlives the build, one for each ID and each
// content that it begins with.
func (m *mounter) cache(opt *pb.CacheOpt, from *snapshot, selector string) (string, error) {
	id := opt.GetID()
	if from != nil {
		base, known := from.identity()
		if !known {
			base = m.s.top
		}
		id += " from " + base + " " + path.Join("/", selector)
	}
	store := filepath.Join(m.s.roots.Build(), "caches")
	dir := filepath.Join(store, digest.FromString(id).Encoded()[:26])
	if err := os.MkdirAll(store, 0o700); err != nil {
		return "", err
	}
	switch opt.GetSharing() {
	case pb.CacheSharingOpt_LOCKED:
		lock, err := filelock.Exclusive(dir + lockSuffix)
		if err != nil {
			return "", err
		}
		m.undo = append(m.undo, lock.Unlock)
	case pb.CacheSharingOpt_PRIVATE:
		// The first one that nobody has at this moment.
		for n := 0; ; n++ {
			own := dir + strings.Repeat("-", n)
			lock, err := filelock.TryExclusive(own + lockSuffix)
			if err == filelock.ErrHeld {
				continue
			}
			if err != nil {
				return "", err
			}
			m.undo = append(m.undo, lock.Unlock)
			dir = own
			break
		}
	}
	if _, err := os.Lstat(dir); err == nil {
		return dir, nil
	}
	return dir, m.fill(dir, from, selector)
}

// fill makes a cache directory, which appears with what it begins with.
func (m *mounter) fill(dir string, from *snapshot, selector string) error {
	w, err := m.s.newScratch()
	if err != nil {
		return err
	}
	defer w.remove()
	made := filepath.Join(w.upper, "cache")
	if err := os.Mkdir(made, 0o755); err != nil {
		return err
	}
	if from != nil && (len(from.layers) > 0 || from.dir != "") {
		// Owner and mode of the cache are those of the directory it begins with.
		if err := os.Remove(made); err != nil {
			return err
		}
		top, err := os.Open(w.upper)
		if err != nil {
			return err
		}
		defer top.Close()
		err = m.s.read(from, func(t fileop.Tree) error {
			return fileop.Copy(m.ctx, t, int(top.Fd()), &pb.FileActionCopy{
				Src: path.Join("/", selector), Dest: "/cache", Mode: -1, FollowSymlink: true, CreateDestPath: true, DirCopyContents: true, Timestamp: -1,
			}, nil)
		})
		if err != nil {
			return err
		}
	}
	err = os.Rename(made, dir)
	if _, there := os.Lstat(dir); there == nil {
		return nil // somebody else was quicker
	}
	return err
}

// secretFile puts a secret where the step can read it: below the run root,
// which is memory, never on the disk.
func (m *mounter) secretFile(opt *pb.SecretOpt) (string, error) {
	data, err := m.s.secret(opt.ID)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(m.s.roots.Run, "build")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "secret-"+randomID())
	m.undo = append(m.undo, func() { os.Remove(file) })
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return "", err
	}
	if err := os.Chown(file, int(opt.Uid), int(opt.Gid)); err != nil {
		return "", err
	}
	return file, os.Chmod(file, fileModeOf(opt.Mode))
}

func fileModeOf(mode uint32) os.FileMode {
	if mode == 0 {
		mode = 0o400
	}
	return os.FileMode(mode & 0o777)
}

// secret is the content of a secret that the build was given.
func (s *session) secret(id string) ([]byte, error) {
	given, ok := s.opts.Secrets[id]
	if !ok {
		return nil, unknownSecret(id)
	}
	if given.File == "" {
		return given.Data, nil
	}
	data, err := os.ReadFile(given.File)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", id, err)
	}
	return data, nil
}

// trimmed is a destination without its slashes at the ends.
func trimmed(dest string) string { return strings.Trim(path.Clean("/"+dest), "/") }
