package keeper

import (
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWake rings the bell of a keeper that sleeps when it matters, and not before.
func TestWake(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	many := func(l *Link) {
		for i := range mostUnheard {
			l.DropSometime(strconv.Itoa(i))
		}
	}
	for _, c := range []struct {
		name          string
		do            func(*Link)
		now, inAWhile bool
	}{
		{"nothing", func(*Link) {}, false, false},
		{"a file to hold", func(l *Link) { l.Store(map[string]*os.File{"b": file}) }, false, false},
		{"a file in another's place", func(l *Link) { l.Store(map[string]*os.File{"a": file}) }, false, true},
		{"a file to let go", func(l *Link) { l.Drop("a") }, false, true},
		{"that has time", func(l *Link) { l.DropSometime("a") }, false, false},
		{"a question", func(l *Link) { l.Exit(1, 0) }, true, true},
		{"as such", (*Link).Wake, true, true},
		{"twice", func(l *Link) { l.Wake(); l.Wake() }, true, true},
		{"more than the socket holds", many, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(bell)
			l := fakeLink(t)
			l.files["a"] = file
			if l.bell, err = unix.Dup(bell); err != nil {
				t.Fatal(err)
			}
			c.do(l)
			if now := rung(bell); now != c.now {
				t.Errorf("rung at once: %t", now)
			}
			time.Sleep(dropDelay + 200*time.Millisecond)
			if soon := c.now || rung(bell); soon != c.inAWhile {
				t.Errorf("rung in a while: %t", soon)
			}
		})
	}
}

// fakeLink is a link whose other end nobody reads.
func fakeLink(t *testing.T) *Link {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFDs(pair[:]) })
	return &Link{fd: pair[0], files: map[string]*os.File{}, exits: map[int]Exit{}, waits: map[int][]chan Exit{}, bell: -1}
}

func rung(bell int) bool {
	_, err := unix.Read(bell, make([]byte, 8))
	return err == nil
}
