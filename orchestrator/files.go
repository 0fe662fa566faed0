package orchestrator

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/internal/roots"
	"compose/internal/statefile"
)

// projectFile is a secret or config whose content comes from the Compose file
// or the environment and must become a file.
type projectFile struct {
	Kind     string // "secret" or "config"
	Name     string
	Content  string
	UID, GID int
	Mode     fs.FileMode
}

// fileMounts mounts the configs and secrets of a service read-only.
func fileMounts(list *mountList, p *types.Project, s types.ServiceConfig, o convertOptions) error {
	for _, c := range s.Configs {
		def, ok := p.Configs[c.Source]
		if !ok {
			return fmt.Errorf("configs: %q is not declared under the top-level configs", c.Source)
		}
		m, err := fileMount("config", "/", types.FileReferenceConfig(c), types.FileObjectConfig(def), p, o)
		if err != nil {
			return err
		}
		list.add(m)
	}
	for _, c := range s.Secrets {
		def, ok := p.Secrets[c.Source]
		if !ok {
			return fmt.Errorf("secrets: %q is not declared under the top-level secrets", c.Source)
		}
		m, err := fileMount("secret", "/run/secrets", types.FileReferenceConfig(c), types.FileObjectConfig(def), p, o)
		if err != nil {
			return err
		}
		list.add(m)
	}
	return nil
}

func fileMount(kind, dir string, ref types.FileReferenceConfig, def types.FileObjectConfig, p *types.Project, o convertOptions) (engine.Mount, error) {
	m := engine.Mount{Type: "bind", ReadOnly: true, Target: ref.Target}
	if m.Target == "" {
		m.Target = ref.Source
	}
	if !path.IsAbs(m.Target) {
		m.Target = path.Join(dir, m.Target)
	}
	if def.External {
		return m, fmt.Errorf("unsupported external %s %s", kind, def.Name)
	}
	if def.File != "" {
		m.Source = p.RelativePath(def.File)
		if _, err := os.Stat(m.Source); err != nil {
			return m, fmt.Errorf("%ss: file of %q: %w", kind, ref.Source, err)
		}
		return m, nil
	}
	f := projectFile{Kind: kind, Name: ref.Source, Content: def.Content, Mode: 0o444}
	if def.Environment != "" {
		value, ok := p.Environment[def.Environment]
		if !ok {
			return m, fmt.Errorf("environment variable %q required by %s %q is not set", def.Environment, kind, ref.Source)
		}
		f.Content = value
	}
	if ref.Mode != nil {
		f.Mode = fs.FileMode(*ref.Mode) & fs.ModePerm
	}
	var err error
	if f.UID, err = fileOwner(ref.UID); err != nil {
		return m, fmt.Errorf("%ss.%s.uid: %w", kind, ref.Source, err)
	}
	if f.GID, err = fileOwner(ref.GID); err != nil {
		return m, fmt.Errorf("%ss.%s.gid: %w", kind, ref.Source, err)
	}
	m.Source, err = o.File(f)
	m.Own = true
	return m, err
}

func fileOwner(id string) (int, error) {
	if id == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(id, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not a numeric ID", id)
	}
	return int(n), nil
}

// writeFile keeps f in the project's own directory, which only root can
// enter, and returns its path. The name tells the content, so that a changed
// one is seen as a changed mount and an unchanged one is not written again.
func writeFile(r roots.Roots, project string, f projectFile) (string, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d\x00%o\x00%s", f.Kind, f.Name, f.UID, f.GID, f.Mode, f.Content))
	dir := filepath.Join(r.Project(project), "files")
	name := filepath.Join(dir, f.Kind+"-"+hex.EncodeToString(sum[:16]))
	if _, err := os.Lstat(name); err == nil {
		return name, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	// The owner comes before the name: a reader never sees the file half made.
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	_, err = tmp.WriteString(f.Content)
	for _, step := range []func() error{
		func() error { return tmp.Chown(f.UID, f.GID) },
		func() error { return tmp.Chmod(f.Mode) },
		tmp.Sync,
		func() error { return os.Rename(tmp.Name(), name) },
		func() error { return statefile.SyncDir(dir) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		return "", fmt.Errorf("write %s %s: %w", f.Kind, f.Name, err)
	}
	return name, nil
}
