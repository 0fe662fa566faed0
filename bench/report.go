package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is all that a run of the benchmark has found.
type report struct {
	Machine     string      `json:"machine"`
	Runs        int         `json:"runs"`
	BinaryBytes int64       `json:"binary_bytes"`
	Idle        []idleRow   `json:"idle,omitempty"`
	Rows        []reportRow `json:"rows"`

	Dependencies int       `json:"dependencies"` // modules in the binary
	Rates        []rateRow `json:"rates,omitempty"`

	rows []*row
}

// rateRow is a row of what is better the higher, or, with lower, the lower it
// is. Figures are medians.
type rateRow struct {
	Work   string             `json:"work"`
	Unit   string             `json:"unit"`
	Lower  bool               `json:"lower_is_better,omitempty"`
	Median float64            `json:"median"`
	Peers  map[string]float64 `json:"peers,omitempty"`
}

func (r *report) printRates() {
	if len(r.Rates) == 0 {
		return
	}
	var names []string
	for name := range r.Rates[0].Peers {
		names = append(names, name)
	}
	slices.Sort(names)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\ntraffic and logs\tunit\tcompose\t")
	for _, name := range names {
		fmt.Fprintf(w, "%s\ttimes better\t", name)
	}
	fmt.Fprintln(w)
	for _, row := range r.Rates {
		fmt.Fprintf(w, "%s\t%s\t%.1f\t", row.Work, row.Unit, row.Median)
		for _, name := range names {
			ratio := row.Median / row.Peers[name]
			if row.Lower {
				ratio = 1 / ratio
			}
			fmt.Fprintf(w, "%.1f\t%.1f\t", row.Peers[name], ratio)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

// reportRow is a row in the JSON file. Times are medians and extremes in
// milliseconds, ratios how often ours fits into the other's median.
type reportRow struct {
	Work   string             `json:"work"`
	Median float64            `json:"median_ms"`
	Min    float64            `json:"min_ms"`
	Max    float64            `json:"max_ms"`
	Budget float64            `json:"budget_ms,omitempty"`
	Floor  float64            `json:"floor_ms,omitempty"`
	Peers  map[string]float64 `json:"peers_ms,omitempty"`
	Ratios map[string]float64 `json:"ratios,omitempty"`
}

func machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s/%s, %d cores, kernel %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), strings.TrimSpace(string(kernel)))
}

// peers are the names of all that were measured beside ours.
func (r *report) peers() []string {
	var names []string
	for _, row := range r.rows {
		for name := range row.peers {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (r *report) printTimes() {
	if len(r.rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "work\tcompose\tmin-max\tbudget\tkernel floor\tratio to floor\t")
	for _, name := range r.peers() {
		fmt.Fprintf(w, "%s\ttimes faster\t", name)
	}
	fmt.Fprintln(w)
	for _, row := range r.rows {
		m := median(row.times)
		budget := ""
		if row.budget > 0 {
			budget = ms(row.budget)
		}
		fmt.Fprintf(w, "%s\t%s\t%s-%s\t%s\t", row.name, ms(m), ms(slices.Min(row.times)), ms(slices.Max(row.times)), budget)
		if len(row.floor) > 0 {
			f := median(row.floor)
			fmt.Fprintf(w, "%s\t%.1f\t", ms(f), float64(m)/float64(f))
		} else {
			fmt.Fprint(w, "\t\t")
		}
		for _, name := range r.peers() {
			if times := row.peers[name]; len(times) > 0 {
				p := median(times)
				fmt.Fprintf(w, "%s\t%.1f\t", ms(p), float64(p)/float64(m))
			} else {
				fmt.Fprint(w, "\t\t")
			}
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

func (r *report) print() {
	fmt.Printf("machine: %s, medians of %d interleaved runs\n\n", r.Machine, r.Runs)
	r.printTimes()
	r.printRates()
	for _, i := range r.Idle {
		fmt.Printf("\nmemory of everything but the containers, %d running: %.1f MiB PSS (budget %.0f), %d wake-ups in %s\n", i.Containers, i.PSS, i.Budget, i.WakeUps, idleTime)
		for name, pss := range i.Peers {
			fmt.Printf("  %s: %.1f MiB (%.1f times as much)\n", name, pss, pss/i.PSS)
		}
	}
	fmt.Printf("binary: %.1f MB, %d modules in it\n", float64(r.BinaryBytes)/1e6, r.Dependencies)
}

// write leaves the figures in a file.
func (r *report) write(path string) error {
	for _, row := range r.rows {
		m := median(row.times)
		out := reportRow{
			Work: row.name, Median: number(m), Min: number(slices.Min(row.times)), Max: number(slices.Max(row.times)),
			Budget: number(row.budget), Peers: map[string]float64{}, Ratios: map[string]float64{},
		}
		if len(row.floor) > 0 {
			out.Floor = number(median(row.floor))
		}
		for name, times := range row.peers {
			out.Peers[name] = number(median(times))
			out.Ratios[name] = float64(median(times)) / float64(m)
		}
		r.Rows = append(r.Rows, out)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func number(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
