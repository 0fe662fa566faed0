package orchestrator

import (
	"context"
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
	_, repositories := fetchedDirs(r)
	return fetchedOnce(repositories, commit, func(dir string) error {
		return repo.Checkout(ctx, commit, dir)
	})
}
