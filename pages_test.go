package counterfoil_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	markedCode = regexp.MustCompile(`(?s)// begin (\S+)\n(.*?)// end (\S+)\n`)
	shownCode  = regexp.MustCompile("(?s)```go\n(.*?)```")
)

// The pages show exactly the code that is compiled and run in the example files.
func TestPages(t *testing.T) {
	compiled := map[string]string{} // code -> name of the piece
	files, err := filepath.Glob("example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range markedCode.FindAllStringSubmatch(string(text), -1) {
			if m[1] != m[3] {
				t.Errorf("%s: piece %s ends as %s", name, m[1], m[3])
			}
			compiled[strings.TrimSpace(m[2])] = m[1]
		}
	}
	sqlite, err := os.ReadFile("store/sqlite/sqlite_test.go") // the page on stores shows its test
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, page := range []string{"README.md", "docs/library.md", "docs/store.md", "docs/architecture.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range shownCode.FindAllStringSubmatch(string(text), -1) {
			code := strings.TrimSpace(m[1])
			if compiled[code] == "" && !strings.Contains(string(sqlite), code) {
				t.Errorf("%s shows code that is in no example file:\n%s", page, code)
			}
			shown[compiled[code]] = true
		}
	}
	for _, name := range compiled {
		if !shown[name] {
			t.Errorf("no page shows the piece %s of the example files", name)
		}
	}
}
