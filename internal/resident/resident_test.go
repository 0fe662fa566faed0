package resident

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// rss is how much of the process is in memory, in KiB: of its own making, and
// of files.
func rss(t *testing.T) (anonymous, file int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		switch f[0] {
		case "RssAnon:":
			anonymous, _ = strconv.Atoi(f[1])
		case "RssFile:":
			file, _ = strconv.Atoi(f[1])
		}
	}
	return anonymous, file
}

// TestShrink uses much memory and no longer needs it.
func TestShrink(t *testing.T) {
	garbage := make([]byte, 64<<20)
	for i := 0; i < len(garbage); i += 4096 {
		garbage[i] = 1
	}
	anonymous, file := rss(t)
	if anonymous < 64<<10 || garbage[4096] != 1 {
		t.Fatalf("only %d KiB are used", anonymous)
	}
	Shrink()
	less, fileLess := rss(t)
	if anonymous-less < 60<<10 || fileLess >= file {
		t.Errorf("anonymous memory went from %d to %d KiB, that of files from %d to %d", anonymous, less, file, fileLess)
	}
}

func TestReadOnlyFile(t *testing.T) {
	for line, want := range map[string]bool{
		"400000-401000 r-xp 00000000 fe:00 17 /bin/x\n": true,
		"400000-401000 r--p 00000000 fe:00 17 /\n":      true,
		"400000-401000 rw-p 00000000 fe:00 17 /bin/x\n": false,
		"400000-401000 r-xp 00000000 00:00 0 [vdso]\n":  false,
		"401000-400000 r-xp 00000000 fe:00 17 /bin/x\n": false,
		"nonsense\n": false,
	} {
		if from, to, ok := readOnlyFile(line); ok != want || ok && (from != 0x400000 || to != 0x401000) {
			t.Errorf("%q: %x-%x, %v", line, from, to, ok)
		}
	}
}
