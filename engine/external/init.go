package external

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// provideInit makes our own binary a file in dir that another runtime can bind
// into a container, and returns its path. The running one may have no path: it
// runs from a mount that belongs to no namespace. There is one copy for each
// build, made when it is first asked for; those of other builds go.
func provideInit(dir string) (string, error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("open our own binary: %w", err)
	}
	defer self.Close()
	info, err := self.Stat()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("%x-%x", info.Size(), info.ModTime().UnixNano()))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	_, err = io.Copy(tmp, self)
	if err == nil {
		err = tmp.Chmod(0o755)
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", fmt.Errorf("copy our own binary to %s: %w", dir, err)
	}
	others, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, o := range others {
		if name := filepath.Join(dir, o.Name()); name != tmp.Name() {
			_ = os.Remove(name) // a container that runs from it keeps it
		}
	}
	return path, os.Rename(tmp.Name(), path)
}
