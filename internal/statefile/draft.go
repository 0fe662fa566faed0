package statefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	slashpath "path"
	"strings"

	"compose/internal/fault"
	"compose/internal/trace"
)

// A draft is a state file that is there for every reader, under a name of its
// own, while it goes to the disk: what it speaks of can be made meanwhile. A
// power loss may leave it without content, but takes away what was made too.

const draftSuffix = ".new"

func draftPath(path string) string {
	return slashpath.Join(slashpath.Dir(path), "."+slashpath.Base(path)+draftSuffix)
}

// DraftOf is the name of the file that a directory entry is the draft of.
func DraftOf(entry string) (base string, ok bool) {
	base, dotted := strings.CutPrefix(entry, ".")
	base, ok = strings.CutSuffix(base, draftSuffix)
	return base, ok && dotted
}

// WriteDraft writes the draft of a file that is not there yet. There is none
// where it fails.
func WriteDraft(path string, v any) error {
	data, err := encode(path, v)
	if err != nil {
		return err
	}
	fault.Point("statefile: before the draft")
	err = os.WriteFile(draftPath(path), data, 0o600)
	if err != nil {
		os.Remove(draftPath(path))
	}
	return err
}

// Settle makes the draft the file, with a copy, as WriteKept would have. Where
// there is none it has been done already.
func Settle(path string) error {
	draft := draftPath(path)
	f, err := os.Open(draft)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	defer trace.Begin("write durably", path).End()
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write %s to disk: %w", path, err)
	}
	fault.Point("statefile: before the draft's name")
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	fault.Point("statefile: after the draft's name")
	if err := SyncDir(slashpath.Dir(path)); err != nil {
		return err
	}
	return os.WriteFile(copyPath(path), data, 0o600)
}

// ReadDrafted is ReadVersioned for a file of which there may be the draft only.
// A draft without content speaks of nothing, and is not there.
func ReadDrafted(path string, v any, version *int, known int) error {
	err := ReadVersioned(path, v, version, known)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if ReadVersioned(draftPath(path), v, version, known) == nil {
		return nil
	}
	return ReadVersioned(path, v, version, known) // it may have got its name in between
}

// lostDraft says that an entry of a directory is a draft that a power loss has
// taken the content of.
func lostDraft(dir, entry string) bool {
	if _, ok := DraftOf(entry); !ok {
		return false
	}
	data, err := os.ReadFile(slashpath.Join(dir, entry))
	return err == nil && !json.Valid(data)
}

// Discard removes a file, its copy and its draft. There may be none.
func Discard(path string) error {
	if err := os.Remove(draftPath(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return RemoveKept(path)
}
