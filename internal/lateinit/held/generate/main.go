// Command generate writes the list of the package held: which packages'
// initialisers cmd/compose can do without until lateinit.Run, in the order in
// which the linker would have them run.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"compose/internal/lateinit"
)

const (
	program  = "compose/cmd/compose"
	promised = "compose/internal/lateinit" // who calls its Run promises something
)

// groups are those that a package may name, see lateinit.
var groups = map[string]lateinit.Group{
	"Builds": lateinit.Builds, "Compression": lateinit.Compression, "DNS": lateinit.DNS,
	"Files": lateinit.Files, "Platforms": lateinit.Platforms, "Registries": lateinit.Registries,
}

// closed are libraries of which nothing is used before lateinit.Open, whoever
// imports them, by how their paths begin.
var closed = map[string]lateinit.Group{
	"github.com/compose-spec/compose-go/": lateinit.Files,
	"github.com/containerd/platforms":     lateinit.Platforms,
	"github.com/klauspost/compress/":      lateinit.Compression,
	"go.yaml.in/yaml/":                    lateinit.Files,
}

func closedBy(path string) lateinit.Group {
	for prefix, g := range closed {
		if strings.HasPrefix(path, prefix) {
			return g
		}
	}
	return 0
}

// held is a package whose initialisers are held.
type held struct {
	path   string
	groups lateinit.Group // that need it
}

func main() {
	file, err := generate()
	if err == nil && len(os.Args) == 2 {
		err = os.WriteFile(os.Args[1], file, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate makes the file with the list. Packages that the program does not have
// on one of its architectures stand for nothing there.
func generate() ([]byte, error) {
	all := packages{}
	for _, arch := range []string{"amd64", "arm64"} {
		if err := all.load(arch); err != nil {
			return nil, err
		}
	}
	early, needed := map[string]bool{}, map[string]lateinit.Group{}
	promises := map[string]lateinit.Group{}
	for path, p := range all {
		g, err := p.promise()
		if err != nil {
			return nil, err
		}
		if g != 0 {
			promises[path] = g
		}
	}
	all.visit(program, promises, func(path string) bool {
		before := early[path]
		early[path] = true
		return !before
	})
	need := func(path string, g lateinit.Group) {
		all.visit(path, nil, func(path string) bool {
			before := needed[path]
			needed[path] |= g
			return needed[path] != before && !early[path]
		})
	}
	for gate, g := range promises {
		for _, imported := range all[gate].Imports {
			need(imported, g)
		}
	}
	for path := range all {
		if g := closedBy(path); g != 0 {
			need(path, g)
		}
	}
	order, err := all.order()
	var list []held
	for _, path := range order {
		if !all[path].Standard && !early[path] { // the linker lets nobody name those of the standard library
			list = append(list, held{path, needed[path]})
		}
	}
	if err != nil {
		return nil, err
	}
	tooEarly, err := all.uses(func(path string) bool { return slices.ContainsFunc(list, func(h held) bool { return h.path == path }) })
	if err == nil && len(tooEarly) > 0 {
		err = fmt.Errorf("used before lateinit.Run can be called: %s", strings.Join(tooEarly, "; "))
	}
	return render(list, slices.Sorted(maps.Keys(promises))), err
}

// ours says whether a package is a part of this module.
func ours(path string) bool { return strings.HasPrefix(path, "compose/") }

// pkg is a package, as go list shows it.
type pkg struct {
	ImportPath string
	Standard   bool
	Dir        string
	GoFiles    []string
	Imports    []string
	ImportMap  map[string]string // of the standard library, for those that it brings along
}

// packages are all that the program is made of, by import path.
type packages map[string]*pkg

// load adds the packages of an architecture.
func (all packages) load(arch string) error {
	list := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Dir,GoFiles,Imports,ImportMap", program)
	list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the packages: %w", err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for i, path := range p.Imports {
			p.Imports[i] = cmp.Or(p.ImportMap[path], path)
		}
		if before := all[p.ImportPath]; before != nil {
			p.Imports = append(p.Imports, before.Imports...)
		}
		// Those that it imports are listed before it, but for "unsafe" and "C",
		// which are no packages.
		p.Imports = slices.DeleteFunc(p.Imports, func(path string) bool { return all[path] == nil })
		slices.Sort(p.Imports)
		p.Imports = slices.Compact(p.Imports)
		all[p.ImportPath] = p
	}
}

// call is how a package names the group with which it calls Run.
var call = regexp.MustCompile(`lateinit\.Run\(lateinit\.(\w+)\)`)

// promise is the group of a package that calls Run, or 0.
func (p *pkg) promise() (g lateinit.Group, err error) {
	if p.ImportPath == program || !slices.Contains(p.Imports, promised) {
		return 0, nil
	}
	for _, name := range p.GoFiles {
		source, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			return 0, err
		}
		for _, m := range call.FindAllSubmatch(source, -1) {
			g |= groups[string(m[1])]
		}
	}
	if bits.OnesCount8(uint8(g)) > 1 {
		return 0, fmt.Errorf("%s calls lateinit.Run for several groups", p.ImportPath)
	}
	return g, nil
}

