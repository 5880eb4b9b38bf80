package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/counterfoil/counterfoil/internal/config"
)

const width = 96 // columns that help keeps to

// writeHelp writes the overview, a topic's commands or one command's page.
func writeHelp(w io.Writer, p *parsed, colour bool) error {
	var b strings.Builder
	h := &help{&b, colour}
	if p.command != nil {
		h.command(p.command)
	} else {
		h.overview(p.topic)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type help struct {
	b      *strings.Builder
	colour bool
}

func (h *help) heading(text string) {
	if h.colour {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(h.b, "%s\n", text)
}

// row writes one entry of a list: its name, and what it is, wrapped below itself.
func (h *help) row(name, text string, column int) {
	if len(name)+2 > column {
		fmt.Fprintf(h.b, "  %s\n", name)
		name = ""
	}
	for i, line := range wrap(text, width-column-2) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(h.b, "  %-*s%s\n", column, name, line)
	}
}

func (h *help) overview(topic string) {
	if topic == "" {
		h.heading("counterfoil issues, checks and ends HTTP sessions in front of any application")
		fmt.Fprintf(h.b, "\nTry it: counterfoil serve --dev\n")
	}
	group := ""
	for _, c := range commands() {
		if topic != "" && !strings.HasPrefix(c.name, topic+" ") {
			continue
		}
		if c.group != group {
			group = c.group
			if h.b.Len() > 0 {
				fmt.Fprintln(h.b)
			}
			h.heading(group)
		}
		h.row(c.usage(), c.summary, 28)
	}
	fmt.Fprintf(h.b, "\n`counterfoil COMMAND --help` shows flags and examples.\n")
	if topic == "" {
		fmt.Fprintf(h.b, "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 not found, 4 unreachable, 5 audit broken.\n")
	}
}

func (c *command) usage() string {
	text := c.name
	for _, a := range c.args {
		if c.optional {
			a = "[" + a + "]"
		}
		text += " " + a
	}
	return text
}

func (h *help) command(c *command) {
	h.heading(fmt.Sprintf("counterfoil %s [flags]", c.usage()))
	fmt.Fprintln(h.b)
	for _, paragraph := range strings.Split(strings.TrimSpace(sentence(c.summary)+"\n"+c.about), "\n") {
		for _, line := range wrap(paragraph, width) {
			fmt.Fprintln(h.b, line)
		}
	}
	if len(c.options) > 0 {
		fmt.Fprintln(h.b)
		h.heading("Flags")
		for _, o := range c.options {
			h.row(strings.TrimSpace("--"+o.name+" "+o.value), o.help, 24)
		}
	}
	for _, group := range config.Groups() {
		begun := false
		for _, s := range c.settings() {
			if s.Group != group {
				continue
			}
			if !begun {
				begun = true
				fmt.Fprintln(h.b)
				h.heading(group)
			}
			text := s.Help
			if s.Default != "" && s.Value != "" {
				text += " (" + s.Default + ")"
			}
			h.row(strings.TrimSpace("--"+s.Name+" "+s.Value), text, 24)
		}
	}
	fmt.Fprintln(h.b)
	h.heading("Examples")
	for _, e := range c.examples {
		fmt.Fprintf(h.b, "  %s\n", e)
	}
	if c.serves {
		fmt.Fprintf(h.b, "\nEach setting can stand in the environment (--max-sessions: COUNTERFOIL_MAX_SESSIONS) or in the\nconfiguration file (max_sessions: 20) as well. A flag goes first, then environment, then file.\n")
	}
}

// sentence makes one of a summary.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// wrap breaks text at spaces into lines of at most n columns.
func wrap(text string, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > n:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
