package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

type record struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
}

// TestReplace replaces a file as a whole, for root's eyes only, and leaves
// nothing beside it.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "one.json")
	for _, name := range []string{"first, which is longer", "second"} {
		if err := WriteJSON(path, record{1, name}); err != nil {
			t.Fatal(err)
		}
		var got record
		if err := ReadVersioned(path, &got, &got.Version, 1); err != nil || got.Name != name {
			t.Errorf("read %+v, %v", got, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("beside it lie %v, %v", list, err)
	}
}

// TestPrepare looks at a file whose next content is ready: nobody sees that before
// Put, after Drop, or where Sweep was faster.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "one.json")
	holds := func(want string) {
		t.Helper()
		var got record
		if err := ReadVersioned(path, &got, &got.Version, 1); err != nil || got.Name != want {
			t.Errorf("read %+v, %v, want %s", got, err, want)
		}
	}
	prepare := func(name string) *Ready {
		t.Helper()
		r, err := Prepare(path, record{1, name})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := WriteJSON(path, record{1, "first"}); err != nil {
		t.Fatal(err)
	}
	second := prepare("second")
	if holds("first"); !second.Holds(record{1, "second"}) || second.Holds(record{1, "third"}) {
		t.Error("it does not know what it holds")
	}
	if err := second.Put(); err != nil {
		t.Fatal(err)
	}
	holds("second")
	prepare("third").Drop()
	swept := prepare("fourth")
	Sweep(dir)
	if err := swept.Put(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("swept away, and then %v", err)
	}
	holds("second")
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("beside it lie %v, %v", list, err)
	}
}

// TestBoot is TestReplace for what is not fsynced, beside what a writer that was
// killed has left.
func TestBoot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "one.json")
	for _, name := range []string{"first, which is longer", "second", "third"} {
		left := filepath.Join(dir, ".one.json.tmp-boot")
		if err := os.WriteFile(left, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := WriteBootJSON(path, record{1, name}); err != nil {
			t.Fatal(err)
		}
		var got record
		if err := ReadJSON(path, &got); err != nil || got.Name != name {
			t.Errorf("read %+v, %v", got, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("beside it lie %v, %v", list, err)
	}
}

// TestUnreadable tells a file that is not there, one that is damaged and one
// of a later format apart.
func TestUnreadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.json")
	var got record
	if err := ReadVersioned(path, &got, &got.Version, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	var damaged *CorruptError
	for _, text := range []string{"", "{", `{"version":1,"name":"cut`, "\x00\x00\x00", `{"version":"one"}`, `{"version":1,"name":[]}`, `[]`, `{}`, `null`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ReadVersioned(path, &got, &got.Version, 1); !errors.As(err, &damaged) || damaged.Path != path {
			t.Errorf("%q: %v", text, err)
		}
	}
	// A later format may have other types under the same names.
	if err := os.WriteFile(path, []byte(`{"version":2,"name":["a","b"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var newer *NewerError
	if err := ReadVersioned(path, &got, &got.Version, 1); !errors.As(err, &newer) || newer.Format != 2 || newer.Known != 1 {
		t.Errorf("a later format: %v", err)
	}
}

// TestCopy has the copy of a file take its place once it is damaged, and not
// before, nor where it is damaged too.
func TestCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.json")
	if err := WriteKept(path, record{1, "kept"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"version":1,"name":"half`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var got record
		if err := ReadVersioned(path, &got, &got.Version, 1); err != nil || got.Name != "kept" {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if data, err := os.ReadFile(path + damagedSuffix); string(data) != `{"version":1,"name":"half` {
		t.Errorf("set aside is %q, %v", data, err)
	}
	for _, file := range []string{path, copyPath(path)} {
		if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got record
	var damaged *CorruptError
	if err := ReadVersioned(path, &got, &got.Version, 1); !errors.As(err, &damaged) || damaged.Aside != "" {
		t.Fatalf("both damaged: %v", err)
	}
	// Another has come to its place meanwhile.
	if err := WriteJSON(path, record{1, "new"}); err != nil {
		t.Fatal(err)
	}
	if err := damaged.SetAside(); err == nil {
		t.Error("a file that nobody has read was set aside")
	}
	if err := ReadVersioned(path, &got, &got.Version, 1); err != nil || got.Name != "new" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := damaged.Replace([]byte("{}")); err == nil {
		t.Error("a file that nobody has read was replaced")
	}
	if err := ReadVersioned(path, &got, &got.Version, 1); err != nil || got.Name != "new" {
		t.Errorf("it was replaced: %+v, %v", got, err)
	}
	if err := RemoveKept(path); err != nil {
		t.Error(err)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// TestSyncDirGone takes a directory that is gone for one in which all is durable.
func TestSyncDirGone(t *testing.T) {
	if err := SyncDir(filepath.Join(t.TempDir(), "gone")); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SyncDir(filepath.Join(file, "below")); err == nil {
		t.Error("no error for what cannot be a directory")
	}
}

// TestCreateKept makes a file that is there whole, with its copy, and never
// replaces one.
func TestCreateKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := CreateKept(path, record{1, "first"}); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, copyPath(path)} {
		if data, err := os.ReadFile(file); err != nil || string(data) != fmt.Sprintln(`{"version":1,"name":"first"}`) {
			t.Errorf("%s: %q, %v", file, data, err)
		}
	}
	if err := CreateKept(path, record{1, "second"}); !errors.Is(err, os.ErrExist) {
		t.Errorf("once more: %v", err)
	}
}

// TestDraft reads a record before and after it has its name.
func TestDraft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "one.json")
	var got record
	read := func() error { return ReadDrafted(path, &got, &got.Version, 1) }
	if err := read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is nothing yet: %v", err)
	}
	if err := Settle(path); err != nil {
		t.Errorf("nothing to settle: %v", err)
	}
	if err := WriteDraft(path, record{1, "drafted"}); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil || got.Name != "drafted" {
		t.Errorf("the draft: %+v, %v", got, err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if base, ok := DraftOf(list[0].Name()); !ok || base != "one.json" {
		t.Errorf("%s is the draft of %q, %v", list[0].Name(), base, ok)
	}
	// A power loss may take its content away.
	for _, lost := range []string{"", "\x00\x00\x00"} {
		if err := os.WriteFile(draftPath(path), []byte(lost), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := read(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a lost draft: %v", err)
		}
		Sweep(dir)
		if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
			t.Errorf("a lost draft is left: %v, %v", list, err)
		}
	}
	if err := WriteDraft(path, record{1, "again"}); err != nil {
		t.Fatal(err)
	}
	Sweep(dir)
	if err := Settle(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil { // the copy has it too
		t.Fatal(err)
	}
	if err := read(); err != nil || got.Name != "again" {
		t.Errorf("once settled: %+v, %v", got, err)
	}
	if err := os.Remove(path + damagedSuffix); err != nil {
		t.Error(err)
	}
	if err := WriteDraft(path, record{1, "third"}); err != nil {
		t.Fatal(err)
	}
	if err := Discard(path); err != nil {
		t.Fatal(err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}
