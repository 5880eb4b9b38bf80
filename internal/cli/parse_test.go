package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// Every command has a page, every group an overview; usage on a wrong word names the right one.
func TestPages(t *testing.T) {
	show := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := Run(context.Background(), Process{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
		return code, out.String() + errs.String()
	}
	for _, c := range commands() {
		code, page := show(append(strings.Fields(c.name), "--help")...)
		if code != 0 || !strings.HasPrefix(page, "counterfoil "+c.name) || !strings.Contains(page, "Examples\n") || c.run == nil || c.summary == "" {
			t.Errorf("%s: %d\n%s", c.name, code, page)
		}
		for _, o := range c.options {
			if !strings.Contains(page, "--"+o.name) {
				t.Errorf("%s: no --%s on its page", c.name, o.name)
			}
		}
		for _, s := range c.settings() {
			if !strings.Contains(page, "--"+s.Name) {
				t.Errorf("%s: no --%s on its page", c.name, s.Name)
			}
		}
		mistyped := c.name[:len(c.name)-1]
		if code, text := show(strings.Fields(mistyped)...); code != exitUsage || !strings.Contains(text, "did you mean `counterfoil "+c.name[:3]) {
			t.Errorf("%q: %d %s", mistyped, code, text)
		}
	}
	if code, text := show("key", "generate"); code != 0 || !strings.HasPrefix(text, "cfk1_") {
		t.Errorf("%d %s", code, text)
	}
}

// Whatever the words, taking them apart ends in an error, a page of help, or a command with what it takes.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"serve --dev", "user add alice --password-stdin", "session end -- --x", "session end -Zk3", "help", "key", "user --data=x list", "serve --idle= --idle 5m", "--", "audit tail --lines"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parse(strings.Split(text, " "))
		switch {
		case err != nil:
			if exitCode(err) != exitUsage || err.Error() == "" {
				t.Fatalf("%q: %v", text, err)
			}
		case p.help:
		case p.command == nil || len(p.args) > len(p.command.args) && len(p.faults) == 0:
			t.Fatalf("%q: %+v", text, p)
		default:
			for name := range p.settings {
				if _, setting, ok := p.command.flag(name); !ok || !setting {
					t.Fatalf("%q: a setting %q", text, name)
				}
			}
		}
	})
}
