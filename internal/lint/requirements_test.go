package lint

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/requirements.md anew from the citations in tests")

const list = `[A-Z]{1,2}\d+(?:[–-][A-Z]*\d+)?(?:, [A-Z]{1,2}\d+(?:[–-][A-Z]*\d+)?)*`

const requirements = root + "/docs/requirements.md"

// inForce lists the requirements that this version has to meet: ranges of rows.
var inForce = []string{
	"G1-9",
	"C1-3", "C6-7", "C9-16", "C18-19", "C21-36", "CD1-16",
	"T2-13", "T22-24", "T28-40",
	"P1-38", "P40-41", "P52", "P64-67", "P69-79", "P84-86", "P88", "P91-98", "P100", "P104-105", "P110", "PD8-12",
	"F2-5", "F7", "F10-15", "F18-20",
	"S1-36", "SD1-9", "SD11-16",
	"D1-28",
}

// rows spells the ranges out, in order.
func rows(t *testing.T) (all []string) {
	t.Helper()
	for _, r := range inForce {
		m := regexp.MustCompile(`^([A-Z]+)(\d+)(?:-(\d+))?$`).FindStringSubmatch(r)
		if m == nil {
			t.Fatalf("range %q", r)
		}
		first, _ := strconv.Atoi(m[2])
		last := first
		if m[3] != "" {
			last, _ = strconv.Atoi(m[3])
		}
		for n := first; n <= last; n++ {
			all = append(all, m[1]+strconv.Itoa(n))
		}
	}
	return all
}

// A comment cites rows before its words ("C9, S17: it survives a restart") or after its last sentence
// ("It survives a restart. C9, S17"), with ranges ("T30–T35").
var (
	before = regexp.MustCompile(`(?:^|[.;] )(` + list + `): `)
	after  = regexp.MustCompile(`(?:^|[.:;,?!)"] |\()(` + list + `)\)?[.:]?$`)
	bears  = regexp.MustCompile(`^Test(G\d)([A-Z_]|$)`)
	span   = regexp.MustCompile(`^([A-Z]+)(\d+)(?:[–-][A-Z]*(\d+))?$`)
)

// citations returns for each row the tests that cite it.
func citations(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string]map[string]bool)
	add := func(row, test string) {
		if all[row] == nil {
			all[row] = make(map[string]bool)
		}
		all[row][test] = true
	}
	for _, f := range files(t) {
		if !f.test && !under(f.dir, "storetest") && !under(f.dir, "account/accounttest") {
			continue
		}
		for _, d := range f.ast.Decls {
			fun, ok := d.(*ast.FuncDecl)
			if !ok || fun.Body == nil || !isTest(f, fun.Name.Name) {
				continue
			}
			name := strings.TrimPrefix(f.dir+"/"+fun.Name.Name, "./")
			if m := bears.FindStringSubmatch(fun.Name.Name); m != nil {
				add(m[1], name)
			}
			from := fun.Pos()
			if fun.Doc != nil {
				from = fun.Doc.Pos()
			}
			for _, group := range f.ast.Comments {
				if group.Pos() < from || group.End() > fun.End() {
					continue
				}
				for _, c := range group.List {
					for _, row := range listed(c.Text) {
						add(row, name)
					}
				}
			}
		}
	}
	out := make(map[string][]string)
	for row, tests := range all {
		out[row] = slices.Sorted(maps.Keys(tests))
	}
	return out
}

// isTest reports whether the go command, or a conformance suite, runs the function.
func isTest(f *file, name string) bool {
	if f.test {
		return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Example")
	}
	return true // the suites' steps have names of their own
}

// listed returns what one line of comment cites.
func listed(text string) (all []string) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "//"))
	for _, form := range []*regexp.Regexp{before, after} {
		for _, m := range form.FindAllStringSubmatch(text, -1) {
			for item := range strings.SplitSeq(m[1], ", ") {
				all = append(all, spell(item)...)
			}
		}
	}
	return all
}

// spell turns a row, or a range of rows, into rows.
func spell(item string) (all []string) {
	s := span.FindStringSubmatch(item)
	if s == nil {
		return nil
	}
	first, _ := strconv.Atoi(s[2])
	last := first
	if s[3] != "" {
		if last, _ = strconv.Atoi(s[3]); last <= first {
			return nil // a name with a hyphen, no range
		}
	}
	for n := first; n <= last && n < first+200; n++ {
		all = append(all, s[1]+strconv.Itoa(n))
	}
	return all
}

func TestCitationsAreRead(t *testing.T) {
	for text, want := range map[string][]string{
		"// C9":                             {"C9"},
		"// It survives. C9, S17":           {"C9", "S17"},
		"// It survives (C9, SD5).":         {"C9", "SD5"},
		"// T30–T33, P1":                    {"T30", "T31", "T32", "T33", "P1"},
		"// C9, S17: it survives":           {"C9", "S17"},
		"// All faults. C7: no key. P3":     {"C7", "P3"},
		"// P256 is a curve":                nil,
		"// S17-17: a name of its own":      nil,
		"// it lies in S3":                  nil,
		"// a token of S3 storage":          nil,
		"// G8: on the record. P47":         {"G8", "P47"},
		"// the rule is R5":                 nil,
		"// nothing":                        nil,
		"// In order. CD1-3":                {"CD1", "CD2", "CD3"},
		"// signed out: gone for good: F4 ": {"F4"},
	} {
		if got := listed(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// entry matches a line of the tables.
var entry = regexp.MustCompile(`^\| ([A-Z]+\d+) \| (.*?) \| ([^|]*) \|$`)

const noTest = "no test cites it yet"

// TestRequirements keeps docs/requirements.md true: each row in force is proved by tests that exist
// and cite it, or stands under "Not yet" with a reason.
func TestRequirements(t *testing.T) {
	raw, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	head, tables, found := strings.Cut(string(raw), "## Proved\n")
	if !found {
		t.Fatal(`docs/requirements.md has no section "Proved"`)
	}
	texts, reasons := make(map[string]string), make(map[string]string)
	later := false
	for line := range strings.SplitSeq(tables, "\n") {
		later = later || line == "## Not yet"
		if m := entry.FindStringSubmatch(line); m != nil {
			texts[m[1]] = m[2]
			if later {
				reasons[m[1]] = m[3]
			}
		}
	}
	cites := citations(t)
	var proved, notYet bytes.Buffer
	for _, row := range rows(t) {
		if texts[row] == "" {
			t.Errorf("%s has no line in docs/requirements.md: say what it asks", row)
			continue
		}
		if tests := cites[row]; len(tests) > 0 {
			fmt.Fprintf(&proved, "| %s | %s | `%s` |\n", row, texts[row], strings.Join(tests, "` `"))
			continue
		}
		reason := reasons[row]
		if reason == "" {
			reason = noTest
		}
		fmt.Fprintf(&notYet, "| %s | %s | %s |\n", row, texts[row], reason)
	}
	want := head + "## Proved\n\n| row | what it asks | tests |\n|---|---|---|\n" + proved.String() +
		"\n## Not yet\n\n| row | what it asks | why |\n|---|---|---|\n" + notYet.String()
	if want == string(raw) {
		return
	}
	if *update {
		if err := os.WriteFile(requirements, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have := strings.Split(string(raw), "\n")
	for line := range strings.SplitSeq(want, "\n") {
		if !slices.Contains(have, line) {
			t.Errorf("docs/requirements.md should say: %s", line)
		}
	}
	t.Error("docs/requirements.md differs from what the tests cite; run: go test ./internal/lint -run Requirements -update")
}
