package config

import (
	"fmt"
	"strings"
)

// Reference writes the tables of docs/configuration.md, which a test holds to this text.
func Reference() string {
	var b strings.Builder
	for _, group := range Groups() {
		fmt.Fprintf(&b, "### %s\n\n| flag | environment | key in the file | default | unit | what |\n| --- | --- | --- | --- | --- | --- |\n", group)
		for _, s := range Settings() {
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

// Example writes the default configuration as a file: what every line would be if it were there.
func Example() string {
	var b strings.Builder
	for _, group := range Groups() {
		fmt.Fprintf(&b, "# %s\n", group)
		for _, s := range Settings() {
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
