package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// scarce is the stack that the tests of what runs out bring up.
const scarce = `services:
  anchor: {image: busybox, command: sleep 100000, init: true}
  once: {image: busybox, command: sleep 100000}
  more:
    image: busybox
    command: sleep 100000
    init: true
    profiles: [more]
    volumes: ['data:/data', '/anonymous']
    ports: ['8080']
volumes: {data: }
`

// TestFullRoot has the inodes or the room of the root run out at different
// steps of up. It says so in a line; what it had made can be taken down on the
// full disk, and nothing of it is left.
func TestFullRoot(t *testing.T) {
	t.Parallel()
	for what, fill := range map[string]func(t *testing.T, root string, free int){"inodes": fillInodes, "blocks": fillBlocks} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			if err := syscall.Mount("tmpfs", h.root, "tmpfs", 0, "size=24m,nr_inodes=2000,mode=0700"); err != nil {
				t.Fatal(err)
			}
			defer unmount(t, h.root)
			h.busybox("scarce") // a store of its own: links into another file system there are none
			dir := h.project("full", "compose.yml", strings.ReplaceAll(scarce, "busybox", "scarce"))
			up := []string{"--profile", "more", "up", "-d", "-t", "0"}
			down := []string{"--profile", "more", "down", "-v", "-t", "0"}
			h.in(dir, up...).ok()
			h.in(dir, down...).ok()
			base := paths(h.root)
			failed := 0
			for _, free := range []int{0, 2, 5, 9, 14, 20, 28, 40} {
				fill(t, h.root, free)
				r := h.in(dir, up...)
				if r.code != 0 {
					failed++
					r.fails(1, "no space left on device")
				}
				h.in(dir, down...).ok()
				if err := os.RemoveAll(filepath.Join(h.root, "fill")); err != nil {
					t.Fatal(err)
				}
				eventually(t, "nothing is left", func() error {
					if left := beyond(paths(h.root), base); len(left) > 0 {
						return fmt.Errorf("with %d %s free there is left: %v", free, what, left)
					}
					return nil
				})
			}
			if failed < 3 {
				t.Errorf("up failed %d times: the disk was not full", failed)
			}
			h.in(dir, up...).ok()
			h.in(dir, down...).ok()
		})
	}
}

// fillInodes makes files until there are only so many inodes left.
func fillInodes(t *testing.T, root string, free int) {
	t.Helper()
	dir := filepath.Join(root, "fill")
	var names []string
	for err := os.Mkdir(dir, 0o700); err == nil; {
		name := filepath.Join(dir, fmt.Sprint(len(names)))
		if err = os.WriteFile(name, nil, 0o600); err == nil {
			names = append(names, name)
		}
	}
	for _, name := range names[:free] {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// fillBlocks writes a file until there are only so many blocks left.
func fillBlocks(t *testing.T, root string, free int) {
	t.Helper()
	dir := filepath.Join(root, "fill")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(root, &st); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, (int64(st.Bfree)-int64(free))*st.Bsize), 0o600); err != nil {
		t.Fatal(err)
	}
}

// paths are all files of a root, but for the logs and locks that stay.
func paths(root string) map[string]bool {
	found := map[string]bool{}
	for _, top := range []string{"containers", "volumes", "networks", "projects", "images", "layers"} {
		list, _ := filepath.Glob(filepath.Join(root, top, "*"))
		hidden, _ := filepath.Glob(filepath.Join(root, top, ".[!.]*"))
		for _, path := range append(list, hidden...) {
			if !strings.HasSuffix(path, "lock") {
				found[strings.TrimPrefix(path, root+"/")] = true
			}
		}
	}
	return found
}

func beyond(now, base map[string]bool) (left []string) {
	for path := range now {
		if !base[path] {
			left = append(left, path)
		}
	}
	return left
}

