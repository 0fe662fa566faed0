package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"compose/engine"
)

// checkOutput looks through the log of a container: all runs have each of
// their lines once, in their order; those that ended by themselves all of them.
func (w *world) checkOutput(c *container, svc *service) (wrong []string) {
	text, rotated, err := w.stableLog(c)
	if err != nil {
		return []string{err.Error()}
	}
	say := func(format string, args ...any) {
		wrong = append(wrong, c.Spec.Name+" ("+c.ID[:12]+"): "+fmt.Sprintf(format, args...))
	}
	runs, last, over, gaps := 0, -1, true, w.gaps[c.ID]
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		number, err := strconv.Atoi(line)
		switch {
		case line == "":
		case line == "begin":
			if svc.kind != ticker && runs > 0 && !over && svc.state == up {
				if gaps--; gaps < 0 {
					say("run %d ended without its last line", runs)
				}
			}
			runs, last, over = runs+1, 0, false
		case strings.HasPrefix(line, "end "):
			if end, _ := strconv.Atoi(line[4:]); end != last && end != last-1 && last >= 0 { // a ticker counts on after the line
				say("it ended after line %d, the log has line %d before that", end, last)
			}
			over = true
		case err == nil && (last < 0 && rotated || number == last+1):
			last = number
		case err == nil && gaps > 0 && number > last: // what both took with them
			last = number
			gaps--
		default:
			if len(wrong) < 3 {
				say("line %d of its log is %q, after %d in run %d", n+1, line, last, runs)
			}
		}
	}
	done := c.state.Status == engine.Exited || c.state.Status == engine.Restarting
	if done && !over && (svc.kind == oneshot && c.state.ExitCode == 7 || svc.kind == crasher && c.state.ExitCode == 5 || svc.kind == ticker && c.state.ExitCode == 3) {
		say("it ended by itself, and its last line is not in the log (%d)", last)
	}
	if svc.kind == crasher && svc.fresh && !rotated && c.state.Status == engine.Restarting && (runs > c.state.RestartCount || runs < c.state.RestartCount-w.gaps[c.ID]) {
		say("%d runs, and a restart count of %d", runs, c.state.RestartCount)
	}
	return wrong
}

// stableLog reads the log of a container together with the state that belongs
// to it: neither may change or be rotated meanwhile.
func (w *world) stableLog(c *container) (text string, rotated bool, err error) {
	dir := filepath.Join(w.roots.Containers(), c.ID)
	path := filepath.Join(dir, c.ID+"-json.log")
	for deadline := time.Now().Add(*patience); ; {
		var state engine.State
		if err := readJSON(filepath.Join(dir, "state.json"), &c.state); err != nil {
			return "", false, err
		}
		before := generations(path)
		text, err = readLog(before)
		if err != nil {
			return "", false, err
		}
		if err := readJSON(filepath.Join(dir, "state.json"), &state); err != nil {
			return "", false, err
		}
		if text != unfinished && slices.EqualFunc(before, generations(path), generation.equal) && state.Status == c.state.Status && state.RestartCount == c.state.RestartCount {
			return text, len(before) > 1, nil
		}
		if time.Now().After(deadline) {
			return "", false, fmt.Errorf("%s: it or the state beside it does not come to rest", path)
		}
	}
}

// generation is a file of a log.
type generation struct {
	path string
	info fs.FileInfo
}

func (g generation) equal(o generation) bool { return g.path == o.path && os.SameFile(g.info, o.info) }

// generations are a log's files, the oldest first. A rotation that is under way
// or was cut short leaves a gap.
func generations(path string) (list []generation) {
	const most = 3 // that a service here keeps
	for n := most; n >= 0; n-- {
		name := path
		if n > 0 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		if info, err := os.Stat(name); err == nil {
			list = append(list, generation{name, info})
		}
	}
	return list
}

// unfinished is the text of a log that is just being written.
const unfinished = "\x00"

// readLog joins the files of a log.
func readLog(files []generation) (string, error) {
	var b strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // rotated just now, which will be seen
		}
		if err != nil {
			return "", err
		}
		if len(data) > 0 && data[len(data)-1] != '\n' {
			return unfinished, nil
		}
		for line := range strings.Lines(string(data)) {
			var e struct{ Log string }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				return "", fmt.Errorf("%s: %w: %q", f.path, err, line)
			}
			b.WriteString(e.Log)
		}
	}
	return b.String(), nil
}
