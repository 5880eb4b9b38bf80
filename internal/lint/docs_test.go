package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	named   = regexp.MustCompile("`((?:[\\w./-]+/)?(?:Test|Fuzz)[A-Z]\\w*)`")
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	inlined = regexp.MustCompile("`[^`\n]*`")
	linked  = regexp.MustCompile(`\]\(([^)\s#]*)(#[^)\s]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// page is a Markdown file: its text, what it says beside code, and the anchors of its headings.
type page struct {
	text, prose string
	anchors     []string
}

func pages(t *testing.T) map[string]page {
	t.Helper()
	all := map[string]page{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "dist" {
			return filepath.SkipDir // what others wrote
		}
		if err != nil || !strings.HasSuffix(path, ".md") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		bare := fenced.ReplaceAllString(string(raw), "")
		p := page{text: string(raw), prose: inlined.ReplaceAllString(bare, "`code`")}
		for _, m := range heading.FindAllStringSubmatch(bare, -1) {
			p.anchors = append(p.anchors, "#"+anchor(m[1]))
		}
		all[path] = p
		return nil
	})
	if err != nil || len(all) < 4 {
		t.Fatalf("%d pages, %v", len(all), err)
	}
	return all
}

// anchor is what a heading is linked by: lower case, spaces as hyphens, signs left out.
func anchor(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// docs/architecture.md says of each file of the root package what it is for.
func TestEveryRootFileIsInItsPlace(t *testing.T) {
	text := pages(t)[filepath.Join(root, "docs/architecture.md")].text
	for _, f := range code(t) {
		if f.dir == "." && f.path != "doc.go" && strings.Count(text, "`"+f.path+"`") == 0 {
			t.Errorf("docs/architecture.md does not say what %s is for", f.path)
		}
	}
}

// A rule that a comment cites by number stands in docs/rules.md, under that number.
func TestRulesThatAreCitedAreThere(t *testing.T) {
	text := pages(t)[filepath.Join(root, "docs/rules.md")].text
	cited := regexp.MustCompile(`\bR\d{1,2}(?:\.\d)?\b`)
	for _, f := range files(t) {
		for _, group := range f.ast.Comments {
			for _, rule := range cited.FindAllString(group.Text(), -1) {
				if !strings.Contains(text, "| **"+rule+"** |") && !strings.Contains(text, "| "+rule+" |") {
					t.Errorf("%s cites %s, which is not in docs/rules.md", f.at(group), rule)
				}
			}
		}
	}
}

// What the documentation names is there: tests by folder and name, or by name alone; files, and places
// in them. P104
func TestDocumentationNamesRealThings(t *testing.T) {
	var tests []string
	for _, f := range files(t) {
		for name := range f.ast.Scope.Objects {
			tests = append(tests, name, strings.TrimPrefix(f.dir+"/"+name, "./"))
		}
	}
	all := pages(t)
	for path, p := range all {
		for _, m := range named.FindAllStringSubmatch(p.text, -1) {
			if !slices.Contains(tests, m[1]) {
				t.Errorf("%s names the test %s, which does not exist", path, m[1])
			}
		}
		for _, m := range linked.FindAllStringSubmatch(p.prose, -1) {
			if strings.Contains(m[1], ":") {
				continue // another site's
			}
			to := path
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(path), m[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			} else if m[2] != "" && !slices.Contains(all[to].anchors, m[2]) {
				t.Errorf("%s links to %s%s, which has no such heading", path, m[1], m[2])
			}
		}
	}
}

// What a reader must not miss is said. F13: that the server enforces the ends of sessions.
func TestPagesSayIt(t *testing.T) {
	all := pages(t)
	for _, c := range []struct{ page, says string }{
		{"README.md", "**G3 the server decides expiry** | Idle and absolute ends are judged by the server's clock at every check"},
		{"docs/architecture.md", "The server decides expiry; Max-Age is a courtesy to the browser."},
		{"README.md", "The key file is protected by its mode (0600) unless you [wrap it](docs/keys.md#wrapped-by-another-key)."},
		{"docs/keys.md", "**Not wrapped**, as the file is unless you wrap it"},
		{"docs/operations.md", "Nothing that was ended comes back"},
		{"docs/threat-model.md", "Whoever holds a retired token can end that session."},
		{"docs/threat-model.md", "A client that falls back looks like a thief"},
		{"docs/library.md", "unknown is not \"signed out\""},
	} {
		if !strings.Contains(all[filepath.Join(root, c.page)].text, c.says) {
			t.Errorf("%s does not say: %s", c.page, c.says)
		}
	}
}
