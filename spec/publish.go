package spec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"compose/internal/lazy"
)

// Published is what of a project's files is made public: the Compose files,
// their references to other files under names of their own, and those files.
type Published struct {
	Files    []PublishedFile
	EnvFiles []PublishedFile
	// Included says that a file of this host is included.
	Included bool
	// Secret are the places of values that look as if they were to be kept.
	Secret []string
	// EnvDeclared are the services that have an env_file.
	EnvDeclared []string
	// Contents are the configs with their content in the file.
	Contents []string
}

// PublishedFile is one file of it.
type PublishedFile struct {
	Name    string
	Data    []byte
	Extends bool // it is there for services that extend others
}

// Publishable reads a project's files as they are to be published: with
// variables unreplaced, and without a path of this host.
func Publishable(ctx context.Context, p *types.Project) (*Published, error) {
	Begin()
	out := &Published{}
	hidden := map[string]string{} // path of a file that is extended -> its name
	envs := map[string]string{}
	queue := slices.Clone(p.ComposeFiles)
	for i := 0; i < len(queue); i++ {
		path := queue[i]
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		f := PublishedFile{Name: path, Extends: i >= len(p.ComposeFiles)}
		if f.Extends {
			f.Name = hidden[path]
		}
		file, err := unresolved(ctx, p, path, data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		extended, err := out.read(&f, data, file, envs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, x := range extended {
			if hidden[x] == "" {
				hidden[x] = hiddenName(x, "yaml")
				queue = append(queue, x)
			}
		}
		out.Files = append(out.Files, f)
	}
	for _, path := range slices.Sorted(maps.Keys(envs)) {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		out.EnvFiles = append(out.EnvFiles, PublishedFile{Name: envs[path], Data: data})
	}
	for _, list := range []*[]string{&out.Secret, &out.EnvDeclared, &out.Contents} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return out, nil
}

// hiddenName is what a file is called instead of its path on this host.
func hiddenName(path, ext string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:]) + "." + ext
}

// unresolved is one file with its paths made absolute and nothing else done.
func unresolved(ctx context.Context, p *types.Project, path string, data []byte) (*types.Project, error) {
	return loader.LoadWithContext(ctx, types.ConfigDetails{
		WorkingDir: p.WorkingDir, Environment: p.Environment, ConfigFiles: []types.ConfigFile{{Filename: path, Content: data}},
	}, func(o *loader.Options) {
		o.SkipValidation, o.SkipExtends, o.SkipConsistencyCheck, o.SkipInclude = true, true, true, true
		o.SkipInterpolation, o.SkipResolveEnvironment, o.ResolvePaths = true, true, true
		o.Profiles = []string{"*"}
		o.SetProjectName(p.Name, true)
	})
}

// secretName and secretValue are what is to be kept by its name and its form.
var (
	secretName  = lazy.Regexp(`(?i)pass(word|wd|phrase)?|secret|token|api_?key|private_?key|access_?key|credential`)
	secretValue = lazy.Regexp(`AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|-----BEGIN [A-Z ]*PRIVATE KEY|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.|xox[abpr]-[\w-]{10,}`)
)

// read notes what one file has, and gives it its public form. It returns the
// files of this host whose services it extends.
func (out *Published) read(f *PublishedFile, data []byte, file *types.Project, envs map[string]string) (extended []string, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	edits := map[*yaml.Node]string{}
	if include := valueOf(document(&root), "include"); include != nil {
		for _, n := range include.Content {
			path := n
			if n.Kind == yaml.MappingNode {
				path = valueOf(n, "path")
			}
			if path != nil && (path.Kind == yaml.SequenceNode || !strings.Contains(path.Value, "://")) {
				out.Included = true
			}
		}
	}
	for name, s := range file.Services {
		node := valueOf(valueOf(document(&root), "services"), name)
		for key, value := range s.Environment {
			if value != nil && !strings.HasPrefix(*value, "$") && (len(*value) > 2 && secretName().MatchString(key) || secretValue().MatchString(*value)) {
				out.Secret = append(out.Secret, fmt.Sprintf("service %q: environment.%s", name, key))
			}
		}
		for i, env := range s.EnvFiles {
			out.EnvDeclared = append(out.EnvDeclared, name)
			if n := envFileNode(valueOf(node, "env_file"), i); n != nil {
				edits[n] = hiddenName(env.Path, "env")
			}
			if _, err := os.Stat(env.Path); err == nil {
				envs[env.Path] = hiddenName(env.Path, "env")
			}
		}
		if s.Extends == nil || s.Extends.File == "" {
			continue
		}
		if info, err := os.Stat(s.Extends.File); err != nil || info.Mode()&fs.ModeType != 0 {
			continue // it is elsewhere, and stays there
		}
		extended = append(extended, s.Extends.File)
		if n := valueOf(valueOf(node, "extends"), "file"); n != nil {
			edits[n] = hiddenName(s.Extends.File, "yaml")
		}
	}
	for name, c := range file.Configs {
		if c.Content != "" && !strings.HasPrefix(c.Content, "$") && !strings.HasSuffix(c.Content, "}") {
			out.Contents = append(out.Contents, name)
		}
	}
	f.Data = edited(data, edits)
	slices.Sort(extended)
	return slices.Compact(extended), nil
}

func document(root *yaml.Node) *yaml.Node {
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		return root.Content[0]
	}
	return root
}

// valueOf is the value of a key in a mapping; nil where there is none.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// envFileNode is the path of the i-th env_file.
func envFileNode(n *yaml.Node, i int) *yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode && i < len(n.Content):
		n = n.Content[i]
	}
	if n.Kind == yaml.MappingNode {
		return valueOf(n, "path")
	}
	if n.Kind != yaml.ScalarNode {
		return nil
	}
	return n
}

// edited replaces scalars of a file by words, and leaves all else as written.
func edited(data []byte, edits map[*yaml.Node]string) []byte {
	lines := strings.SplitAfter(string(data), "\n")
	nodes := slices.SortedFunc(maps.Keys(edits), func(a, b *yaml.Node) int { // the last first: positions stay
		if a.Line != b.Line {
			return b.Line - a.Line
		}
		return b.Column - a.Column
	})
	for _, n := range nodes {
		line := lines[n.Line-1]
		start := len(string([]rune(line)[:n.Column-1])) // columns count characters
		rest := line[start:]
		length := len(n.Value)
		if quote := rest[:1]; quote == `"` || quote == "'" {
			if end := strings.Index(rest[1:], quote); end >= 0 {
				length = end + 2
			}
		}
		lines[n.Line-1] = line[:start] + edits[n] + rest[min(length, len(rest)):]
	}
	return []byte(strings.Join(lines, ""))
}
