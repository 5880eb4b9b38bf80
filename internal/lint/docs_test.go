package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	named  = regexp.MustCompile("`((?:[\\w./-]+/)?(?:Test|Fuzz)[A-Z]\\w*)`")
	fenced = regexp.MustCompile("(?ms)^```.*?^```")
	linked = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// What the documentation names is there: tests by folder and name, or by name alone, and files.
func TestDocumentationNamesRealThings(t *testing.T) {
	var tests []string
	for _, f := range files(t) {
		for name := range f.ast.Scope.Objects {
			tests = append(tests, name, strings.TrimPrefix(f.dir+"/"+name, "./"))
		}
	}
	pages := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".md") {
			return err
		}
		pages++
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw = fenced.ReplaceAll(raw, nil)
		for _, m := range named.FindAllSubmatch(raw, -1) {
			if !slices.Contains(tests, string(m[1])) {
				t.Errorf("%s names the test %s, which does not exist", path, m[1])
			}
		}
		for _, m := range linked.FindAllSubmatch(raw, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), string(m[1]))); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
		return nil
	})
	if err != nil || pages < 4 {
		t.Errorf("%d pages, %v", pages, err)
	}
}
