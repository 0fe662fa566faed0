package orchestrator

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"compose/internal/filelock"
	"compose/internal/roots"
)

// fetchedDirs are where fetched files of projects lie, each in a directory that
// is named by what is in it: published applications and checked out commits.
func fetchedDirs(r roots.Roots) (published, repositories string) {
	return filepath.Join(r.State, "published"), filepath.Join(r.State, "repositories")
}

const unfetchedPrefix = ".new-"

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
	f, err := os.Open(above)
	if err != nil {
		return "", err
	}
	lock, err := filelock.ShareFile(f) // so that nobody sweeps what is not ready yet
	if err != nil {
		f.Close()
		return "", err
	}
	defer lock.Unlock()
	temp, err := os.MkdirTemp(above, unfetchedPrefix)
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

// sweepFetched deletes what a command that was killed had begun to fetch into
// directories below above. It does nothing while somebody fetches there.
func sweepFetched(above string) error {
	f, err := os.Open(above)
	if err != nil {
		return nil // nothing was ever fetched
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, unfetchedPrefix) })
	if len(names) == 0 {
		return nil
	}
	if _, err := filelock.TryFile(f); err != nil {
		return nil // somebody just makes one of them
	}
	var failed []error
	for _, name := range names {
		failed = append(failed, os.RemoveAll(filepath.Join(above, name)))
	}
	return errors.Join(failed...)
}
