package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// mounts adds the container's own mounts to the defaults, those of shorter
// paths first, and the files of the name service. Sources that stand in held
// are there as long as those files are open.
func (e *Engine) mounts(c *Container, spec *specs.Spec, held *heldFiles) error {
	s := &c.Spec
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		if m.Destination == "/dev/shm" && s.ShmSize > 0 {
			m.Options = append(slices.DeleteFunc(m.Options, func(o string) bool { return strings.HasPrefix(o, "size=") }), fmt.Sprintf("size=%d", s.ShmSize))
		}
	}
	if s.IPCMode == "host" {
		spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev/shm" || m.Destination == "/dev/mqueue" })
		for _, dir := range []string{"/dev/shm", "/dev/mqueue"} {
			if _, err := os.Stat(dir); err == nil { // not every host has both
				spec.Mounts = append(spec.Mounts, specs.Mount{Destination: dir, Type: "bind", Source: dir, Options: []string{"rbind"}})
			}
		}
	}
	if peer, ok := strings.CutPrefix(s.IPCMode, "container:"); ok {
		if err := e.shareMemory(peer, spec, held); err != nil {
			return err
		}
	}
	own := make([]specs.Mount, 0, len(s.Mounts)+3)
	for _, m := range s.Mounts {
		mount, err := e.mount(m, c.UserNS, held)
		if err != nil {
			return fmt.Errorf("mount on %s: %w", m.Target, err)
		}
		own = append(own, mount)
		// One of the user's own replaces the default at the same place.
		spec.Mounts = slices.DeleteFunc(spec.Mounts, func(d specs.Mount) bool { return d.Destination == path.Clean(m.Target) })
	}
	sort.SliceStable(own, func(i, j int) bool {
		return strings.Count(own[i].Destination, "/") < strings.Count(own[j].Destination, "/")
	})
	for _, name := range []string{"resolv.conf", "hostname", "hosts"} {
		target := "/etc/" + name
		if slices.ContainsFunc(own, func(m specs.Mount) bool { return m.Destination == target }) {
			continue
		}
		options := c.UserNS.mapped("rbind", "rprivate")
		if s.ReadOnly {
			options = append(options, "ro")
		}
		own = append(own, specs.Mount{Destination: target, Type: "bind", Source: filepath.Join(e.dir(c.ID), name), Options: options})
	}
	spec.Mounts = append(spec.Mounts, own...)
	return nil
}

// shareMemory has a container that is in another's IPC namespace see the shared
// memory of that one, half of which is files of /dev/shm.
func (e *Engine) shareMemory(peer string, spec *specs.Spec, held *heldFiles) error {
	st, err := e.State(peer)
	if err != nil {
		return err
	}
	f, err := runtime.PeerMount(st.PID, "/dev/shm")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has none
	}
	if err != nil {
		return fmt.Errorf("share the memory of container %.12s: %w", peer, err)
	}
	*held = append(*held, f)
	spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev/shm" })
	spec.Mounts = append(spec.Mounts, specs.Mount{
		Destination: "/dev/shm", Type: "bind", Source: fmt.Sprintf("/proc/self/fd/%d", f.Fd()), Options: []string{"bind", runtime.Detached},
	})
	return nil
}

func (e *Engine) mount(m Mount, u *UserNS, held *heldFiles) (specs.Mount, error) {
	out := specs.Mount{Destination: path.Clean(m.Target), Type: "bind", Source: m.Source, Options: []string{"rbind"}}
	switch m.Type {
	case "tmpfs":
		out.Type, out.Source, out.Options = "tmpfs", "tmpfs", []string{"noexec", "nosuid", "nodev"}
		if m.TmpfsSize > 0 {
			out.Options = append(out.Options, fmt.Sprintf("size=%d", m.TmpfsSize))
		}
		if m.TmpfsMode != 0 {
			out.Options = append(out.Options, fmt.Sprintf("mode=%o", m.TmpfsMode))
		}
		if m.TmpfsOpts != "" {
			out.Options = append(out.Options, strings.Split(m.TmpfsOpts, ",")...)
		}
		if m.ReadOnly {
			out.Options = append(out.Options, "ro")
		}
		return out, nil
	case "volume":
		v, err := e.volumes.Get(m.Source)
		if err != nil {
			return out, err
		}
		source, fstype, options := e.volumes.MountSource(v)
		out.Source = source
		switch {
		case fstype != "bind":
			out.Type, out.Options = fstype, strings.Split(options, ",")
		case v.Options["device"] == "":
			out.Options = u.mapped(out.Options...)
		}
		if m.Subpath != "" {
			f, err := openSubpath(source, m.Subpath)
			if err != nil {
				return out, err
			}
			*held = append(*held, f)
			// By the descriptor: another container of the volume may put a link
			// where the name leads, at any time.
			out.Source = fmt.Sprintf("/proc/self/fd/%d", f.Fd())
		}
	case "bind":
		if err := prepareBind(&m, u); err != nil {
			return out, err
		}
		if m.Recursive == "disabled" {
			out.Options = []string{"bind"}
		}
		if m.Own {
			out.Options = u.mapped(out.Options...)
		}
	case "image":
		out, err := e.imageMount(m)
		out.Options = u.mapped(out.Options...)
		return out, err
	default:
		return out, fmt.Errorf("mounts of type %q are not supported", m.Type)
	}
	propagation := m.Propagation
	if propagation == "" {
		propagation = "rprivate"
	}
	out.Options = append(out.Options, propagation)
	if m.ReadOnly {
		ro := "ro"
		if m.Recursive == "readonly" {
			ro = "rro"
		}
		out.Options = append(out.Options, ro)
	}
	return out, nil
}

// heldFiles are descriptors that a Spec's mounts refer to.
type heldFiles []*os.File

func (h heldFiles) close() {
	for _, f := range h {
		f.Close()
	}
}

// openSubpath opens a directory or file inside a volume. Its links are the
// containers' to make, so it may not have any.
func openSubpath(top, sub string) (*os.File, error) {
	root, err := unix.Open(top, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the volume: %w", err)
	}
	defer unix.Close(root)
	for {
		fd, err := unix.Openat2(root, "./"+path.Clean("/" + sub)[1:], &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
		})
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), sub), nil
		case unix.EAGAIN, unix.EINTR: // a rename elsewhere raced with it
		case unix.ELOOP:
			return nil, fmt.Errorf("subpath %s: there is a symbolic link on the way, which is not followed", sub)
		default:
			return nil, fmt.Errorf("subpath %s: %w", sub, err)
		}
	}
}
