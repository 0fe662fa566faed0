package spec

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v4"

	"compose/internal/lazy"
)

// Name is the name of a project, which is all that some verbs need of it. The
// files are looked for and looked at, and not loaded.
func Name(o Options) (string, error) {
	if name, ok := o.plainName(); ok {
		return name, nil
	}
	Begin()
	defer listen().stop()
	options, err := o.options(nil)
	if err != nil {
		return "", err
	}
	return projectName(options)
}

func projectName(o *cli.ProjectOptions) (string, error) {
	if o.Name != "" {
		return o.Name, nil
	}
	if name := o.Environment[consts.ComposeProjectName]; name != "" {
		return checkedName(name)
	}
	if len(o.ConfigPaths) == 0 {
		return "", ErrNoFile
	}
	written := ""
	for _, path := range o.ConfigPaths {
		if path == "-" {
			return "", nil // can be read once only: the loader will
		}
		for _, r := range o.ResourceLoaders {
			if r.Accept(path) {
				local, err := r.Load(context.Background(), path)
				if err != nil {
					return "", err
				}
				path = local
			}
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		name, ok := writtenName(data)
		if !ok {
			name = parsedName(data)
		}
		if name != "" {
			written = name // of several files the last counts
		}
	}
	if written != "" {
		name, err := template.Substitute(written, template.Mapping(func(k string) (string, bool) {
			v, ok := o.Environment[k]
			return v, ok
		}))
		if err != nil {
			return "", err
		}
		if name = loader.NormalizeProjectName(name); name != "" {
			return name, nil
		}
	}
	dir, err := o.GetWorkingDir()
	if err != nil {
		return "", err
	}
	return loader.NormalizeProjectName(filepath.Base(dir)), nil
}

func checkedName(name string) (string, error) {
	if name != loader.NormalizeProjectName(name) {
		return "", loader.InvalidProjectNameErr(name)
	}
	return name, nil
}

// nameLine is a top-level name as nearly everybody writes it.
var nameLine = lazy.Regexp(`^name:[ \t]+([A-Za-z0-9_.${}:?+-]+)[ \t]*(?:#.*)?$`)

// writtenName finds the top-level name in a file; ok is false where that takes a
// parser. A key at the beginning of a line is at the top level of a block mapping,
// so most files need none.
func writtenName(data []byte) (name string, ok bool) {
	found := ""
	first := true
	for line := range bytes.Lines(data) {
		text := strings.TrimRight(string(line), "\r\n")
		if trimmed := strings.TrimSpace(text); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if first && (text[0] == '{' || text[0] == '%' || text[0] == '!' || text[0] == '&' || text[0] == ' ' || text[0] == '\t') {
			return "", false // not the usual block of keys
		}
		first = false
		switch {
		case strings.HasPrefix(text, "name:"):
			m := nameLine().FindStringSubmatch(text)
			if m == nil {
				return "", false
			}
			found = m[1]
		case strings.HasPrefix(text, `"name"`), strings.HasPrefix(text, "'name'"), strings.HasPrefix(text, "?"), strings.HasPrefix(text, "<<"):
			return "", false
		}
	}
	return found, true
}

func parsedName(data []byte) string {
	var n struct {
		Name string `yaml:"name"`
	}
	if yaml.Unmarshal(data, &n) != nil {
		return "" // the loader will say what is wrong
	}
	return n.Name
}
