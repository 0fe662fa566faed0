package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	numberedStep = regexp.MustCompile(`^#(\d+) \[(?:(\S+) )?\d+/\d+\] (FROM|[A-Z]+) `)
	cachedStep   = regexp.MustCompile(`^#(\d+) CACHED$`)
	ranStep      = regexp.MustCompile(`^#(\d+) DONE `)
)

// steps reads from plain progress what became of each step of the Dockerfile,
// in the order of its numbers: "c" it was cached, "R" it ran.
func (r result) steps() string {
	r.t.Helper()
	r.ok()
	var order []string
	fate := map[string]string{}
	for _, line := range strings.Split(r.stderr, "\n") {
		if m := numberedStep.FindStringSubmatch(line); m != nil && m[3] != "FROM" {
			order = append(order, m[1])
		} else if m := cachedStep.FindStringSubmatch(line); m != nil {
			fate[m[1]] = "c"
		} else if m := ranStep.FindStringSubmatch(line); m != nil && fate[m[1]] == "" {
			fate[m[1]] = "R"
		}
	}
	var out strings.Builder
	seen := map[string]bool{}
	for _, n := range order {
		if !seen[n] {
			seen[n] = true
			out.WriteString(fate[n])
		}
	}
	return out.String()
}

// stepsAre wants each step cached ("c") or run ("R"), as a string of both.
func (r result) stepsAre(why, want string) {
	r.t.Helper()
	if got := r.steps(); got != want {
		r.t.Errorf("%s: the steps are %q, want %q:\n%s", why, got, want, r.stderr)
	}
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // also of a file that was there
		t.Fatal(err)
	}
}

// TestBuildCacheOfFiles changes a context in one way at a time, and looks at
// which steps run again.
func TestBuildCacheOfFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("files", "Dockerfile", "FROM busybox\nCOPY early /early\nRUN cat /early > /one\nCOPY late /late\nRUN cat /late > /two\nCOPY tree /tree\n",
		"early", "early\n", "late", "late\n", "tree/a", "a\n", "tree/noise.log", "noise\n", ".dockerignore", "*.log\n**/*.log\nunused\n")
	build := func(args ...string) result {
		return h.in(dir, append(append([]string{"image", "build", "-t", "files"}, args...), ".")...)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	shows := func(name, want string) {
		t.Helper()
		h.docker("run", "--rm", "files", "cat", name).says(want)
	}
	build().stepsAre("first", "RRRRR")
	build().stepsAre("unchanged", "ccccc")

	writeFile(t, at("late"), "later\n", 0o644)
	build().stepsAre("a file of a late COPY has changed", "ccRRR")
	shows("/two", "later")
	writeFile(t, at("tree/b"), "b\n", 0o644)
	build().stepsAre("a tree has a file more", "ccccR")
	if err := os.Rename(at("tree/b"), at("tree/c")); err != nil {
		t.Fatal(err)
	}
	build().stepsAre("a file has another name", "ccccR")
	shows("/tree/c", "b")
	if err := os.Remove(at("tree/c")); err != nil {
		t.Fatal(err)
	}
	// Not even the last step: what it now copies was copied in its place before.
	writeFile(t, at("late"), "late\n", 0o644)
	build().stepsAre("everything is as at first", "ccccc")
	shows("/two", "late")

	now := time.Now().Add(time.Hour)
	for _, name := range []string{"early", "late", "tree/a", "tree", "Dockerfile", "."} {
		if err := os.Chtimes(at(name), now, now); err != nil {
			t.Fatal(err)
		}
	}
	build().stepsAre("files were touched", "ccccc")
	if err := os.Chmod(at("early"), 0o600); err != nil {
		t.Fatal(err)
	}
	build().stepsAre("a file has another mode", "RRRRR")
	h.docker("run", "--rm", "files", "stat", "-c", "%a", "/early").says("600")
	// The same size, the same time and another content.
	writeFile(t, at("tree/a"), "A\n", 0o644)
	if err := os.Chtimes(at("tree/a"), now, now); err != nil {
		t.Fatal(err)
	}
	build().stepsAre("a file of the same size and time has another content", "ccccR")
	shows("/tree/a", "A")
	writeFile(t, at("tree/noise.log"), "louder\n", 0o644)
	writeFile(t, at("tree/more.log"), "more\n", 0o600)
	writeFile(t, at("unused"), "unused\n", 0o644)
	build().stepsAre("files that .dockerignore hides have changed", "ccccc")
	writeFile(t, at("beside"), "beside\n", 0o644)
	build().stepsAre("a file that no step copies is new", "ccccc")
	writeFile(t, at(".dockerignore"), "*.log\n", 0o644)
	build().stepsAre("a file is no longer hidden", "ccccR")
	shows("/tree/noise.log", "louder")

	build("--no-cache").stepsAre("--no-cache", "RRRRR")
	build().stepsAre("after --no-cache", "ccccc")
}

