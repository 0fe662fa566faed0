package resident

import (
	"os"
	"slices"
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

// TestCuts looks for a whole large page in what is left between the cuts.
func TestCuts(t *testing.T) {
	for _, whole := range []region{
		{0x400000, 0x401000}, {0x400000, 0x600000}, {0x401000, 0x11a0000}, {0x4ff000, 0x501000}, {0x500000, 0x700000}, {0x500000, 0x900000},
	} {
		left := whole
		for _, at := range whole.cuts() {
			if at <= left.from || at+pageSize > whole.to {
				t.Errorf("%x is cut at %x", whole, at)
			}
			left.to = at
			check(t, left)
			check(t, region{at, at + pageSize})
			left = region{at + pageSize, whole.to}
		}
		check(t, left)
	}
}

// check fails where a region has a whole large page, or would be cut again.
func check(t *testing.T, r region) {
	t.Helper()
	if first := (r.from + largest - 1) &^ (largest - 1); first+largest <= r.to {
		t.Errorf("%x has a whole page of %d bytes", r, largest)
	}
	if pages := r.cuts(); len(pages) > 0 {
		t.Errorf("%x is cut again, at %x", r, pages)
	}
}

func TestUnchanged(t *testing.T) {
	const (
		text   = "400000-401000 r-xp 00000000 fe:00 17 /bin/x\n"
		data   = "401000-402000 r--p 00001000 fe:00 17 /bin/x\n"
		others = "402000-403000 rw-p 00002000 fe:00 17 /bin/x\n7000-8000 rw-p 00000000 00:00 0\n9000-a000 r-xp 00000000 00:00 0 [vdso]\nnonsense\n501000-500000 r-xp 00000000 fe:00 17 /bin/x\n"
		loader = "7f0000-7f1000 r-xp 00000000 fe:00 18 /lib/ld.so\n"
	)
	for maps, want := range map[string][]region{
		text + data + others:          {{0x400000, 0x401000}, {0x401000, 0x402000}},
		text + data + others + loader: nil,
		"":                            nil,
	} {
		if got := unchanged(maps); !slices.Equal(got, want) {
			t.Errorf("%q: %x, want %x", maps, got, want)
		}
	}
}
