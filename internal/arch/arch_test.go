package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// file is one Go file of the repository.
type file struct {
	dir  string // slashes, from the repository's root
	path string
	test bool
	ast  *ast.File
}

// goFiles parses every Go file of all modules. It reads them in this process, so that the test cache sees each.
func goFiles(t *testing.T) ([]file, *token.FileSet) {
	t.Helper()
	var files []file
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
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
		files = append(files, file{dir, rel, strings.HasSuffix(name, "_test.go"), parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files were found: the walk is broken", len(files))
	}
	return files, set
}

func TestImports(t *testing.T) {
	files, _ := goFiles(t)
	for _, f := range files {
		for _, imp := range f.ast.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := forbidden(f.dir, path, f.test); why != "" {
				t.Errorf("%s imports %s: %s", f.path, path, why)
			}
		}
	}
}

func TestFolders(t *testing.T) {
	files, _ := goFiles(t)
	for _, f := range files {
		below, internal := strings.CutPrefix(f.dir, "internal/")
		if internal && strings.Count(below, "/") > 1 {
			t.Errorf("%s: more than two levels of folders under internal/", f.path)
		}
		base := f.dir[strings.LastIndexByte(f.dir, '/')+1:]
		for _, vague := range []string{"util", "utils", "common", "helpers", "misc"} {
			if base == vague {
				t.Errorf("%s: a package is named by what it does, not %s", f.path, vague)
			}
		}
		name := strings.TrimSuffix(f.ast.Name.Name, "_test")
		if f.dir != "." && internal && name != base {
			t.Errorf("%s: package %s in folder %s", f.path, name, base)
		}
	}
}

func TestMainIsSmall(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "cmd/mindscope/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 30 {
		t.Errorf("cmd/mindscope/main.go has %d lines, at most 30 are allowed", n)
	}
}

// TestNoInitAndNoMutableState wants no init function, and package variables only where nothing changes them: tables,
// sentinel errors and the like. Examples and tests are free.
func TestNoInitAndNoMutableState(t *testing.T) {
	files, set := goFiles(t)
	packages := map[string][]file{}
	for _, f := range files {
		if !f.test && !strings.HasPrefix(f.dir, "examples") && !strings.HasPrefix(f.dir, "test/") {
			packages[f.dir] = append(packages[f.dir], f)
		}
	}
	for _, pkg := range packages {
		for _, bad := range stateOf(pkg) {
			t.Errorf("%s: %s", set.Position(bad.pos), bad.what)
		}
	}
}

type finding struct {
	pos  token.Pos
	what string
}

// stateOf finds init functions, and package variables that are changed or of a type that is there to be changed.
func stateOf(pkg []file) []finding {
	var found []finding
	vars := map[string]bool{}
	for _, f := range pkg {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, finding{fn.Pos(), "init function: build what is needed in a constructor"})
			}
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				spec := s.(*ast.ValueSpec)
				for _, n := range spec.Names {
					vars[n.Name] = n.Name != "_"
				}
				if changeable(spec.Type) || slices.ContainsFunc(spec.Values, changeableValue) {
					found = append(found, finding{spec.Pos(), "package variable " + spec.Names[0].Name + " is there to be changed"})
				}
			}
		}
	}
	for _, f := range pkg {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				found = append(found, changes(fn, vars)...)
			}
		}
	}
	return found
}

// changeable tells whether a type is one of package sync or sync/atomic, or a channel. sync.Pool keeps no state that
// anybody can see, and a sync.Once fills a table once.
func changeable(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.ChanType:
		return true
	case *ast.IndexExpr:
		return changeable(e.X)
	case *ast.SelectorExpr:
		x, ok := e.X.(*ast.Ident)
		return ok && (x.Name == "atomic" || x.Name == "sync" && e.Sel.Name != "Pool" && e.Sel.Name != "Once")
	}
	return false
}

func changeableValue(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return changeable(e.Type)
	case *ast.UnaryExpr:
		return changeableValue(e.X)
	case *ast.CallExpr:
		fn, ok := e.Fun.(*ast.Ident)
		return ok && fn.Name == "make"
	}
	return false
}

// changes finds statements of fn that change one of vars. Names that fn declares itself hide a package variable.
func changes(fn *ast.FuncDecl, vars map[string]bool) []finding {
	local := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, name := range n.Names {
				local[name.Name] = true
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				local[name.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				declare(local, n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				declare(local, n.Key, n.Value)
			}
		}
		return true
	})
	var found []finding
	changed := func(e ast.Expr) {
		if name := rootName(e); vars[name] && !local[name] {
			found = append(found, finding{e.Pos(), "package variable " + name + " is changed"})
		}
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					changed(e)
				}
			}
		case *ast.IncDecStmt:
			changed(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				changed(n.X)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
				changed(n.Args[0])
			}
		}
		return true
	})
	return found
}

func declare(local map[string]bool, exprs ...ast.Expr) {
	for _, e := range exprs {
		if id, ok := e.(*ast.Ident); ok {
			local[id.Name] = true
		}
	}
}

// rootName returns the variable that a[i].b, *a and (a) belong to.
func rootName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.IndexExpr:
		return rootName(e.X)
	case *ast.SelectorExpr:
		return rootName(e.X)
	case *ast.StarExpr:
		return rootName(e.X)
	case *ast.ParenExpr:
		return rootName(e.X)
	}
	return ""
}

func TestStateIsFound(t *testing.T) {
	f := func(source string, want int) {
		t.Helper()
		parsed, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := stateOf([]file{{ast: parsed}}); len(got) != want {
			t.Errorf("%q: %v, want %d findings", source, got, want)
		}
	}
	f(`var ErrGone = errors.New("gone")`, 0)
	f(`var table = map[string]int{"a": 1}; func f() int { return table["a"] }`, 0)
	f(`var table = map[string]int{}; func f() { table["a"] = 1 }`, 1)
	f(`var table = map[string]int{}; func f() { delete(table, "a") }`, 1)
	f(`var n int; func f() { n++ }`, 1)
	f(`var n int; func f() { n := 1; n++ }`, 0)
	f(`var n int; func f(n int) { n = 3 }`, 0)
	f(`var v T; func f() { v.x.y = 3 }`, 1)
	f(`var v T; func f() { g(&v) }`, 1)
	f(`var mu sync.Mutex`, 1)
	f(`var n atomic.Int64`, 1)
	f(`var p atomic.Pointer[T]`, 1)
	f(`var pool = sync.Pool{}`, 0)
	f(`var c = make(chan int)`, 1)
	f(`var _ I = (*T)(nil)`, 0)
	f(`func init() {}`, 1)
	f(`type T struct{}; func (T) init() {}`, 0)
}
