package orchestrator

import (
	"context"
	"errors"
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
	return fetchedOnce(filepath.Join(r.State, "repositories"), commit, func(dir string) error {
		return repo.Checkout(ctx, commit, dir)
	})
}

// fetchedOnce is the directory below above that is named by what is in it; fill
// fills it where it is not there yet.
func fetchedOnce(above, name string, fill func(dir string) error) (string, error) {
	dir := filepath.Join(above, name)
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
	if err := fill(temp); err != nil {
		return "", err
	}
	if err := os.Rename(temp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}
