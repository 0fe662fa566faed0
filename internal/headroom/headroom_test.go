package headroom

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMake counts the page faults of filling half of the room.
func TestMake(t *testing.T) {
	const pages = size / 2 / (4 << 10)
	faults := func(fill func()) int64 {
		t.Helper()
		var before, after unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
			t.Fatal(err)
		}
		fill()
		if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
			t.Fatal(err)
		}
		return after.Minflt - before.Minflt
	}
	write := func(block []byte) {
		for page := 0; page < len(block); page += 4 << 10 {
			block[page] = 1
		}
	}
	// The kernel may have none, or memory in too small pieces for one.
	asked, err := unix.Mmap(-1, 0, size/2+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(asked)
	if unix.Madvise(asked, unix.MADV_HUGEPAGE) != nil || faults(func() { write(asked) }) > pages/2 {
		t.Skip("this kernel gives no huge pages now")
	}
	Make()
	blocks := make([][]byte, size/2/(64<<10))
	taken := faults(func() {
		for i := range blocks {
			blocks[i] = make([]byte, 64<<10)
			write(blocks[i])
		}
	})
	runtime.KeepAlive(blocks)
	if taken > pages/2 {
		t.Errorf("%d page faults for %d pages", taken, pages)
	}
}

// TestSettle looks how the kernel keeps the room after it.
func TestSettle(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this kernel knows no huge pages")
	}
	Make()
	middle := room.Load().to - size/2
	if flags := flagsAt(t, middle); !strings.Contains(flags, " hg") {
		t.Errorf("the room's flags are %q before", flags)
	}
	Settle()
	if flags := flagsAt(t, middle); !strings.Contains(flags, " nh") {
		t.Errorf("the room's flags are %q after", flags)
	}
}

// flagsAt are the kernel's flags of the mapping that an address is in.
func flagsAt(t *testing.T, address uintptr) string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	within := false
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			within = from <= address && address < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && within {
			return flags
		}
	}
	t.Fatalf("nothing is mapped at %x", address)
	return ""
}
