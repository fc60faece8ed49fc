// Package arch has no code, only one test: who may import whom. The table is the one of docs/architecture.md.
package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mindscope/mindscope"

// layers says what the packages of a layer may import of ours. A layer is a folder under internal; "store/*" are the
// folders below store. "*" is everything.
func layers() map[string][]string {
	return map[string][]string{
		"conv": {}, "ui": {}, "config": {}, "client": {}, "self": {}, "arch": {},
		"signal":    {"conv"},
		"store":     {"signal", "conv"},
		"store/*":   {"store", "store/*", "signal", "conv"},
		"receive/*": {"signal", "conv"},
		"enrich/*":  {"enrich/*", "signal", "conv"},
		"derive/*":  {"store", "signal", "conv"},
		"query/*":   {"query/*", "store", "derive/*", "signal", "conv"},
		"rule":      {"query/*", "store", "signal", "conv"},
		"api/*":     {"query/*", "rule", "derive/*", "store", "signal", "conv"},
		"app":       {"*"},
	}
}

// layerOf returns the layer of a folder under internal, and whether the folder is at most two levels deep.
func layerOf(folder string) (layer string, ok bool) {
	parts := strings.Split(folder, "/")
	switch {
	case len(parts) == 1:
		return parts[0], true
	case len(parts) == 2:
		return parts[0] + "/*", true
	}
	return "", false
}

// goFiles calls f for every Go file below root that is no test data.
func goFiles(t *testing.T, root string, f func(path string, file *ast.File)) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(path), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func imports(file *ast.File) []string {
	var out []string
	for _, i := range file.Imports {
		out = append(out, strings.Trim(i.Path.Value, `"`))
	}
	return out
}

func TestLayers(t *testing.T) {
	table := layers()
	goFiles(t, "..", func(path string, file *ast.File) {
		folder := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
		layer, ok := layerOf(folder)
		allowed, known := table[layer]
		if !ok || !known {
			t.Errorf("%s: internal/%s is no folder of the table; there are two levels and these layers", path, folder)
			return
		}
		test := strings.HasSuffix(path, "_test.go")
		for _, imp := range imports(file) {
			target, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			if strings.HasPrefix(target, "sdk") {
				t.Errorf("%s imports %s: the server never imports the SDK", path, imp)
			}
			target, internal := strings.CutPrefix(target, "internal/")
			if !internal || target == folder || test || slices.Contains(allowed, "*") {
				continue
			}
			if to, _ := layerOf(target); !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s: %s may import only %v", path, imp, layer, allowed)
			}
			if strings.HasSuffix(target, "test") {
				t.Errorf("%s imports %s: packages for tests are for tests", path, imp)
			}
		}
	})
}

func TestSDKImportsNothingOfTheServer(t *testing.T) {
	for _, root := range []string{"../../sdk", "../../examples"} {
		goFiles(t, root, func(path string, file *ast.File) {
			for _, imp := range imports(file) {
				if strings.HasPrefix(imp, module+"/internal") || strings.HasPrefix(imp, module+"/cmd") {
					t.Errorf("%s imports %s: users have only the SDK", path, imp)
				}
			}
		})
	}
}

func TestNoInit(t *testing.T) {
	for _, root := range []string{"..", "../../cmd", "../../sdk"} {
		goFiles(t, root, func(path string, file *ast.File) {
			for _, d := range file.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init function: app lists the parts", path)
				}
			}
		})
	}
}

func TestMainIsShort(t *testing.T) {
	raw, err := os.ReadFile("../../cmd/mindscope/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), "\n"); n > 30 {
		t.Errorf("cmd/mindscope/main.go has %d lines, 30 are allowed", n)
	}
}
