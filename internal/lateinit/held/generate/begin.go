package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strconv"
)

// uses says which of our initialisers, which run before Run can be called, name
// something of a package that is held: a function to call or a variable, as far as
// that can be told without types. What is only named for its type may stay.
func (all packages) uses(isHeld func(path string) bool) (found []string, err error) {
	for _, p := range all {
		if p.Standard || !ours(p.ImportPath) {
			continue
		}
		for _, name := range p.GoFiles {
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			names := map[string]bool{} // of held packages in this file
			for _, imported := range file.Imports {
				if p, _ := strconv.Unquote(imported.Path.Value); isHeld(p) {
					names[nameOf(p, imported)] = true
				}
			}
			look := func(n ast.Node) {
				ast.Inspect(n, func(n ast.Node) bool {
					switch n := n.(type) {
					case *ast.FuncLit: // runs later
						return false
					case *ast.CallExpr:
						if s, ok := n.Fun.(*ast.SelectorExpr); ok {
							if x, ok := s.X.(*ast.Ident); ok && names[x.Name] {
								found = append(found, fmt.Sprintf("%s: %s.%s", files.Position(s.Pos()), x.Name, s.Sel.Name))
							}
						}
					}
					return true
				})
			}
			for _, d := range file.Decls {
				switch d := d.(type) {
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
							for _, value := range v.Values {
								look(value)
							}
						}
					}
				case *ast.FuncDecl:
					if d.Recv == nil && d.Name.Name == "init" {
						look(d.Body)
					}
				}
			}
		}
	}
	return found, nil
}

// nameOf is how a file calls a package that it imports.
func nameOf(p string, imported *ast.ImportSpec) string {
	if imported.Name != nil {
		return imported.Name.Name
	}
	base := path.Base(p)
	if len(base) > 1 && base[0] == 'v' && base[1] >= '0' && base[1] <= '9' { // of a version
		base = path.Base(path.Dir(p))
	}
	return base
}
