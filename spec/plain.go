package spec

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"compose/internal/rawfile"
)

// Most projects are a directory with one file, of a usual name, and nobody says
// anything else about where they are. What a verb wants to know of such a one is
// found without compose-go, whose own start takes longer.

// Where a project's file is looked for, as cli.DefaultFileNames and
// cli.DefaultOverrideFileNames have it.
var (
	fileNames     = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
	overrideNames = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
)

// plain is the directory of such a project, with its files; ok is false where it
// takes more to find them.
func (o Options) plain() (dir string, files []string, ok bool) {
	if len(o.Files)+len(o.EnvFiles) > 0 || o.ProjectDir != "" || o.Environ != nil {
		return "", nil, false
	}
	for _, name := range []string{"COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROJECT_NAME", "COMPOSE_DISABLE_ENV_FILE", "COMPOSE_ENV_FILES"} {
		if _, set := os.LookupEnv(name); set {
			return "", nil, false
		}
	}
	dir, err := os.Getwd()
	if err != nil || o.WorkingDir != "" && o.WorkingDir != dir {
		return "", nil, false
	}
	files, one := regular(dir, fileNames...)
	overrides, atMost := regular(dir, overrideNames...)
	env, none := regular(dir, ".env")
	return dir, append(files, overrides...), one && atMost && none && len(files) == 1 && len(overrides) <= 1 && len(env) == 0
}

// regular are those of the names that a directory has; ok is false if one of them is
// no file.
func regular(dir string, names ...string) (paths []string, ok bool) {
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || !info.Mode().IsRegular() {
			return nil, false
		}
		paths = append(paths, path)
	}
	return paths, true
}

// plainName is the name of such a project, where it can be told.
func (o Options) plainName() (name string, ok bool) {
	dir, files, ok := o.plain()
	if !ok || o.ProjectName != "" {
		return "", false
	}
	for _, path := range files {
		data, err := rawfile.Read(path)
		if err != nil {
			return "", false
		}
		written, ok := writtenName(data)
		if !ok || strings.Contains(written, "$") {
			return "", false
		}
		if written != "" {
			name = written
		}
	}
	if name = normalized(name); name == "" {
		name = normalized(filepath.Base(dir))
	}
	return name, true
}

// normalized is a name as projects are given it: small letters, digits, _ and -,
// with one of the first two before all others.
func normalized(name string) string {
	kept := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return strings.TrimLeft(kept, "_-")
}
