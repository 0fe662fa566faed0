package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// $2 is the file: -f FILE config.
	ours := write("ours", "#!/bin/sh\ncase $2 in refused.yaml) exit 1;; differs.yml) echo a; echo c;; *) cat $2;; esac\n", 0o700)
	peer := write("peer", "#!/bin/sh\ncase $2 in differs.yml) echo a; echo b;; *) cat $2;; esac\n", 0o700)
	write("files/same.yaml", "services: {}\n", 0o600)
	write("files/deep/er/same.yml", "include: []\n", 0o600)
	write("files/differs.yml", "services: {}\n", 0o600)
	write("files/refused.yaml", "services: {}\n", 0o600)
	write("files/other.yaml", "jobs: {}\n", 0o600)
	write("files/text.txt", "services: {}\n", 0o600)

	files, err := composeFiles(filepath.Join(dir, "files"))
	if err != nil || len(files) != 4 {
		t.Errorf("%v %v", files, err)
	}
	if differing, err := compare(ours, peer, filepath.Join(dir, "files"), nil, 3); err != nil || differing != 2 {
		t.Errorf("%d files differ: %v", differing, err)
	}
	if _, err := compare(ours, filepath.Join(dir, "none"), dir, nil, 3); err == nil {
		t.Error("a peer that is not there")
	}
}

func TestDifference(t *testing.T) {
	one, other := result{stdout: []byte("a\nb\n")}, result{stdout: []byte("b\na\n")}
	if got, want := difference(one, other, nil, 1), "  line 1\n  peer: b\n  ours: a\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := difference(one, other, []string{"--volumes"}, 1); got != "" {
		t.Errorf("lists have no order: %q", got)
	}
	failed := result{err: os.ErrInvalid, stderr: []byte("one\ntwo\n")}
	if got, want := difference(failed, one, nil, 1), "  only we refuse it: two"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := difference(failed, failed, nil, 1); got != "" {
		t.Errorf("both refuse it: %q", got)
	}
}
