package lint

import (
	"go/ast"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// waits names files that let real time pass, and why they may.
var waits = map[string]string{
	"keyring/file.go":         "waits a moment for another process that makes the key file",
	"internal/cli/reach.go":   "waits a moment for another process that holds the data folder",
	"internal/serve/serve.go": "as above",

	"store/internal/nodetest/hints.go":    "waits for what a real server says",
	"store/internal/killtest/killtest.go": "kills real processes",
}

// Time comes from an injected clock, so that tests and simulations decide it.
func TestOnlyOneFileReadsTheClock(t *testing.T) {
	asked := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	found := false
	for _, f := range code(t) {
		if under(f.dir, "bench") {
			continue // measures
		}
		waiting := waits[f.path] != "" || under(f.dir, "internal/programtest") // for real processes
		for _, n := range f.uses("time", asked...) {
			if f.path == "clock.go" {
				found = true
				continue
			}
			name := n.(*ast.SelectorExpr).Sel.Name
			if reads := name == "Now" || name == "Since" || name == "Until"; reads || !waiting {
				t.Errorf("%s: time.%s; take a counterfoil.Clock", f.at(n), name)
			}
		}
	}
	if !found {
		t.Error("clock.go does not read the clock: this test looks for the wrong thing")
	}
}

// Randomness is the operating system's. T3, T11, S27
func TestOnlyCryptoRand(t *testing.T) {
	for _, f := range code(t) {
		if under(f.dir, "bench") {
			continue // random loads that can be repeated
		}
		for _, path := range []string{"math/rand", "math/rand/v2"} {
			if f.imported(path) != "" {
				t.Errorf("%s imports %s; use crypto/rand", f.path, path)
			}
		}
	}
}

// ciphers lists every place that makes a cipher, and why it is there.
var ciphers = map[string]struct {
	calls int
	why   string
}{
	"aes.NewCipher keyring/seal.go": {1, "the sealing routine"},
	"cipher.NewGCM keyring/seal.go": {1, "the sealing routine"},
	"aes.NewCipher values.go":       {1, "values open only with the client's selector, so their key cannot be the ring's"},
	"cipher.NewGCM values.go":       {1, "as above"},
	"aes.NewCipher generation.go":   {1, "a verifier is one encrypted block (R1), not a sealed text"},
}

// One place seals for each kind of key; there is no second one that could differ. C21
func TestOneSealingRoutine(t *testing.T) {
	found := make(map[string]int)
	for _, f := range code(t) {
		found["aes.NewCipher "+f.path] += len(f.uses("crypto/aes", "NewCipher"))
		for _, name := range []string{"NewGCM", "NewGCMWithNonceSize", "NewGCMWithTagSize", "NewGCMWithRandomNonce", "NewCTR", "NewCBCEncrypter", "NewCBCDecrypter", "NewOFB", "NewCFBEncrypter"} {
			found["cipher."+name+" "+f.path] += len(f.uses("crypto/cipher", name))
		}
		for _, path := range []string{"crypto/des", "crypto/rc4", "crypto/md5", "golang.org/x/crypto/chacha20poly1305", "golang.org/x/crypto/nacl/secretbox"} {
			if f.imported(path) != "" {
				t.Errorf("%s imports %s", f.path, path)
			}
		}
	}
	for place, n := range found {
		if n != ciphers[place].calls {
			t.Errorf("%s: %d calls, the list has %d; seal with keyring.Ring", place, n, ciphers[place].calls)
		}
	}
	for place, c := range ciphers {
		if found[place] == 0 {
			t.Errorf("%s (%s) is in the list and not in the code", place, c.why)
		}
	}
}

// stateful names package-level variables that are neither errors nor tables, and why they may be.
var stateful = map[string]string{}

// No state of the process: two managers in one process share nothing.
func TestNoPackageState(t *testing.T) {
	vars := make(map[string]map[string]bool) // folder -> names
	all := code(t)
	for _, f := range all {
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s: an init function", f.at(d))
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, s := range d.Specs {
					spec := s.(*ast.ValueSpec)
					embed := embedded(d.Doc) || embedded(spec.Doc)
					for i, name := range spec.Names {
						if name.Name == "_" || embed {
							continue
						}
						if vars[f.dir] == nil {
							vars[f.dir] = make(map[string]bool)
						}
						vars[f.dir][name.Name] = true
						if stateful[f.path+" "+name.Name] == "" && (i >= len(spec.Values) || !table(spec.Values[i])) {
							t.Errorf("%s: package variable %s is neither an error nor a table", f.at(name), name.Name)
						}
					}
				}
			}
		}
	}
	for _, f := range all {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			var to []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					to = n.Lhs
				}
			case *ast.IncDecStmt:
				to = []ast.Expr{n.X}
			}
			for _, e := range to {
				if name := base(e); name != nil && vars[f.dir][name.Name] && !local(name) && stateful[f.path+" "+name.Name] == "" {
					t.Errorf("%s: package variable %s is changed", f.at(name), name.Name)
				}
			}
			return true
		})
	}
}

