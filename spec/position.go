package spec

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v4"

	"compose/internal/lazy"
)

// source is one Compose file as a tree of nodes that know where they are.
type source struct {
	path string
	root *yaml.Node
}

// fileList is the files of a project. Of several the last that has a field
// decides about it.
type fileList []source

var yamlLine = lazy.Regexp(`line (\d+): (.*)`)

// readFiles parses the files; the error is a *FileError about the first that is no
// YAML.
func readFiles(paths []string) (fileList, *FileError) {
	var files fileList
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // standard input, or gone: the loader's words will do
		}
		s := source{path: shown(path), root: &yaml.Node{}}
		if err := yaml.Unmarshal(data, s.root); err != nil {
			e := &FileError{File: s.path, Message: strings.TrimPrefix(err.Error(), "yaml: "), Err: err}
			if m := yamlLine().FindStringSubmatch(oneLine(e.Message)); m != nil {
				e.Line, _ = strconv.Atoi(m[1])
				e.Column = 1
				e.Message = m[2] + "; check the indentation, quotes and brackets at or above this line"
			}
			return nil, e
		}
		files = append(files, s)
	}
	return files, nil
}

// shown is a path as the user would write it.
func shown(path string) string {
	wd, err := os.Getwd()
	if err != nil || !filepath.IsAbs(path) {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

// locate finds the field, or as much of its path as the files have.
func (l fileList) locate(field string) (file string, line, column int) {
	depth := -1
	for _, s := range l {
		if node, d := s.find(field); d >= depth && node != nil {
			file, line, column, depth = s.path, node.Line, node.Column, d
		}
	}
	return file, line, column
}

// find goes down a dotted path as far as the file has it. It returns the node
// that stands for the last step: a key, or an entry of a list.
func (s source) find(field string) (last *yaml.Node, depth int) {
	node := content(s.root)
	parts := strings.Split(field, ".")
	for len(parts) > 0 && node != nil {
		key, value, used := step(node, parts)
		if used == 0 {
			break
		}
		last, node = key, value
		depth += used
		parts = parts[used:]
	}
	if last == nil {
		last = node
	}
	return last, depth
}

// step takes one step down. A key may have dots in it: the longest wins.
func step(node *yaml.Node, parts []string) (key, value *yaml.Node, used int) {
	switch node.Kind {
	case yaml.AliasNode:
		return step(node.Alias, parts)
	case yaml.MappingNode:
		for n := len(parts); n > 0; n-- {
			want := strings.Join(parts[:n], ".")
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == want {
					return node.Content[i], node.Content[i+1], n
				}
			}
		}
		for i := 0; i+1 < len(node.Content); i += 2 { // what was merged in
			if node.Content[i].Value == "<<" {
				if key, value, used := step(node.Content[i+1], parts); used > 0 {
					return key, value, used
				}
			}
		}
	case yaml.SequenceNode:
		if n, err := strconv.Atoi(parts[0]); err == nil && n < len(node.Content) {
			return node.Content[n], node.Content[n], 1
		}
		for _, item := range node.Content { // a list where a mapping could be
			if item.Kind == yaml.ScalarNode && (item.Value == parts[0] || strings.HasPrefix(item.Value, parts[0]+"=")) {
				return item, item, 1
			}
		}
	}
	return nil, nil, 0
}

func content(root *yaml.Node) *yaml.Node {
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		return root.Content[0]
	}
	return root
}

// mention finds where, below a field, a name is written.
func (l fileList) mention(field, name string) (file string, line, column int) {
	for _, s := range slices.Backward(l) {
		node := s.valueOf(field)
		if node == nil {
			continue
		}
		if at := mentioned(node, name); at != nil {
			return s.path, at.Line, at.Column
		}
	}
	return l.locate(field)
}

func (s source) valueOf(field string) *yaml.Node {
	node := content(s.root)
	parts := strings.Split(field, ".")
	for len(parts) > 0 && node != nil {
		_, value, used := step(node, parts)
		if used == 0 {
			return nil
		}
		node, parts = value, parts[used:]
	}
	return node
}

func mentioned(node *yaml.Node, name string) *yaml.Node {
	if node.Kind == yaml.ScalarNode && (node.Value == name || strings.HasPrefix(node.Value, name+":")) {
		return node
	}
	for _, c := range node.Content {
		if at := mentioned(c, name); at != nil {
			return at
		}
	}
	return nil
}

// keys are the names in a section at the top level.
func (l fileList) keys(section string) []string {
	var out []string
	for _, s := range l {
		node := s.valueOf(section)
		if node == nil || node.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			out = append(out, node.Content[i].Value)
		}
	}
	return out
}

// duplicate is a key that a mapping has twice.
func (l fileList) duplicate(line, key, first, message string) *FileError {
	e := &FileError{Message: "the key " + key + " is there already, in line " + first + "; remove one of them"}
	e.Line, _ = strconv.Atoi(line)
	for _, s := range l {
		if at := keyInLine(s.root, key, e.Line); at != nil {
			e.File, e.Column = s.path, at.Column
			return e
		}
	}
	return &FileError{Message: message}
}

// entry finds the entry of some service's list that a text is in.
func (l fileList) entry(kind string, in func(entry, text string) bool, text, message string) *FileError {
	for _, s := range l {
		services := s.valueOf("services")
		if services == nil || services.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(services.Content); i += 2 {
			field := "services." + services.Content[i].Value + "." + kind
			list := s.valueOf(field)
			if list == nil {
				continue
			}
			for _, entry := range list.Content {
				if entry.Kind == yaml.ScalarNode && in(entry.Value, text) {
					return &FileError{File: s.path, Line: entry.Line, Column: entry.Column, Field: field, Message: message}
				}
			}
		}
	}
	return &FileError{Message: message}
}

// naming finds where a file is named, by what its path ends in.
func (l fileList) naming(path, message string) *FileError {
	for _, s := range l {
		if at := naming(s.root, path); at != nil {
			return &FileError{File: s.path, Line: at.Line, Column: at.Column, Message: message}
		}
	}
	return &FileError{Message: message}
}

func naming(node *yaml.Node, path string) *yaml.Node {
	if node.Kind == yaml.ScalarNode && node.Value != "" && strings.HasSuffix(path, "/"+strings.TrimLeft(filepath.Clean(node.Value), "./")) {
		return node
	}
	for _, c := range node.Content {
		if at := naming(c, path); at != nil {
			return at
		}
	}
	return nil
}

// whole is about the first file that has no keys.
func (l fileList) whole(message string) *FileError {
	for _, s := range l {
		if content(s.root).Kind != yaml.MappingNode {
			return &FileError{File: s.path, Message: message}
		}
	}
	return &FileError{Message: message}
}

func keyInLine(node *yaml.Node, key string, line int) *yaml.Node {
	if node.Kind == yaml.ScalarNode && node.Value == key && node.Line == line {
		return node
	}
	for _, c := range node.Content {
		if at := keyInLine(c, key, line); at != nil {
			return at
		}
	}
	return nil
}

func editDistance(a, b string) int { return levenshtein.Distance(a, b, nil) }
