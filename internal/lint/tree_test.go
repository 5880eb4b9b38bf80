// Package lint holds the rules of the house, as tests.
package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/counterfoil/counterfoil"
)

// file is a Go file of this repository, of any of its modules.
type file struct {
	path string // from the root, with slashes
	dir  string // "." is the root package
	test bool
	fset *token.FileSet
	ast  *ast.File
}

// at says where a node stands.
func (f *file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// imported returns the name under which the file imports path, "" if it does not.
func (f *file) imported(path string) string {
	for _, i := range f.ast.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); p == path {
			if i.Name != nil {
				return i.Name.Name
			}
			return path[strings.LastIndexByte(path, '/')+1:]
		}
	}
	return ""
}

// uses returns where a name of pkg is used, whatever the file calls pkg.
func (f *file) uses(pkg string, names ...string) (all []ast.Node) {
	local := f.imported(pkg)
	if local == "" {
		return nil
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		for _, name := range names {
			if ok && x.Name == local && x.Obj == nil && sel.Sel.Name == name {
				all = append(all, sel)
			}
		}
		return true
	})
	return all
}

// files reads all Go files.
func files(t *testing.T) (all []*file) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "dist" || name == "data") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		tree, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		dir := "."
		if i := strings.LastIndexByte(rel, '/'); i >= 0 {
			dir = rel[:i]
		}
		all = append(all, &file{rel, dir, strings.HasSuffix(name, "_test.go"), fset, tree})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d Go files only: the walk is wrong", len(all))
	}
	return all
}

// code is files without tests.
func code(t *testing.T) (all []*file) {
	t.Helper()
	for _, f := range files(t) {
		if !f.test {
			all = append(all, f)
		}
	}
	return all
}

// under reports whether dir is folder or below it.
func under(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }
