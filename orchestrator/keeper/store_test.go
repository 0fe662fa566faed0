package keeper

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStore: files go in as few messages as can carry them, each under its own
// name, and one that is closed by now is left out without the others.
func TestStore(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFDs(pair[:])
	l := &Link{fd: pair[0], files: map[string]*os.File{}, bell: -1}
	dir := t.TempDir()
	files := map[string]*os.File{}
	for i := range maxFiles + 4 {
		name := fmt.Sprintf("c1/%02d", i)
		f, err := os.Create(fmt.Sprintf("%s/%02d", dir, i))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[name] = f
	}
	files["c1/03"].Close()
	l.Store(files)
	l.send("the end")

	in, messages := newInbox(pair[1]), 0
	var got []string
	for {
		message, fds, err := in.receive()
		if err != nil {
			t.Fatal(err)
		}
		if message == "the end" {
			break
		}
		messages++
		names := strings.Split(strings.TrimPrefix(message, "store "), nameEnd)
		if len(names) != len(fds) {
			t.Fatalf("%d names came with %d files", len(names), len(fds))
		}
		for i, name := range names {
			var sent, came unix.Stat_t
			if unix.Fstat(int(files[name].Fd()), &sent) != nil || unix.Fstat(fds[i], &came) != nil || sent.Ino != came.Ino {
				t.Errorf("%s came with another file", name)
			}
		}
		closeFDs(fds)
		got = append(got, names...)
	}
	if messages != 2 || len(got) != len(files)-1 || slices.Contains(got, "c1/03") {
		t.Errorf("%d messages brought %q", messages, got)
	}
}