// TestReadOnlyState has the root become read-only below a running stack. What
// looks goes on, what changes says why it cannot; and how a container ended
// meanwhile is on disk once that can be written again.
func TestReadOnlyState(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("fixed", "compose.yml", scarce)
	h.in(dir, "up", "-d").ok()
	if err := errors.Join(
		syscall.Mount(h.root, h.root, "", syscall.MS_BIND, ""),
		syscall.Mount("", h.root, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""),
	); err != nil {
		t.Fatal(err)
	}
	fixed := true
	loosen := func() {
		if fixed {
			fixed = false
			if err := syscall.Unmount(h.root, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	}
	defer loosen()
	for _, args := range [][]string{{"ps", "-a"}, {"logs"}, {"images"}, {"exec", "-T", "anchor", "true"}, {"volume", "ls"}, {"network", "ls"}, {"container", "ls"}} {
		h.in(dir, args...).ok()
	}
	for _, args := range [][]string{{"up", "-d"}, {"restart"}, {"stop"}, {"down"}, {"run", "anchor"}, {"volume", "create", "x"}, {"network", "create", "x"}, {"image", "rm", "busybox"}, {"container", "create", "busybox"}} {
		r := h.in(dir, args...).fails(1, "read-only file system")
		if lines := strings.Count(r.stderr, "\n"); lines != 1 {
			t.Errorf("%s says %d lines: %s", r.line, lines, r.stderr)
		}
	}
	if err := syscall.Kill(h.state("fixed-once-1").Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the supervisor meets the end", func() error {
		log, err := os.ReadFile(filepath.Join(h.root, "projects/fixed/supervisor.log"))
		if err == nil && !strings.Contains(string(log), "note its end: ") {
			err = errors.New("it has not said so")
		}
		return err
	})
	loosen()
	eventually(t, "the exit status on disk", func() error {
		if s := h.state("fixed-once-1"); s.Status != "exited" || s.ExitCode != 137 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	h.in(dir, "--profile", "more", "up", "-d").ok()
	h.in(dir, "--profile", "more", "down", "-v", "-t", "0").ok()
}

// TestNoDescriptors has the supervisor, and then a command, run out of
// descriptors at different steps of a start. Nothing is half done, what runs
// runs on, and what was asked works as soon as there are some again.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("few", "compose.yml", scarce)
	h.in(dir, "up", "-d").ok()
	up := []string{"--profile", "more", "up", "-d", "--no-recreate", "more"}
	down := []string{"rm", "-s", "-f", "-v", "more"}
	anchor, supervisor := h.state("few-anchor-1").Pid, ourProcess(t, "compose-supervisor", h.root, 0)
	var whole unix.Rlimit
	if err := unix.Prlimit(supervisor, unix.RLIMIT_NOFILE, nil, &whole); err != nil {
		t.Fatal(err)
	}
	limit := func(n uint64) {
		t.Helper()
		if err := unix.Prlimit(supervisor, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: whole.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	failed := 0
	for _, more := range []uint64{4, 6, 9, 12, 16, 24} {
		free := uint64(0)
		for {
			if _, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", supervisor, free)); err != nil {
				break
			}
			free++
		}
		limit(free + more)
		cmd := h.command(t.Context(), dir, up...)
		out, err := cmd.CombinedOutput()
		limit(whole.Cur)
		if err != nil {
			failed++
			if text := string(out); !strings.Contains(text, "too many open files") || strings.Contains(text, "goroutine ") {
				t.Errorf("with %d more descriptors the supervisor says %s", more, text)
			}
		}
		h.in(dir, down...).ok()
	}
	if failed == 0 {
		t.Error("up never failed: the limit is none")
	}
	for n := 8; n <= 48; n += 5 {
		cmd := exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, n), "sh", binary}, up...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "COMPOSE_ROOT="+h.root, "COMPOSE_PROGRESS=plain")
		if out, err := cmd.CombinedOutput(); err != nil && (!strings.Contains(string(out), "too many open files") || strings.Contains(string(out), "goroutine ")) {
			t.Errorf("with %d descriptors the command says %s", n, out)
		}
		h.in(dir, down...).ok()
	}
	if s := h.state("few-anchor-1"); s.Pid != anchor || ourProcess(t, "compose-supervisor", h.root, 0) != supervisor {
		t.Errorf("the container or its supervisor is another: %+v", s)
	}
	h.in(dir, up...).ok()
	h.in(dir, "--profile", "more", "down", "-v", "-t", "0").ok()
}
