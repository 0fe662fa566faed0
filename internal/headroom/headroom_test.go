package headroom

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMake counts the page faults of filling half of the room.
func TestMake(t *testing.T) {
	mode, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(mode), "[never]") {
		t.Skip("this kernel gives no huge pages")
	}
	faults := func() int64 {
		var used unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
			t.Fatal(err)
		}
		return used.Minflt
	}
	Make()
	before := faults()
	blocks := make([][]byte, size/2/(64<<10))
	for i := range blocks {
		blocks[i] = make([]byte, 64<<10)
		for page := 0; page < len(blocks[i]); page += 4 << 10 {
			blocks[i][page] = 1
		}
	}
	taken := faults() - before
	runtime.KeepAlive(blocks)
	if pages := int64(size / 2 / (4 << 10)); taken > pages/2 {
		t.Errorf("%d page faults for %d pages", taken, pages)
	}
}
