package config_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/config"
)

// reference writes the tables of docs/configuration.md, which a test holds to this text.
func reference() string {
	var b strings.Builder
	for _, group := range config.Groups() {
		fmt.Fprintf(&b, "### %s\n\n| flag | environment | key in the file | default | unit | what |\n| --- | --- | --- | --- | --- | --- |\n", group)
		for _, s := range config.Settings() {
			if s.Group != group {
				continue
			}
			flag, key := "--"+s.Name, "–"
			if s.Value != "" {
				flag += " " + s.Value
			}
			if k := s.Key(); k != "" {
				key = "`" + k + "`"
			}
			def := "none"
			if s.Default != "" {
				def = "`" + s.Default + "`"
			}
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s | %s |\n", flag, s.Env(), key, def, s.Unit, s.Help)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// defaultFile writes the default configuration as a file: what every line would be if it were there.
func defaultFile() string {
	var b strings.Builder
	for _, group := range config.Groups() {
		fmt.Fprintf(&b, "# %s\n", group)
		for _, s := range config.Settings() {
			if s.Group != group || s.Key() == "" || s.Name == "data" {
				continue
			}
			switch {
			case s.Default == "":
				fmt.Fprintf(&b, "# %s:   (none) %s\n", s.Key(), s.Help)
			case s.Name == "store":
				fmt.Fprintf(&b, "# %s: %q\n", s.Key(), s.Default)
			default:
				fmt.Fprintf(&b, "%s: %s\n", s.Key(), s.Default)
			}
		}
	}
	return b.String()
}

var update = flag.Bool("update", false, "write docs/configuration.md anew")

const page = "../../docs/configuration.md"

// C35, C10: the reference page has every setting with its default and unit, and its default file is
// one that loads and changes nothing.
func TestReferencePage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), "<!-- settings -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- end of settings -->")
	if !ok || !ok2 {
		t.Fatal("the page has lost its marks")
	}
	want := before + "<!-- settings -->\n" + reference() + "### The default file\n\n```yaml\n" + defaultFile() + "```\n\n<!-- end of settings -->" + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Error("docs/configuration.md is not what the table says: go test ./internal/config -run ReferencePage -update")
	}
	dir := folder(t, defaultFile())
	c, err := config.Load(config.Input{Flags: map[string][]string{"data": {dir}}})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := config.Load(config.Input{Flags: map[string][]string{"data": {t.TempDir()}}})
	if err != nil {
		t.Fatal(err)
	}
	if c, bare := inForce(c), inForce(bare); !reflect.DeepEqual(c, bare) {
		t.Errorf("the default file says %+v; the defaults are %+v", c, bare)
	}
	// C7: no field for a key.
	for line := range strings.Lines(defaultFile()) {
		if strings.Contains(line, "secret") || strings.Contains(line, "key:") && !strings.Contains(line, "tls_key:") && !strings.Contains(line, "ephemeral_key: false") {
			t.Errorf("the default configuration has a field for a key: %s", line)
		}
	}
}
