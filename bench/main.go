// Command bench times the built binary on stacks of busybox containers and
// prints each row beside its budget and beside the kernel floor, which it
// measures itself in the same run; see PEERS in bench/README.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	name   string
	budget time.Duration
	times  []time.Duration
	floor  []time.Duration // the same work as bare system calls, where that makes sense
	peer   []time.Duration // Docker Compose, where it is installed and an engine answers
}

func main() {
	binary := flag.String("compose", "bin/compose", "the binary to measure")
	runs := flag.Int("runs", 5, "counted runs of each row, after one that is not counted")
	large := flag.Int("large", 50, "services of the large stack")
	flag.Parse()
	if err := bench(*binary, *runs, *large); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(binary string, runs, large int) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("the containers need root")
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tool, err := newCompose(binary, dir)
	if err != nil {
		return err
	}
	defer tool.cleanUp()
	peer := findPeer(dir)

	var rows []*row
	for _, n := range []int{1, 2, 10, large} {
		rows = append(rows, tool.stack(n)...)
	}
	rows = append(rows, tool.single()...)
	for i := range runs + 1 {
		for _, r := range rows {
			r.times, r.floor, r.peer = trim(r.times, i), trim(r.floor, i), trim(r.peer, i)
		}
		if err := tool.round(rows, peer, large); err != nil {
			return err
		}
	}
	pss, err := tool.memory(large)
	if err != nil {
		return err
	}
	print(rows, peer != nil)
	fmt.Printf("\nmemory of everything but the containers, %d running: %.1f MiB PSS (budget 25)\n", large, pss)
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	fmt.Printf("binary: %.1f MB\n", float64(info.Size())/1e6)
	return nil
}

// trim drops the warm-up: what the round before the first counted one measured.
func trim(times []time.Duration, round int) []time.Duration {
	if round == 1 {
		return nil
	}
	return times
}

func print(rows []*row, withPeer bool) {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Printf("machine: %s/%s, %d cores, kernel %s, medians of %d interleaved runs\n\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), strings.TrimSpace(string(kernel)), len(rows[0].times))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprint(w, "work\tcompose\tmin-max\tbudget\tkernel floor\tratio to floor\t")
	if withPeer {
		fmt.Fprint(w, "docker compose\ttimes faster\t")
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		m := median(r.times)
		fmt.Fprintf(w, "%s\t%s\t%s-%s\t%s\t", r.name, ms(m), ms(slices.Min(r.times)), ms(slices.Max(r.times)), ms(r.budget))
		if len(r.floor) > 0 {
			f := median(r.floor)
			fmt.Fprintf(w, "%s\t%.1f\t", ms(f), float64(m)/float64(f))
		} else {
			fmt.Fprint(w, "\t\t")
		}
		if withPeer && len(r.peer) > 0 {
			p := median(r.peer)
			fmt.Fprintf(w, "%s\t%.1f\t", ms(p), float64(p)/float64(m))
		} else if withPeer {
			fmt.Fprint(w, "\t\t")
		}
		fmt.Fprintln(w)
	}
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
