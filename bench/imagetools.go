package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// imageTool is something that makes and moves images, by its command lines;
// nil where it does not do a thing.
type imageTool struct {
	name     string
	env      []string
	importIt func(tar, ref string) []string
	build    func(dir, ref string, cached bool) []string
	push     func(from, ref string) []string
	pull     func(ref string) []string
	remove   func(refs ...string) []string
	tag      func(from, ref string) []string
	cleanUp  func()
}

func (t *imageTool) run(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = t.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %q: %w\n%s", t.name, argv, err, out.String())
	}
	return nil
}

func join(words []string, more ...string) []string {
	return append(append([]string{}, words...), more...)
}

// ours is the binary that is measured, in a root of its own.
func ours(binary, dir string) *imageTool {
	c := []string{binary, "--root", filepath.Join(dir, "images"), "image"}
	return &imageTool{
		name: "compose", env: os.Environ(),
		importIt: func(tar, ref string) []string { return join(c, "import", tar, ref) },
		build: func(dir, ref string, cached bool) []string {
			if cached {
				return join(c, "build", "-q", "-t", ref, dir)
			}
			return join(c, "build", "-q", "--no-cache", "-t", ref, dir)
		},
		push:    func(_, ref string) []string { return join(c, "push", "-q", ref) },
		pull:    func(ref string) []string { return join(c, "pull", "-q", ref) },
		remove:  func(refs ...string) []string { return join(join(c, "rm", "-f"), refs...) },
		tag:     func(from, ref string) []string { return join(c, "tag", from, ref) },
		cleanUp: func() {},
	}
}

// docker is the engine that answers, with BuildKit as its builder.
func docker() *imageTool {
	program := os.Getenv("BENCH_DOCKER")
	if program == "" {
		program = "docker"
	}
	if exec.Command(program, "info").Run() != nil {
		return nil
	}
	return &imageTool{
		name: "docker (BuildKit)", env: append(os.Environ(), "DOCKER_BUILDKIT=1"),
		importIt: func(tar, ref string) []string { return []string{program, "import", tar, ref} },
		build: func(dir, ref string, cached bool) []string {
			if cached {
				return []string{program, "build", "-q", "-t", ref, dir}
			}
			return []string{program, "build", "-q", "--no-cache", "-t", ref, dir}
		},
		push:    func(_, ref string) []string { return []string{program, "push", "-q", ref} },
		pull:    func(ref string) []string { return []string{program, "pull", "-q", ref} },
		remove:  func(refs ...string) []string { return join([]string{program, "rmi", "-f"}, refs...) },
		tag:     func(from, ref string) []string { return []string{program, "tag", from, ref} },
		cleanUp: func() {},
	}
}

// containers is podman or buildah, in a storage of its own. Their RUN steps are
// in a chroot only: with crun they fail where cgroups are hybrid.
func containers(name, dir string) *imageTool {
	program, err := exec.LookPath(name)
	if err != nil {
		return nil
	}
	c := []string{program, "--root", filepath.Join(dir, name), "--runroot", filepath.Join(dir, name+"-run"), "--storage-driver", "overlay"}
	t := &imageTool{
		name: name, env: os.Environ(),
		build: func(dir, ref string, cached bool) []string {
			argv := join(c, "build", "-q", "--layers", "--isolation", "chroot", "-t", ref)
			if !cached {
				argv = append(argv, "--no-cache")
			}
			return append(argv, dir)
		},
		push:   func(from, ref string) []string { return join(c, "push", "-q", "--tls-verify=false", from, ref) },
		pull:   func(ref string) []string { return join(c, "pull", "-q", "--tls-verify=false", ref) },
		remove: func(refs ...string) []string { return join(join(c, "rmi", "-f"), refs...) },
		tag:    func(from, ref string) []string { return join(c, "tag", from, ref) },
		cleanUp: func() {
			_ = exec.Command(c[0], join(c[1:], "rmi", "-a", "-f")...).Run() // the directory goes as well
		},
	}
	if name == "podman" {
		t.importIt = func(tar, ref string) []string { return join(c, "import", "-q", tar, ref) }
	}
	return t
}

// skopeo only copies: into a directory, unpacking nothing.
func skopeo(dir string) *imageTool {
	program, err := exec.LookPath("skopeo")
	if err != nil {
		return nil
	}
	at := "dir:" + filepath.Join(dir, "skopeo")
	return &imageTool{
		name: "skopeo", env: os.Environ(),
		push: func(_, ref string) []string {
			return []string{program, "copy", "-q", "--dest-tls-verify=false", at, "docker://" + ref}
		},
		pull: func(ref string) []string {
			return []string{program, "copy", "-q", "--src-tls-verify=false", "docker://" + ref, at}
		},
		cleanUp: func() {},
	}
}
