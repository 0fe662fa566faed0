package resident

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// rssFile is how much of files the process has in memory, in KiB.
func rssFile(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "RssFile:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// TestUnmap gives back what a test's own binary has in memory.
func TestUnmap(t *testing.T) {
	before := rssFile(t)
	Unmap()
	if after := rssFile(t); after >= before {
		t.Errorf("the memory of files went from %d to %d KiB", before, after)
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