// visit shows a package and those that it comes to, as long as show returns
// true; with promises neither what packages import that promise to call Run, but for
// our own, nor libraries that are closed.
func (all packages) visit(path string, promises map[string]lateinit.Group, show func(string) bool) {
	if !show(path) {
		return
	}
	for _, imported := range all[path].Imports {
		if promises == nil || ours(imported) || promises[path] == 0 && closedBy(imported) == 0 {
			all.visit(imported, promises, show)
		}
	}
}

// order is that of the linker: of those whose imports are done, the first by
// path is next.
func (all packages) order() (order []string, err error) {
	missing := map[string]int{}
	importers := map[string][]string{}
	for path, p := range all {
		missing[path] = len(p.Imports)
		for _, imported := range p.Imports {
			importers[imported] = append(importers[imported], path)
		}
	}
	for len(missing) > 0 {
		next := ""
		for path, n := range missing {
			if n == 0 && (next == "" || path < next) {
				next = path
			}
		}
		if next == "" {
			return nil, fmt.Errorf("%d packages import each other", len(missing))
		}
		delete(missing, next)
		for _, path := range importers[next] {
			missing[path]--
		}
		order = append(order, next)
	}
	return order, nil
}

// render is the file with the list. The compiler makes an empty variable for
// each name; what is of that name otherwise takes its place when it is linked.
func render(list []held, gates []string) []byte {
	var links, names, tasks, groups bytes.Buffer
	for i, p := range list {
		fmt.Fprintf(&links, "//go:linkname t%d %s..inittask\n", i, symbol(p.path))
		between := ", "
		if i == 0 {
			between = ""
		} else if i%10 == 0 {
			between = ",\n\t"
		}
		fmt.Fprintf(&names, "%st%d", between, i)
		fmt.Fprintf(&tasks, "%s&t%d", between, i)
		fmt.Fprintf(&groups, "%s%d", between, p.groups)
	}
	return fmt.Appendf(nil, `// Code generated by compose/internal/lateinit/held/generate. DO NOT EDIT.

//go:build go1.26 && !go1.27

package held

import _ "unsafe" // for go:linkname

// These promise to call lateinit.Run:
//   - %s

%s
var %s task

// tasks are those to run later, in order.
var tasks = [...]*task{
	%s,
}

// groups are those that need each of them (see lateinit.Group).
var groups = [...]uint8{
	%s,
}
`, strings.Join(gates, "\n//   - "), links.String(), names.String(), tasks.String(), groups.String())
}

// symbol is the path as it is part of a symbol's name, where a dot behind the
// last slash would be taken for the end of the path.
func symbol(path string) string {
	i := strings.LastIndex(path, "/") + 1
	return path[:i] + strings.ReplaceAll(path[i:], ".", "%2e")
}
