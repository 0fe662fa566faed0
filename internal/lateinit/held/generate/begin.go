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

// uses says which of our initialisers, which run before Run can be called, call a
// function of a package that is held. What they name otherwise, as a type, may stay.
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
			for _, n := range initialisers(file) {
				for _, s := range calls(n, names) {
					found = append(found, fmt.Sprintf("%s: %s", files.Position(s.Pos()), s.Sel.Name))
				}
			}
		}
	}
	return found, nil
}

// initialisers are what a file has run when its package initialises.
func initialisers(file *ast.File) (list []ast.Node) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
					for _, value := range v.Values {
						list = append(list, value)
					}
				}
			}
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				list = append(list, d.Body)
			}
		}
	}
	return list
}

// calls are those of functions of the packages with these names, but for those
// in functions that are only made here.
func calls(n ast.Node, names map[string]bool) (list []*ast.SelectorExpr) {
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && names[x.Name] {
					list = append(list, s)
				}
			}
		}
		_, later := n.(*ast.FuncLit)
		return !later
	})
	return list
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
