package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/test/harness"
)

// A test that the README or another page names as the proof of a promise exists, and the page says so when only `make fault` runs it.
func TestNamedTestsExist(t *testing.T) {
	root := harness.Root(t)
	always, long := testsOf(t, root)
	name := regexp.MustCompile("`(Test[A-Z]\\w+)`")
	named := 0
	for _, page := range append(pagesBelow(t, filepath.Join(root, "docs")), filepath.Join(root, "README.md"), filepath.Join(root, "README.ru.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			for _, m := range name.FindAllStringSubmatch(line, -1) {
				named++
				switch {
				case always[m[1]]:
				case !long[m[1]]:
					t.Errorf("%s names %s, which there is not", page, m[1])
				case !strings.Contains(line, "make fault"):
					t.Errorf("%s names %s without a word that only `make fault` runs it", page, m[1])
				}
			}
		}
	}
	if named < 10 {
		t.Errorf("only %d tests are named: is the pattern right?", named)
	}
}

// testsOf returns the names of all tests: those that always run, and those of `make fault` alone.
func testsOf(t *testing.T, root string) (always, long map[string]bool) {
	t.Helper()
	always, long = map[string]bool{}, map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		into := always
		if strings.Contains(string(text), "//go:build longfault") {
			into = long
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			into[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return always, long
}

func pagesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
