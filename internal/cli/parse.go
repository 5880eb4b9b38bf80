package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/config"
)

// command describes one command.
type command struct {
	name     string   // "user add"
	group    string   // where the overview shows it
	args     []string // what its arguments are called
	optional bool     // the arguments may be missing
	summary  string   // one line
	about    string   // what else there is to know
	options  []option // its own flags
	serves   bool     // takes every setting; others take the common ones
	examples []string // each a command line
	run      func(context.Context, *call) error
}

// option is a flag of one command that is no setting.
type option struct {
	name  string
	value string // what stands for the value; "": a switch
	help  string
}

var optionJSON = option{"json", "", "print JSON"}

// parsed is a command line taken apart. Its faults join those of the configuration.
type parsed struct {
	command  *command
	topic    string // for help on several commands: their common first word, or ""
	help     bool
	args     []string
	options  map[string]string
	settings map[string][]string
	faults   config.Faults
}

// parse takes a command line apart. Flags and arguments may stand in any order; "--" ends the flags,
// and a single dash begins none, because a session ID may begin with one.
func parse(args []string) (*parsed, error) {
	p := &parsed{options: map[string]string{}, settings: map[string][]string{}}
	all := commands()
	if len(args) == 0 {
		return nil, exit(exitUsage, "which command? `counterfoil --help` lists them; `counterfoil serve --dev` tries it out")
	}
	if args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	rest := p.find(all, args)
	if p.command == nil {
		if wantsHelp(rest) {
			p.help = true
			return p, nil
		}
		return nil, p.unknown(all, args)
	}
	p.flags(rest)
	if p.help {
		return p, nil
	}
	switch want := len(p.command.args); {
	case len(p.args) > want:
		p.fault(p.args[want], "is one argument too many; see `counterfoil %s --help`", p.command.name)
	case len(p.args) < want && !p.command.optional:
		p.fault(p.command.args[len(p.args)], "is missing; see `counterfoil %s --help`", p.command.name)
	}
	return p, nil
}

// find sets the command that the first words name, or the topic, and returns the words after it.
func (p *parsed) find(all []command, args []string) []string {
	for words := min(2, len(args)); words > 0; words-- {
		name := strings.Join(args[:words], " ")
		for i := range all {
			if all[i].name == name {
				p.command = &all[i]
				return args[words:]
			}
			if words == 1 && strings.HasPrefix(all[i].name, name+" ") {
				p.topic = name
			}
		}
	}
	if p.topic != "" {
		return args[1:]
	}
	return args
}

// unknown says what the words may have meant.
func (p *parsed) unknown(all []command, args []string) error {
	typed, known := args[0], []string{}
	alone := len(args) == 1 || strings.HasPrefix(args[1], "-")
	if p.topic != "" && !alone {
		typed += " " + args[1]
	}
	for _, c := range all {
		topic, _, _ := strings.Cut(c.name, " ")
		known = append(known, topic, c.name)
	}
	switch near := config.Nearest(typed, known); {
	case p.topic != "" && alone:
		return exit(exitUsage, "%s what? `counterfoil %s --help` lists its commands", p.topic, p.topic)
	case strings.HasPrefix(typed, "-"):
		return exit(exitUsage, "%s: the command comes first; `counterfoil --help` lists them", typed)
	case near != "":
		return exit(exitUsage, "%s: no such command; did you mean `counterfoil %s`?", typed, near)
	}
	return exit(exitUsage, "%s: no such command; `counterfoil --help` lists them", typed)
}

func (p *parsed) fault(where, format string, args ...any) {
	p.faults = append(p.faults, config.Fault{Where: where, Why: fmt.Sprintf(format, args...)})
}

// flags sorts the words after the command into flags and arguments.
func (p *parsed) flags(words []string) {
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch {
		case word == "--":
			p.args = append(p.args, words...)
			return
		case word == "--help" || word == "-h":
			p.help = true
		case strings.HasPrefix(word, "--"):
			words = p.flag(word, words)
		default:
			p.args = append(p.args, word)
		}
	}
}

func (p *parsed) flag(word string, words []string) []string {
	name, value, given := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	takes, setting, ok := p.command.flag(name)
	switch {
	case !ok:
		why := "no such flag"
		if near := config.Nearest(name, p.command.flagNames()); near != "" {
			why += "; did you mean --" + near + "?"
		}
		p.fault("--"+name, "%s; see `counterfoil %s --help`", why, p.command.name)
		return words
	case !given && !takes:
		value = "true"
	case !given && len(words) == 0:
		p.fault("--"+name, "needs a value")
		return words
	case !given:
		value, words = words[0], words[1:]
	case !setting && !takes && value != "true":
		p.fault("--"+name, "is a switch and takes no value")
		return words
	}
	if setting {
		p.settings[name] = append(p.settings[name], value)
		return words
	}
	if _, twice := p.options[name]; twice {
		p.fault("--"+name, "is given more than once")
	}
	if value == "" {
		p.fault("--"+name, "is empty")
	}
	p.options[name] = value
	return words
}

// flag looks a flag up: whether it takes a value, and whether it is a setting.
func (c *command) flag(name string) (takes, setting, ok bool) {
	for _, o := range c.options {
		if o.name == name {
			return o.value != "", false, true
		}
	}
	for _, s := range c.settings() {
		if s.Name == name {
			return s.Value != "", true, true
		}
	}
	return false, false, false
}

func (c *command) flagNames() []string {
	var names []string
	for _, o := range c.options {
		names = append(names, o.name)
	}
	for _, s := range c.settings() {
		names = append(names, s.Name)
	}
	return names
}

// settings returns the settings that the command takes as flags.
func (c *command) settings() []config.Setting {
	all := config.Settings()
	if c.serves {
		return all
	}
	return slices.DeleteFunc(all, func(s config.Setting) bool { return !s.Common })
}

func wantsHelp(words []string) bool {
	return slices.Contains(words, "--help") || slices.Contains(words, "-h")
}
