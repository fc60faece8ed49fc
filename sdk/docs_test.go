package sdk_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// packages are what users import, from this folder.
var packages = []string{
	".", "telemetry", "tasklog", "sdktest", "mindbus", "mindbus/mindbustest", "mindbus/rabbitmq",
	"records", "records/pgxrecords", "records/recordstest", "artifact", "budget",
	"llmhttp", "llmhttp/llmhttptest",
}

// TestEveryNameIsExplained: every exported name has a sentence that begins with it and stands in an example that is run.
// Of constants and variables in one group, one has to. A method that implements an interface of somebody else says so and
// needs no example. In packages that help tests an example is a test, TestExample.
func TestEveryNameIsExplained(t *testing.T) {
	for _, dir := range packages {
		pkg, examples := parsePackage(t, dir)
		used := usedIn(examples)
		explained := func(name, text string, examples bool) {
			last := name[strings.LastIndexByte(name, '.')+1:]
			if !sentence.MatchString(text) || !strings.Contains(text, last) {
				t.Errorf("%s: %s has no sentence that says what it is: %q", dir, name, text)
			}
			if examples && !used[last] {
				t.Errorf("%s: no example shows %s", dir, name)
			}
		}
		funcs := func(of string, fns []*doc.Func) {
			for _, f := range fns {
				explained(of+f.Name, f.Doc, !strings.HasPrefix(f.Doc, f.Name+" implements "))
			}
		}
		values := func(groups []*doc.Value) {
			for _, g := range groups {
				shown := false
				for _, name := range g.Names {
					shown = shown || used[name]
				}
				if !shown {
					t.Errorf("%s: no example shows one of %v", dir, g.Names)
				}
				for _, spec := range g.Decl.Specs {
					if v := spec.(*ast.ValueSpec); g.Doc == "" && v.Doc == nil {
						t.Errorf("%s: %v has no comment", dir, v.Names)
					}
				}
			}
		}
		values(pkg.Consts)
		values(pkg.Vars)
		funcs("", pkg.Funcs)
		for _, typ := range pkg.Types {
			// A type is shown by what makes it or is done with it.
			shown := used[typ.Name] || returned(pkg, used, typ.Name)
			for _, f := range append(typ.Funcs, typ.Methods...) {
				shown = shown || used[f.Name]
			}
			explained(typ.Name, typ.Doc, !shown)
			values(typ.Consts)
			values(typ.Vars)
			funcs("", typ.Funcs)
			funcs(typ.Name+".", typ.Methods)
		}
	}
}

var sentence = regexp.MustCompile(`(?s)^[A-Z].*\.\s*$`)

// parsePackage returns a package's documentation and the bodies of its examples.
func parsePackage(t *testing.T, dir string) (*doc.Package, []ast.Node) {
	t.Helper()
	set := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files, tests []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			tests = append(tests, f)
		} else {
			files = append(files, f)
		}
	}
	pkg, err := doc.NewFromFiles(set, files, "x/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	var bodies []ast.Node
	for _, e := range doc.Examples(tests...) {
		if e.Output == "" && !e.EmptyOutput {
			t.Errorf("%s: Example%s is not run: it has no output", dir, e.Name)
		}
		bodies = append(bodies, e.Code)
	}
	for _, f := range tests {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "TestExample" && strings.HasSuffix(dir, "test") {
				bodies = append(bodies, fn.Body)
			}
		}
	}
	return pkg, bodies
}

// returned tells whether the examples call something that takes or returns a type.
func returned(pkg *doc.Package, used map[string]bool, name string) bool {
	funcs := pkg.Funcs
	for _, typ := range pkg.Types {
		funcs = append(append(funcs, typ.Funcs...), typ.Methods...)
	}
	for _, f := range funcs {
		found := false
		ast.Inspect(f.Decl.Type, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			found = found || ok && id.Name == name
			return true
		})
		if found && used[f.Name] {
			return true
		}
	}
	return false
}

// usedIn returns the names that the examples of a package use.
func usedIn(examples []ast.Node) map[string]bool {
	used := map[string]bool{}
	for _, e := range examples {
		ast.Inspect(e, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				used[sel.Sel.Name] = true
			}
			return true
		})
	}
	return used
}