// TestBuildCacheOfSteps changes arguments and lines of a Dockerfile.
func TestBuildCacheOfSteps(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dockerfile := "FROM busybox\nRUN echo before > /before\nARG WHO=nobody\nRUN echo unused > /unused\nENV FOR=$WHO\nRUN echo $FOR > /for\n"
	dir := h.project("args", "Dockerfile", dockerfile)
	build := func(args ...string) result {
		return h.in(dir, append(append([]string{"image", "build", "-t", "args"}, args...), ".")...)
	}
	build("--build-arg", "WHO=you").stepsAre("first", "RRR")
	// A RUN has all arguments declared above it in its environment.
	build("--build-arg", "WHO=me").stepsAre("another argument", "cRR")
	h.docker("run", "--rm", "args", "cat", "/for").says("me")
	build("--build-arg", "WHO=you").stepsAre("the first argument again", "ccc")
	h.docker("run", "--rm", "args", "cat", "/for").says("you")
	build("--build-arg", "WHO=you", "--label", "a=b", "--build-arg", "HTTP_PROXY=http://192.0.2.1").stepsAre("labels and proxies", "ccc")

	writeFile(t, filepath.Join(dir, "Dockerfile"), "# words\n"+strings.Replace(dockerfile, "RUN echo unused > /unused\n", "RUN echo used > /unused\nEXPOSE 80\n", 1), 0o644)
	build("--build-arg", "WHO=you").stepsAre("a line has changed", "cRR")

	stages := h.project("stages", "Dockerfile", "FROM busybox AS one\nRUN echo one > /one\nFROM busybox AS two\nRUN echo two > /two\nFROM two\nCOPY --from=one /one /one\n")
	only := func(args ...string) result {
		return h.in(stages, append(append([]string{"image", "build"}, args...), ".")...)
	}
	only().ok()
	for _, c := range []struct{ filter, ran, kept string }{{"one", "one 2/2", "two 2/2"}, {"two", "two 2/2", "one 2/2"}} {
		out := only("--no-cache-filter", c.filter).ok().stderr
		if fate(out, c.ran) != "DONE" || fate(out, c.kept) != "CACHED" {
			t.Errorf("--no-cache-filter %s: %s is %s, %s is %s:\n%s", c.filter, c.ran, fate(out, c.ran), c.kept, fate(out, c.kept), out)
		}
	}
	if out := only().ok().stderr; fate(out, "one 2/2") != "CACHED" || fate(out, "two 2/2") != "CACHED" || fate(out, "stage-2 1/1") != "CACHED" {
		t.Errorf("all stages are unchanged:\n%s", out)
	}
}

// fate is the word that the step "[name]" ends with in plain progress.
func fate(progress, name string) string {
	begin := regexp.MustCompile(`(?m)^(#\d+) \[` + regexp.QuoteMeta(name) + `\] `).FindStringSubmatch(progress)
	if begin == nil {
		return "missing"
	}
	end := regexp.MustCompile(`(?m)^` + begin[1] + ` (CACHED|DONE|ERROR|CANCELED)\b`).FindStringSubmatch(progress)
	if end == nil {
		return "without an end"
	}
	return end[1]
}

// TestBuildCacheBetweenProjects finds known steps from other directories and
// projects, under other names, and after a build that was killed.
func TestBuildCacheBetweenProjects(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	const dockerfile = "FROM busybox\nCOPY f /f\nRUN cat /f /proc/sys/kernel/random/uuid > /stamp\n"
	project := func(name string) string {
		return h.project(name, "Dockerfile", dockerfile, "f", "same\n", "compose.yaml", "services:\n  web: {build: .}\n")
	}
	one, two := project("one"), project("two")
	h.in(one, "build").stepsAre("first", "RR")
	h.in(two, "build").stepsAre("another project", "cc")
	h.in(two, "image", "build", "-t", "three", ".").stepsAre("no project", "cc")
	stamp := h.docker("run", "--rm", "one-web", "cat", "/stamp").ok().stdout
	h.docker("run", "--rm", "two-web", "cat", "/stamp").says(stamp)
	h.docker("run", "--rm", "three", "cat", "/stamp").says(stamp)
	// The images are gone, and what their steps gave is not.
	h.docker("rmi", "-f", "one-web", "two-web", "three").ok()
	h.in(one, "build").stepsAre("after the images were removed", "cc")
	other := newHost(t)
	other.busybox("busybox")
	other.in(one, "build").stepsAre("another installation", "RR")

	// A step that has ended counts, also if the build was killed in the next.
	slow := h.project("slow", "Dockerfile", "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /stamp\nARG PAUSE\nRUN echo begun; sleep $PAUSE\n")
	cmd := h.command(context.Background(), slow, "image", "build", "--build-arg", "PAUSE=1000", ".")
	out := &lockedBuffer{}
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second step", func() error {
		if !strings.Contains(out.String(), " begun\n") {
			return os.ErrNotExist
		}
		return nil
	})
	if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	h.in(slow, "image", "build", "--build-arg", "PAUSE=0", ".").stepsAre("after a build that was killed", "cR")
}
