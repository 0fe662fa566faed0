package supervisor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/netbridge"
	"compose/orchestrator/keeper"
)

// TestKilledWhileConnected ends supervisors while they connect a container to
// networks and take it off: each request is done in the end, by whoever is the
// supervisor then, and what the container has is what its record says.
func TestKilledWhileConnected(t *testing.T) {
	h := newHost(t)
	nets := []string{"one", "two"}
	for _, n := range nets {
		if _, err := h.engine.Networks().CreateNetwork(t.Context(), netbridge.NetworkConfig{Name: n}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			err := h.engine.Networks().RemoveNetwork(context.Background(), n)
			if err != nil && !errors.Is(err, netbridge.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	id := h.container("sleeper", "exec sleep 1000", func(s *engine.ContainerSpec) { s.NetworkMode = "" })
	h.start(id)
	over := make(chan struct{})
	var killer sync.WaitGroup
	var killed atomic.Int32
	// Each request has one come up: none meets more than its client puts up with,
	// however slow the machine is.
	due := make(chan struct{}, 3)
	killer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			case <-due:
			}
			time.Sleep(time.Duration(30+23*(i%7)) * time.Millisecond)
			if pids := h.processes(keeper.SupervisorName); len(pids) == 1 && unix.Kill(pids[0], unix.SIGKILL) == nil {
				killed.Add(1)
			}
		}
	})
	var want []string
	for round := 0; round < 9 || killed.Load() < 3; round++ {
		for _, n := range nets {
			select {
			case due <- struct{}{}:
			default:
			}
			if round%3 == 2 {
				want = slices.DeleteFunc(want, func(o string) bool { return o == n })
				if err := h.client.Disconnect(t.Context(), id, n); err != nil {
					t.Errorf("disconnect: %v", err)
				}
				continue
			}
			if !slices.Contains(want, n) {
				want = append(want, n)
			}
			if err := h.client.Connect(t.Context(), id, netbridge.EndpointConfig{Network: n}); err != nil {
				t.Errorf("connect: %v", err)
			}
		}
	}
	close(over)
	killer.Wait()
	h.soon("the supervisor is back", func() bool { _, err := h.client.Info(t.Context()); return err == nil })
	check := func(want []string) {
		t.Helper()
		c, err := h.engine.Container(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		state, err := h.engine.State(id)
		if err != nil {
			t.Fatal(err)
		}
		var asked, has []string
		for _, n := range c.Spec.Networks {
			asked = append(asked, n.Network)
		}
		for _, e := range state.Endpoints {
			has = append(has, e.Network)
		}
		slices.Sort(asked)
		slices.Sort(has)
		if !slices.Equal(asked, want) || !slices.Equal(has, want) {
			t.Errorf("on record %v, has %v, want %v", asked, has, want)
		}
	}
	check(want)
	for _, n := range nets {
		if err := h.client.Connect(t.Context(), id, netbridge.EndpointConfig{Network: n}); err != nil {
			t.Error(err)
		}
	}
	check(nets)
	for _, n := range nets {
		if err := h.client.Disconnect(t.Context(), id, n); err != nil {
			t.Error(err)
		}
		if err := h.engine.Networks().RemoveNetwork(t.Context(), n); err != nil {
			t.Errorf("something is left on network %s: %v", n, err)
		}
	}
	check(nil)
}
