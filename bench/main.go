// Command bench times the built binary on stacks of busybox containers and
// prints each row beside its budget and beside the kernel floor, which it
// measures itself in the same run; see PEERS in bench/README.md.
package main

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// row is one line of the table.
type row struct {
	name   string
	budget time.Duration
	times  []time.Duration
	floor  []time.Duration            // the same work as bare system calls, where that makes sense
	peers  map[string][]time.Duration // by the peer's name, of those that are installed
}

func newRow(name string, budget time.Duration) *row {
	return &row{name: name, budget: budget, peers: map[string][]time.Duration{}}
}

func main() {
	binary := flag.String("compose", "bin/compose", "the binary to measure")
	runs := flag.Int("runs", 5, "counted runs of each row, after one that is not counted")
	large := flag.Int("large", 50, "services of the large stack")
	huge := flag.Int("huge", 200, "services of the largest stack, of which the kernel takes 1023 on a network; 0: none")
	layer := flag.String("layer", "", "the tar of a large layer")
	only := flag.String("only", "", `some of "stacks,runtimes,traffic,images"`)
	out := flag.String("json", "", "write the figures to this file too")
	flag.Parse()
	o := options{*binary, *runs, *large, *huge, *layer, *only, *out}
	if err := bench(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	binary            string
	runs, large, huge int
	layer             string
	only, json        string
}

func bench(o options) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("the containers need root")
	}
	var err error
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	info, err := os.Stat(o.binary)
	if err != nil {
		return err
	}
	deps := 0
	if info, err := buildinfo.ReadFile(o.binary); err == nil {
		deps = len(info.Deps)
	}
	r := &report{Machine: machine(), Runs: o.runs, BinaryBytes: info.Size(), Dependencies: deps}
	for _, part := range []struct {
		name string
		run  func(options, string, *report) error
	}{{"stacks", benchStacks}, {"runtimes", benchRuntimes}, {"traffic", benchTraffic}, {"images", benchImages}} {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), part.name) {
			continue
		}
		if err := part.run(o, dir, r); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	r.print()
	if o.json == "" {
		return nil
	}
	return r.write(o.json)
}

// benchStacks measures stacks that go up and down.
func benchStacks(o options, dir string, r *report) error {
	tool, err := newCompose(o.binary, dir)
	if err != nil {
		return err
	}
	defer tool.cleanUp()
	peers := findPeers(dir)
	for _, peer := range peers {
		defer peer.cleanUp()
	}
	sizes := []int{1, 2, 10, o.large}
	if o.huge > 0 {
		sizes = append(sizes, o.huge)
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes) // one may be asked for that is measured anyway
	var rows []*row
	for _, n := range sizes {
		rows = append(rows, tool.stack(n)...)
	}
	rows = append(rows, tool.single()...)
	for i := range o.runs + 1 {
		trim(rows, i)
		if err := tool.round(rows, peers, sizes, o.large); err != nil {
			return err
		}
	}
	r.rows = append(r.rows, rows...)
	for _, n := range sizes {
		if n < o.large {
			continue
		}
		some := peers
		if n > o.large {
			some = nil
		}
		idle, err := tool.idle(n, some)
		if err != nil {
			return err
		}
		r.Idle = append(r.Idle, idle)
	}
	return nil
}

// benchImages measures builds and transfers.
func benchImages(o options, dir string, r *report) error {
	b, err := newImageBench(o.binary, dir, o.layer)
	if err != nil {
		return err
	}
	defer b.close()
	for i := range o.runs + 1 {
		trim(b.order, i)
		if err := b.round(); err != nil {
			return err
		}
	}
	r.rows = append(r.rows, b.order...)
	return nil
}

// trim drops the warm-up: what the round before the first counted one measured.
func trim(rows []*row, round int) {
	if round == 1 {
		for _, r := range rows {
			r.times, r.floor, r.peers = nil, nil, map[string][]time.Duration{}
		}
	}
}
