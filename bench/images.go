package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// imageBench measures builds and the ways of one large layer.
type imageBench struct {
	dir, layer string // layer: a tar, "" for none
	tools      []*imageTool
	registry   *exec.Cmd
	address    string
	rows       map[string]*row
	order      []*row
}

const (
	rowBuild  = "build, 4 steps, no cache"
	rowCached = "build, 4 steps, cached"
	rowImport = "import a Debian layer"
	rowPush   = "push it over loopback"
	rowPull   = "pull and unpack it"
)

func newImageBench(binary, dir, layer string) (*imageBench, error) {
	b := &imageBench{dir: dir, layer: layer, rows: map[string]*row{}}
	for _, t := range []*imageTool{ours(binary, dir), docker(), containers("podman", dir), containers("buildah", dir), skopeo(dir)} {
		if t != nil {
			b.tools = append(b.tools, t)
		}
	}
	b.add(rowBuild, 120*time.Millisecond)
	b.add(rowCached, 30*time.Millisecond)
	if layer != "" {
		b.add(rowImport, 0)
		b.add(rowPush, 0)
		b.add(rowPull, 0)
	}
	busybox := filepath.Join(dir, "busybox.tar")
	data, err := busyboxImage()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(busybox, data, 0o600); err != nil {
		return nil, err
	}
	ctx := filepath.Join(dir, "context")
	if err := os.MkdirAll(ctx, 0o755); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"Dockerfile": "FROM " + benchBase + "\nCOPY file /file\nRUN [\"/bin/busybox\", \"cp\", \"/file\", \"/copy\"]\nRUN [\"/bin/busybox\", \"mkdir\", \"/made\"]\nENV A=b\n",
		"file":       "some text\n",
	} {
		if err := os.WriteFile(filepath.Join(ctx, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	for _, t := range b.tools {
		switch {
		case t.build == nil:
			continue
		case t.importIt != nil:
			err = t.run(t.importIt(busybox, benchBase))
		default: // buildah knows no import
			err = b.scratch(t, busybox)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// benchBase is the image that builds start from.
const benchBase = "localhost/bench/busybox"

// scratch makes the base of a tool that can only build.
func (b *imageBench) scratch(t *imageTool, tar string) error {
	dir := filepath.Join(b.dir, "scratch")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := os.ReadFile(tar)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "base.tar"), data, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nADD base.tar /\n"), 0o600); err != nil {
		return err
	}
	return t.run(t.build(dir, benchBase, true))
}

func (b *imageBench) add(name string, budget time.Duration) {
	r := newRow(name, budget)
	b.rows[name] = r
	b.order = append(b.order, r)
}

// big is the image of the large layer.
const big = "localhost/bench/debian"

// freshRegistry replaces the registry by an empty one at another address and
// gives a name there, so that no tool knows what it has.
func (b *imageBench) freshRegistry() (ref string, err error) {
	b.stopRegistry()
	if err := b.startRegistry(); err != nil {
		return "", err
	}
	return b.address + "/bench/debian", nil
}

func (b *imageBench) stopRegistry() {
	if b.registry != nil {
		_ = b.registry.Process.Kill()
		_ = b.registry.Wait()
		b.registry = nil
	}
	_ = os.RemoveAll(filepath.Join(b.dir, "registry"))
}

// startRegistry runs Debian's docker-registry on a free port of the loopback.
func (b *imageBench) startRegistry() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.address = l.Addr().String()
	l.Close()
	config := filepath.Join(b.dir, "registry.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n  filesystem: {rootdirectory: %s}\nhttp: {addr: %s}\n", filepath.Join(b.dir, "registry"), b.address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	b.registry = exec.Command("docker-registry", "serve", config)
	if err := b.registry.Start(); err != nil {
		return fmt.Errorf("install Debian's docker-registry: %w", err)
	}
	for range 200 {
		reply, err := http.Get("http://" + b.address + "/v2/")
		if err == nil {
			reply.Body.Close()
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("the registry does not answer")
}

func (b *imageBench) close() {
	for _, t := range b.tools {
		t.cleanUp()
	}
	b.stopRegistry()
}

// time measures one command and notes it with its row.
func (b *imageBench) time(t *imageTool, name string, argv []string) error {
	start := time.Now()
	if err := t.run(argv); err != nil {
		return err
	}
	took := time.Since(start)
	r := b.rows[name]
	if t == b.tools[0] {
		r.times = append(r.times, took)
	} else {
		r.peers[t.name] = append(r.peers[t.name], took)
	}
	return nil
}

// round measures every row once with each tool in turn.
func (b *imageBench) round() error {
	ctx := filepath.Join(b.dir, "context")
	for _, cached := range []bool{false, true} {
		name := rowBuild
		if cached {
			name = rowCached
		}
		for _, t := range b.tools {
			if t.build == nil {
				continue
			}
			if !cached { // something to find in the cache later, which --no-cache may not leave
				if err := b.time(t, name, t.build(ctx, "localhost/bench/app", false)); err != nil {
					return err
				}
				if err := t.run(t.build(ctx, "localhost/bench/app", true)); err != nil {
					return err
				}
			} else if err := b.time(t, name, t.build(ctx, "localhost/bench/app", true)); err != nil {
				return err
			}
		}
	}
	if b.layer == "" {
		return nil
	}
	for _, t := range b.tools {
		if err := b.largeLayer(t); err != nil {
			return err
		}
	}
	return b.tools[0].run(b.tools[0].remove(big))
}

// largeLayer imports the layer, pushes it to an empty registry, and pulls it
// again where nothing of it is left.
func (b *imageBench) largeLayer(t *imageTool) error {
	if t.importIt == nil {
		return b.copies(t)
	}
	if err := b.time(t, rowImport, t.importIt(b.layer, big)); err != nil {
		return err
	}
	ref, err := b.freshRegistry()
	if err != nil {
		return err
	}
	if err := t.run(t.tag(big, ref)); err != nil {
		return err
	}
	if err := b.time(t, rowPush, t.push(ref, ref)); err != nil {
		return err
	}
	if err := t.run(t.remove(big, ref)); err != nil {
		return err
	}
	if err := b.time(t, rowPull, t.pull(ref)); err != nil {
		return err
	}
	if t == b.tools[0] {
		if err := t.run(t.tag(ref, big)); err != nil { // for those that cannot import it
			return err
		}
	}
	return t.run(t.remove(ref))
}

// copies has a tool that cannot import pull what ours has pushed, and push it.
func (b *imageBench) copies(t *imageTool) error {
	ref, err := b.freshRegistry()
	if err != nil {
		return err
	}
	mine := b.tools[0]
	for _, argv := range [][]string{mine.tag(big, ref), mine.push(ref, ref), mine.remove(ref)} {
		if err := mine.run(argv); err != nil {
			return err
		}
	}
	if err := b.time(t, rowPull, t.pull(ref)); err != nil {
		return err
	}
	target, err := b.freshRegistry()
	if err != nil {
		return err
	}
	if err := b.time(t, rowPush, t.push(ref, target)); err != nil || t.remove == nil {
		return err
	}
	return t.run(t.remove(ref))
}
