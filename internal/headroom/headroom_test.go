package headroom

import (
	"runtime"
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
