package main

import (
	"fmt"
	"time"
)

// budgets are the goals of PEERS for a stack of so many services.
var upBudget = map[int]time.Duration{
	1: 30 * time.Millisecond, 2: 40 * time.Millisecond, 10: 90 * time.Millisecond,
	50: 400 * time.Millisecond, 200: 2500 * time.Millisecond,
}

var downBudget = map[int]time.Duration{50: 250 * time.Millisecond}

// stack makes the rows of one stack size. The order is that of round.
func (c *compose) stack(n int) []*row {
	return []*row{
		newRow(fmt.Sprintf("up -d, %d", n), upBudget[n]),
		newRow(fmt.Sprintf("down -t 0, %d", n), downBudget[n]),
	}
}

// single makes the rows that are not a stack going up and down.
func (c *compose) single() []*row {
	return []*row{
		newRow("up -d again, large", 50*time.Millisecond),
		newRow("ps, large", 30*time.Millisecond),
		newRow("exec s1 true", 30*time.Millisecond),
		newRow("run --rm s1 true", 30*time.Millisecond),
		newRow("exec s1 true, large", 0),
		newRow("run --rm s1 true, large", 0),
		newRow("config, 2", 25*time.Millisecond),
		newRow("version", 15*time.Millisecond),
	}
}

// round measures every row once, ours and the others in turn; what is beyond
// the large stack is ours alone.
func (c *compose) round(rows []*row, peers map[string]*compose, sizes []int, large int) error {
	byName := map[string]*row{}
	for _, r := range rows {
		byName[r.name] = r
	}
	measure := func(name string, n int, args ...string) error {
		r := byName[name]
		took, err := c.time(n, args...)
		if err != nil {
			return err
		}
		r.times = append(r.times, took)
		for name, peer := range peers {
			if n > large {
				break
			}
			if took, err = peer.time(n, args...); err != nil {
				return err
			}
			r.peers[name] = append(r.peers[name], took)
		}
		return nil
	}
	for _, n := range sizes {
		up, down := fmt.Sprintf("up -d, %d", n), fmt.Sprintf("down -t 0, %d", n)
		floorUp, floorDown, err := floor(c.dir, n)
		if err != nil {
			return fmt.Errorf("kernel floor: %w", err)
		}
		byName[up].floor = append(byName[up].floor, floorUp)
		byName[down].floor = append(byName[down].floor, floorDown)
		if err := measure(up, n, "up", "-d"); err != nil {
			return err
		}
		for _, step := range whileUp(n, large) {
			if err := measure(step.row, n, step.args...); err != nil {
				return err
			}
		}
		if err := measure(down, n, "down", "-t", "0"); err != nil {
			return err
		}
	}
	if err := measure("config, 2", 2, "config"); err != nil {
		return err
	}
	return measure("version", 2, "version")
}

// step is a command whose time goes into a row.
type step struct {
	row  string
	args []string
}

// whileUp are the steps to be measured while the stack of n services runs.
func whileUp(n, large int) []step {
	exec, run := []string{"exec", "-T", "s1", "true"}, []string{"run", "--rm", "-T", "s1", "true"}
	switch n {
	case 1:
		return []step{{"exec s1 true", exec}, {"run --rm s1 true", run}}
	case large:
		return []step{
			{"up -d again, large", []string{"up", "-d"}},
			{"ps, large", []string{"ps"}},
			{"exec s1 true, large", exec},
			{"run --rm s1 true, large", run},
		}
	}
	return nil
}