func embedded(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if strings.HasPrefix(c.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

// table reports whether a value never changes by itself.
func table(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit, *ast.CompositeLit, *ast.BinaryExpr, *ast.FuncLit, *ast.SelectorExpr:
		return true
	case *ast.UnaryExpr:
		_, ok := e.X.(*ast.CompositeLit)
		return ok
	case *ast.CallExpr:
		switch fun := e.Fun.(type) {
		case *ast.SelectorExpr:
			switch fun.Sel.Name {
			case "New":
				x, _ := fun.X.(*ast.Ident)
				return x != nil && x.Name == "errors"
			case "Errorf", "MustCompile", "NewReplacer", "NewKey", "MustParsePrefix", "MustParseAddr", "Must", "Strict", "Date":
				return true
			}
		case *ast.IndexExpr: // NewKey[T]("name")
			return table(&ast.CallExpr{Fun: fun.X})
		case *ast.ArrayType:
			return true
		}
	}
	return false
}

// base is the variable that an assignment to e changes.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// local reports whether the parser found the name's declaration in a function.
func local(name *ast.Ident) bool {
	if name.Obj == nil {
		return false
	}
	spec, ok := name.Obj.Decl.(*ast.ValueSpec)
	return !ok || len(spec.Names) == 0 || spec.Names[0].Obj != name.Obj && name.Obj.Kind != ast.Var
}

const longest = 400

func TestFilesAreShort(t *testing.T) {
	for _, f := range code(t) {
		if n := f.fset.File(f.ast.Pos()).LineCount(); n > longest+1 {
			t.Errorf("%s has %d lines, more than %d: it has more than one concern", f.path, n, longest)
		}
	}
}

// A skipped test is not a passed one.
func TestNothingIsSkipped(t *testing.T) {
	for _, f := range files(t) {
		if f.dir == "internal/lint" {
			continue
		}
		for _, n := range f.uses("testing", "Short") {
			t.Errorf("%s: testing.Short; every test runs always", f.at(n))
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch sel.Sel.Name {
			case "Skip", "Skipf", "SkipNow":
				if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "t" || x.Name == "b" || x.Name == "f" || x.Name == "tb") {
					t.Errorf("%s: a skipped test; install what it needs in scripts/bootstrap, or fail", f.at(n))
				}
			}
			return true
		})
	}
}

var (
	coded = regexp.MustCompile(`^[A-Za-z0-9+/_-]{32,}={0,2}$`)
	hexed = regexp.MustCompile(`^[0-9a-fA-F]{32,}$`)
	upper = regexp.MustCompile(`[A-Z]`)
	lower = regexp.MustCompile(`[a-z]`)
	digit = regexp.MustCompile(`[0-9]`)
)

// No key, token or password stands in the code.
func TestNoSecretConstants(t *testing.T) {
	for _, f := range code(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text := strings.Trim(lit.Value, "`\"")
			mixed := upper.MatchString(text) && lower.MatchString(text) && digit.MatchString(text)
			alphabet := strings.Contains(text, "abcdefgh") || strings.Contains(text, "ABCDEFGH")
			if hexed.MatchString(text) || coded.MatchString(text) && mixed && !alphabet || strings.Contains(text, "PRIVATE KEY-----") {
				t.Errorf("%s: a string that looks like a secret", f.at(n))
			}
			return true
		})
	}
}

// The key file's place is never committed. C34
func TestKeyFileIsIgnored(t *testing.T) {
	for _, path := range []string{"data/keys", "data/sessions.db", "data/audit.jsonl"} {
		cmd := exec.Command("git", "check-ignore", "-q", "--no-index", path)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("git does not ignore %s: %v %s", path, err, out)
		}
	}
}

// The test of tests: the walk sees every package that the go command sees.
func TestWalkSeesEveryPackage(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range files(t) {
		seen[f.dir] = true
	}
	cmd := exec.Command("go", "list", "-f", "{{.Dir}}", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	base, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for dir := range strings.FieldsSeq(string(out)) {
		rel, err := filepath.Rel(base, dir)
		if err != nil || !seen[filepath.ToSlash(rel)] {
			t.Errorf("package %s was not looked at (%v)", dir, err)
		}
	}
}

var reader = regexp.MustCompile(`^(?i:parse|decode|unmarshal)`)

// Every package that reads what others wrote has a fuzz target. P93
func TestEveryParserIsFuzzed(t *testing.T) {
	reads, fuzzed := make(map[string]string), make(map[string]bool)
	for _, f := range files(t) {
		for _, d := range f.ast.Decls {
			fun, ok := d.(*ast.FuncDecl)
			switch {
			case !ok:
			case f.test && strings.HasPrefix(fun.Name.Name, "Fuzz"):
				fuzzed[f.dir] = true
			case !f.test && reader.MatchString(fun.Name.Name):
				reads[f.dir] = f.at(fun) + ": " + fun.Name.Name
			}
		}
	}
	for dir, what := range reads {
		if !fuzzed[dir] && dir != "internal/cli" { // its arguments come from whoever runs the program
			t.Errorf("%s, and no fuzz target in %s", what, dir)
		}
	}
}

// The one command that passes the tests analyses the code, too, and its groups can be run apart.
// P91, P105, C32, C36
func TestMakeTestAnalyses(t *testing.T) {
	for name, words := range map[string][]string{
		"Makefile":     {"test: bootstrap lint unit modules fuzz", "go test -race", "scripts/cover", "\nunit:", "\nmodules:", "\nfuzz:", "\nbench:", "\nsoak:"},
		"scripts/lint": {"gofmt -l", "go vet ./...", "staticcheck", "gosec"},
		".ci/run":      {"make test"},
	} {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(string(raw), w) {
				t.Errorf("%s does not say %q", name, w)
			}
		}
	}
}
