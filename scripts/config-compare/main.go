// Command config-compare runs `config` of two programs on every Compose file
// below a directory and says where they differ: in what they print, or in
// whether they accept the file. `make config-compare` runs it.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// patience is how long one run may take, in case a file names something that
// a program waits for.
const patience = time.Minute

func main() {
	ours := flag.String("compose", "bin/compose", "our binary")
	peer := flag.String("peer", "", "the Docker Compose binary to compare with")
	shown := flag.Int("lines", 6, "how many lines of a difference to print; 0: all")
	flag.Parse()
	if *peer == "" || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: config-compare -peer DOCKER_COMPOSE DIRECTORY [FLAG OF CONFIG...]")
		os.Exit(2)
	}
	differing, err := compare(*ours, *peer, flag.Arg(0), flag.Args()[1:], *shown)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if differing > 0 {
		os.Exit(1)
	}
}

// compare prints each difference and the counts, and returns how many files
// differ.
func compare(ours, peer, dir string, flags []string, shown int) (int, error) {
	for _, binary := range []*string{&ours, &peer} {
		path, err := exec.LookPath(*binary)
		if err != nil {
			return 0, err
		}
		if *binary, err = filepath.Abs(path); err != nil {
			return 0, err
		}
	}
	files, err := composeFiles(dir)
	if err != nil {
		return 0, err
	}
	results := make([]string, len(files))
	var refused, differing int
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for i, file := range files {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wg.Done() }()
			a, b := config(ours, file, flags), config(peer, file, flags)
			mu.Lock()
			defer mu.Unlock()
			if b.err != nil {
				refused++
			}
			if results[i] = difference(a, b, flags, shown); results[i] != "" {
				differing++
			}
		}()
	}
	wg.Wait()
	for i, result := range results {
		if result != "" {
			fmt.Printf("%s\n%s\n", files[i], result)
		}
	}
	fmt.Printf("%d files compared (%d of them the peer refuses), %d identical, %d differ\n",
		len(files), refused, len(files)-differing, differing)
	return differing, nil
}

// topLevel is what tells a Compose file from other YAML.
var topLevel = regexp.MustCompile(`(?m)^(services|include) *:`)

func composeFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if ext := filepath.Ext(path); ext != ".yml" && ext != ".yaml" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil && topLevel.Match(data) {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

type result struct {
	stdout, stderr []byte
	err            error
}

// config runs one program where the file is, as users do.
func config(binary, file string, flags []string) result {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"-f", filepath.Base(file), "config"}, flags...)...)
	cmd.Dir = filepath.Dir(file)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	return result{out.Bytes(), errs.Bytes(), err}
}

// unordered are the flags for which Docker Compose prints in no order.
var unordered = []string{"--services", "--volumes", "--networks", "--models", "--images", "--variables", "--environment"}

func difference(ours, peer result, flags []string, shown int) string {
	switch {
	case errors.Is(ours.err, context.DeadlineExceeded) || errors.Is(peer.err, context.DeadlineExceeded):
		return "  took too long"
	case ours.err != nil && peer.err == nil:
		return "  only we refuse it: " + lastLine(ours.stderr)
	case ours.err == nil && peer.err != nil:
		return "  only the peer refuses it: " + lastLine(peer.stderr)
	case ours.err != nil:
		return ""
	}
	a, b := strings.SplitAfter(string(ours.stdout), "\n"), strings.SplitAfter(string(peer.stdout), "\n")
	if slices.ContainsFunc(flags, func(f string) bool { return slices.Contains(unordered, f) }) {
		slices.Sort(a)
		slices.Sort(b)
	}
	if slices.Equal(a, b) {
		return ""
	}
	first := 0
	for first < min(len(a), len(b)) && a[first] == b[first] {
		first++
	}
	return fmt.Sprintf("  line %d\n%s%s", first+1, excerpt("peer", b[first:], shown), excerpt("ours", a[first:], shown))
}

func excerpt(who string, lines []string, shown int) string {
	var b strings.Builder
	for i, line := range lines {
		if i == shown && shown > 0 {
			break
		}
		fmt.Fprintf(&b, "  %s: %s\n", who, strings.TrimRight(line, "\n"))
	}
	return b.String()
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
