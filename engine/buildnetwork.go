package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"compose/engine/runtime/cgroup"
	"compose/internal/objectname"
	"compose/netbridge"
)

// buildNetwork is the network of RUN steps. It exists only while steps run.
const buildNetwork = "compose-build"

// stepSides makes what the RUN steps of one build need beside their root: a
// directory and a network. The network lasts from the first step that is
// expected to the last, and that of one step is made while the one before runs.
type stepSides struct {
	engine *Engine

	mu      sync.Mutex
	due     int            // steps that are expected and have not begun
	begun   int            // steps that have a side
	ahead   chan *stepSide // will have one, made ahead; nil: none
	release func()         // of the claim that what all share is removed; nil: there is nothing
	going   sync.WaitGroup // what is being given back
	err     error          // of that
}

// stepSide is what one step has.
type stepSide struct {
	id, dir string
	sandbox *netbridge.Sandbox // nil: the host's network
	err     error
	release func()
}

// expect changes how many steps with a network are to come.
func (s *stepSides) expect(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due += n
	s.adjust()
}

// adjust begins to make the next step's side, or to remove what all share after
// the last. s is locked.
func (s *stepSides) adjust() {
	switch {
	case s.due > 0 && s.ahead == nil:
		ahead := make(chan *stepSide, 1)
		s.ahead = ahead
		go func() { ahead <- s.make(context.Background(), "") }()
	case s.due == 0 && s.begun == 0:
		s.drop()
	}
}

// take returns the side of a step that begins now. Where it fails there is
// nothing to give back.
func (s *stepSides) take(ctx context.Context, mode string) (*stepSide, error) {
	s.mu.Lock()
	s.begun++
	var ahead chan *stepSide
	if mode == "" {
		s.due = max(0, s.due-1)
		ahead, s.ahead = s.ahead, nil
		s.adjust()
	}
	s.mu.Unlock()
	var side *stepSide
	if ahead != nil {
		side = <-ahead
	} else {
		side = s.make(ctx, mode)
	}
	if side.err != nil {
		s.give(side)
		return nil, fmt.Errorf("give the step a network: %w", side.err)
	}
	return side, nil
}

// give takes a step's side back, beside what follows. Nothing of the step runs.
func (s *stepSides) give(side *stepSide) {
	s.going.Go(func() {
		err := side.close()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = errors.Join(s.err, err)
		s.begun--
		s.adjust()
	})
}

// end waits until all is given back.
func (s *stepSides) end() error {
	s.mu.Lock()
	s.due = 0
	s.adjust()
	s.mu.Unlock()
	s.going.Wait()
	return s.err
}

// drop removes what the steps have shared. s is locked.
func (s *stepSides) drop() {
	ahead := s.ahead
	s.ahead = nil
	if ahead == nil && s.release == nil {
		return
	}
	s.going.Go(func() {
		var err error
		if ahead != nil { // for a step that turned out to be known, or never came
			side := <-ahead
			err = side.close()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = errors.Join(s.err, err)
		release := s.release
		if s.due > 0 || s.begun > 0 || release == nil {
			return // another step was quicker
		}
		s.release = nil
		s.mu.Unlock()
		err = errors.Join(s.engine.dropBuildNetwork(context.Background()), cgroup.DeleteParent(s.engine.cgroupParent()))
		release()
		s.mu.Lock()
		s.err = errors.Join(s.err, err)
	})
}

// make makes the side of a step on the network with that mode.
func (s *stepSides) make(ctx context.Context, mode string) *stepSide {
	side := &stepSide{id: objectname.NewID()}
	if side.dir, side.release, side.err = s.engine.claimStep(side.id); side.err != nil {
		return side
	}
	if side.err = s.claim(); side.err == nil {
		side.sandbox, side.err = s.network(ctx, side.id, mode)
	}
	return side
}

// claim notes on disk that what the steps share is to be removed, whatever
// becomes of this process.
func (s *stepSides) claim() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release != nil {
		return nil
	}
	_, release, err := s.engine.claimStep(objectname.NewID())
	s.release = release
	return err
}

// network makes a step's own network side; nil is the host's.
func (s *stepSides) network(ctx context.Context, id, mode string) (*netbridge.Sandbox, error) {
	n := s.engine.networks
	cfg := netbridge.SandboxConfig{ContainerID: id, ContainerName: stepName(id)}
	switch mode {
	case "host":
		return nil, nil
	case "none":
		cfg.Loopback = true
		return n.NewSandbox(ctx, cfg)
	}
	cfg.Endpoints = []netbridge.EndpointConfig{{Network: buildNetwork}}
	for {
		if _, err := n.CreateNetwork(ctx, netbridge.NetworkConfig{Name: buildNetwork}); err != nil && !errors.Is(err, netbridge.ErrExists) {
			return nil, err
		}
		sandbox, err := n.NewSandbox(ctx, cfg)
		// Another build's last step may have taken the network away meanwhile.
		if !errors.Is(err, netbridge.ErrNotFound) {
			return sandbox, err
		}
	}
}

// close gives back what there is of a side.
func (s *stepSide) close() (err error) {
	if s.sandbox != nil {
		err = s.sandbox.Close(context.Background())
	}
	if s.release != nil {
		s.release()
	}
	return err
}

// dropBuildNetwork removes the network of steps after the last of them.
func (e *Engine) dropBuildNetwork(ctx context.Context) error {
	err := e.networks.RemoveNetwork(ctx, buildNetwork)
	if errors.Is(err, netbridge.ErrInUse) || errors.Is(err, netbridge.ErrNotFound) {
		return nil // other builds go on, or the last of them was faster
	}
	return err
}
