package lint

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// house says for each folder what of this module it may import: arrows point down only. A folder
// stands for those below it unless they have a line of their own. "." is the root package.
var house = map[string][]string{
	"keyring":  {},
	"jws":      {},
	"clientip": {},

	".": {"keyring", "jws", "clientip"},

	"account":            {"."}, // its rules end sessions
	"account/memaccount": {"account"},
	"store":              {".", "keyring", "account", "store/internal"},
	"store/internal":     {".", "account"},
	"store/memory":       {".", "keyring", "store/internal"},

	// The tests of stores.
	"store/internal/nodetest": {".", "keyring", "sessiontest", "store/internal/sample"},
	"store/internal/killtest": {".", "store/internal/sample"},

	"store/blob/blobtest": {".", "internal/freeport"},

	"storetest":           {".", "keyring"},
	"account/accounttest": {"account"},
	"sessiontest":         {".", "keyring", "store/memory"},

	"csrf":  {},
	"audit": {".", "keyring"},

	"gateway": {".", "keyring", "jws", "clientip", "csrf", "audit", "account"},

	"internal/config":   {"."},
	"internal/wait":     {"."},
	"internal/transfer": {".", "keyring", "account", "audit", "internal/wait"},
	"internal/operate":  {".", "keyring", "clientip", "audit", "account", "store", "gateway", "internal/config", "internal/transfer", "internal/wait"},
	"internal/serve":    {".", "keyring", "clientip", "audit", "account", "store", "gateway", "internal/config", "internal/operate", "internal/wait"},
	"internal/cli":      {".", "keyring", "audit", "account", "internal/config", "internal/transfer", "internal/operate", "internal/serve", "internal/wait"},
	"internal/lint":     {},
	"cmd":               {"internal/cli"},

	"internal/logtest":     {},
	"internal/freeport":    {},
	"internal/programtest": {"internal/freeport", "internal/logtest"}, // sees the program from outside

	"bench":    {".", "keyring", "store", "gateway", "account", "clientip"},
	"e2e":      {"internal/programtest"},
	"examples": {".", "keyring", "store"},
	"tools":    {},
}

// foreign says what of other modules a folder may import; those not listed: the standard library
// and golang.org/x/crypto.
var foreign = map[string][]string{
	"store/postgres":   {"github.com/jackc/pgx"},
	"store/sqlite":     {"modernc.org/sqlite", "golang.org/x/sys"},
	"store/redis":      {"github.com/redis/rueidis"},
	"account":          {"golang.org/x/text"},
	"internal/config":  {"github.com/goccy/go-yaml"},
	"keyring":          {"golang.org/x/sys"},
	"internal/operate": {"golang.org/x/sys"},
	"internal/cli":     {"golang.org/x/term"},

	"internal/programtest": {"golang.org/x/sys"},
}

// Dependencies point down, and a feature never reaches into another: no layer knows the one above it. P4
func TestHouse(t *testing.T) {
	for _, f := range code(t) {
		room, ok := lookUp(house, f.dir)
		if !ok {
			t.Errorf("%s stands nowhere in the house: give its folder a line in this test", f.path)
			continue
		}
		guests, _ := lookUp(foreign, f.dir)
		for _, i := range f.ast.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			switch own, inside := strings.CutPrefix(path, module); {
			case inside && (own == "" || own[0] == '/'):
				dir := strings.TrimPrefix(own, "/")
				if dir == "" {
					dir = "."
				}
				if !under(dir, f.dir) && !allowed(room, dir) {
					t.Errorf("%s imports %s, which is not below it", f.path, path)
				}
			case strings.Contains(strings.Split(path, "/")[0], "."):
				if !under(f.dir, "bench") && !under(f.dir, "e2e") && !allowed(guests, path) && !under(path, "golang.org/x/crypto") {
					t.Errorf("%s imports %s; only the listed folders use other modules", f.path, path)
				}
			}
		}
	}
}

// allowed reports whether dir is one of the rooms or below it; the root has nothing below.
func allowed(rooms []string, dir string) bool {
	return slices.ContainsFunc(rooms, func(r string) bool { return dir == r || r != "." && under(dir, r) })
}

// lookUp finds the line of dir or of the nearest folder above it.
func lookUp(table map[string][]string, dir string) ([]string, bool) {
	for at := dir; ; {
		if v, ok := table[at]; ok {
			return v, true
		}
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			return nil, false
		}
		at = at[:i]
	}
}
