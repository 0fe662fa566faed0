// Package daemonjson reads what this host's administrator says, in the format
// of Docker's daemon.json.
package daemonjson

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"compose/internal/statefile"
)

// Read reads the keys that v has from <state>/daemon.json or, where there is
// none, from Docker's own /etc/docker/daemon.json, and says which it was.
// Neither has to exist.
func Read(state string, v any) (path string, err error) {
	for _, path = range []string{filepath.Join(state, "daemon.json"), "/etc/docker/daemon.json"} {
		err = statefile.ReadJSON(path, v)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		err = nil
	}
	var damaged *statefile.CorruptError
	if errors.As(err, &damaged) {
		err = fmt.Errorf("configuration file %s: %w", path, damaged.Err)
	}
	return path, err
}
