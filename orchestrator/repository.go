package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"compose/engine/build/gitsource"
	"compose/internal/roots"
)

// FetchRepository checks a commit of a Git repository out into a directory
// that is named by the commit, and returns it. The reference is asked for each
// time; what has been checked out once is not fetched again.
func FetchRepository(ctx context.Context, r roots.Roots, src gitsource.Source) (string, error) {
	repo, err := gitsource.Open(filepath.Join(r.Build(), "git"), src)
	if err != nil {
		return "", err
	}
	defer repo.Close()
	commit, err := repo.Commit(ctx)
	if err != nil {
		return "", err
	}
	above := filepath.Join(r.State, "repositories")
	dir := filepath.Join(above, commit)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(above, 0o700); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(above, ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp) // it has moved, if all is well
	if err := repo.Checkout(ctx, commit, temp); err != nil {
		return "", err
	}
	if err := os.Rename(temp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s: %w", src.URL, err)
	}
	return dir, nil
}
