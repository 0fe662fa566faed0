package build

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"compose/engine/build/index"
	"compose/engine/image"
	"compose/internal/filelock"
)

// session is one Build under way.
type session struct {
	*Builder
	opts   Options
	file   string            // the Dockerfile, as errors name it
	source []byte            // its text
	dirs   map[string]string // local:// name -> directory
	memory map[string][]byte // local:// name -> the only file, Dockerfile

	ctx    context.Context
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // goroutines that solve

	mu       sync.Mutex
	vertices map[digest.Digest]*vertex
	tasks    map[digest.Digest]*task
	images   map[string]*image.Image // by the reference in the graph
	indexes  map[string]*index.Index // of directories, by path
	pending  []record                // that could not be written yet
	unsynced []image.Layer           // that a power loss would take
	epoch    *time.Time              // no time in the image is later
	results  map[key][]layer         // of all operations met
	foreign  *foreignCache
	lost     map[digest.Digest]bool // layers, by chain ID, that cannot be had after all

	steps  Steps
	coming map[*vertex]bool // RUN steps that may be run; whether they are expected

	top      string // directory for what is being made
	lock     *filelock.Lock
	emptyDir func() (string, error)
}

// newSession makes the working directory of a build and clears up after
// builds that were killed.
func (b *Builder) newSession(ctx context.Context, opts Options) (*session, error) {
	s := &session{
		Builder: b, opts: opts,
		dirs: map[string]string{}, memory: map[string][]byte{},
		vertices: map[digest.Digest]*vertex{}, tasks: map[digest.Digest]*task{},
		images: map[string]*image.Image{}, indexes: map[string]*index.Index{},
		results: map[key][]layer{}, coming: map[*vertex]bool{}, foreign: &foreignCache{}, lost: map[digest.Digest]bool{},
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	all := filepath.Join(b.roots.Build(), "work")
	if err := os.MkdirAll(all, 0o700); err != nil {
		return nil, fmt.Errorf("make the build directory: %w", err)
	}
	sweep(all)
	// Again: a sweep may look at the new lock at the very moment.
	var err error
	for range 10 {
		s.top = filepath.Join(all, randomID())
		if s.lock, err = filelock.TryExclusive(s.top + lockSuffix); err != filelock.ErrHeld {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.top, 0o700); err != nil {
		return nil, err
	}
	s.emptyDir = sync.OnceValues(func() (string, error) {
		dir := filepath.Join(s.top, "empty")
		return dir, os.Mkdir(dir, 0o755)
	})
	return s, nil
}

const lockSuffix = ".lock"

// sweep removes the working directories whose builds are no more.
func sweep(all string) {
	list, err := os.ReadDir(all)
	if err != nil {
		return
	}
	for _, e := range list {
		name, ok := strings.CutSuffix(e.Name(), lockSuffix)
		if !ok {
			continue
		}
		path := filepath.Join(all, e.Name())
		lock, err := filelock.TryExclusive(path)
		if err != nil {
			continue
		}
		if os.RemoveAll(filepath.Join(all, name)) == nil {
			os.Remove(path)
		}
		lock.Unlock()
	}
}

// close waits for what is still running, keeps what has been found out and
// removes the working directory.
func (s *session) close() error {
	s.cancel(context.Canceled)
	s.work.Wait()
	err := s.flush()
	s.keepForeign()
	for _, x := range s.indexes {
		err = errors.Join(err, x.Save())
	}
	if removed := os.RemoveAll(s.top); removed == nil {
		os.Remove(s.top + lockSuffix)
	} else {
		err = errors.Join(err, removed)
	}
	s.lock.Unlock()
	return err
}

func (s *session) empty() (string, error) { return s.emptyDir() }

// scratch is a place where a layer is made.
type scratch struct{ dir, upper, work string }

func (s *session) newScratch() (*scratch, error) {
	dir := filepath.Join(s.top, randomID())
	w := &scratch{dir: dir, upper: filepath.Join(dir, "fs"), work: filepath.Join(dir, "work")}
	for _, d := range []string{dir, w.upper, w.work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, fmt.Errorf("make a directory for the layer: %w", err)
		}
	}
	return w, os.Chmod(w.upper, 0o755) // whatever our umask
}

func (w *scratch) remove() { os.RemoveAll(w.dir) }

func randomID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// indexOf is the digests known of the files below a directory.
func (s *session) indexOf(dir string) *index.Index {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.indexes[dir]
	if x == nil {
		x = index.Open(filepath.Join(s.roots.Build(), "index"), dir)
		s.indexes[dir] = x
	}
	return x
}
