package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Input is where settings come from.
type Input struct {
	Flags map[string][]string // values given on the command line, by Setting.Name
	Env   []string            // KEY=VALUE, as os.Environ returns it
}

// Fault is one thing that is wrong, and where.
type Fault struct {
	Where string // "--idle", "COUNTERFOIL_IDLE" or "counterfoil.yaml:3: idle"
	Why   string
}

func (f Fault) Error() string { return f.Where + ": " + f.Why }

// Faults is everything that is wrong with a configuration.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Load reads the configuration. A failure is of type [Faults] and names everything that is wrong.
// What only `serve` asks for is checked by [Config.CheckServe].
func Load(in Input) (*Config, error) {
	l := loader{cfg: &Config{Sources: map[string]string{}}, settings: Settings()}
	for _, s := range l.settings {
		l.cfg.Sources[s.Name] = "default"
		if s.Default != "" && s.Name != "store" {
			l.apply(s, s.Default, "default")
		}
	}
	env := l.environment(in.Env)
	l.file(in.Flags, env)
	for _, s := range l.settings {
		if text, ok := env[s.Env()]; ok {
			l.apply(s, text, s.Env())
		}
		if values := in.Flags[s.Name]; len(values) > 1 && s.Kind != List {
			l.fault("--"+s.Name, "is given more than once")
		} else if len(values) > 0 {
			l.apply(s, strings.Join(values, ","), "--"+s.Name)
		}
	}
	if l.cfg.Store == "" {
		l.cfg.Store = "sqlite:" + l.cfg.Path("sessions.db")
	}
	if l.cfg.Absolute > 30*day && l.cfg.LimitsReason == "" {
		l.fault(l.where("absolute"), "is over the 30 days of NIST SP 800-63B-4; write the reason in --limits-reason")
	}
	if len(l.faults) > 0 {
		return nil, l.faults
	}
	return l.cfg, nil
}

type loader struct {
	cfg      *Config
	settings []Setting
	faults   Faults
}

func (l *loader) fault(where, why string) { l.faults = append(l.faults, Fault{where, why}) }

func (l *loader) apply(s Setting, text, where string) {
	if err := s.set(l.cfg, text); err != nil {
		l.fault(where, err.Error())
		return
	}
	l.cfg.Sources[s.Name] = where
}

// where says where the value in force of a setting was written.
func (l *loader) where(name string) string {
	if w := l.cfg.Sources[name]; w != "default" {
		return w
	}
	return "--" + name
}

// environment returns our part of the environment, and warns of names that nothing reads. What a
// cluster sets for a service of our name is none of ours.
func (l *loader) environment(env []string) map[string]string {
	known := []string{"KEY", "KEY_FILE", "WRAPPING_KEY", "WRAPPING_KEY_FILE"}
	for _, s := range l.settings {
		known = append(known, strings.TrimPrefix(s.Env(), envPrefix))
	}
	ours := map[string]string{}
	for _, line := range env {
		line, isOurs := strings.CutPrefix(line, envPrefix)
		name, value, _ := strings.Cut(line, "=")
		if !isOurs || strings.HasPrefix(name, "PORT") || strings.HasPrefix(name, "SERVICE_") {
			continue
		}
		if !slices.Contains(known, name) {
			l.cfg.Warnings = append(l.cfg.Warnings, "the environment has "+envPrefix+name+", which nothing reads"+didYouMean(name, envPrefix, known))
			continue
		}
		ours[envPrefix+name] = value
	}
	return ours
}

// file finds, reads and applies the configuration file.
func (l *loader) file(flags map[string][]string, env map[string]string) {
	pick := func(name string) string {
		if v := flags[name]; len(v) > 0 {
			return v[0]
		}
		return env[envPrefix+strings.ToUpper(name)]
	}
	path, explicit := pick("config"), true
	if path == "" {
		data := pick("data")
		if data == "" {
			data = l.cfg.Data
		}
		path, explicit = filepath.Join(data, FileName), false
	}
	entries, err := readFile(path)
	switch {
	case err != nil && !explicit && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)):
		return
	case err != nil:
		why := strings.TrimPrefix(err.Error(), "open "+path+": ")
		if explicit && errors.Is(err, fs.ErrNotExist) {
			why += "; name the file with --config, or leave that out"
		}
		l.fault(path, why)
		return
	}
	l.cfg.File = path
	seen := map[string]bool{}
	for _, e := range entries {
		l.entry(e, path, explicit)
		seen[e.key] = true
	}
	for _, s := range l.settings {
		given := seen[s.Key()] || len(flags[s.Name]) > 0 || env[s.Env()] != ""
		if (s.Name == "idle" || s.Name == "absolute") && !given {
			l.cfg.Warnings = append(l.cfg.Warnings, fmt.Sprintf("%s does not set %s: the default %s is in force", path, s.Key(), s.Default))
		}
	}
}

// entry applies one line of the file.
func (l *loader) entry(e entry, path string, explicit bool) {
	where := fmt.Sprintf("%s:%d: %s", path, e.line, e.key)
	i := slices.IndexFunc(l.settings, func(s Setting) bool { return s.Key() != "" && s.Key() == e.key })
	switch {
	case i < 0 && namesKey(e.key):
		l.fault(where, "unknown field: keys never stand in the configuration; they are made and kept by the program, see `counterfoil key list`, `key generate` and `key rotate`")
	case i < 0:
		l.fault(where, "unknown field"+didYouMean(e.key, "", l.keys()))
	case e.key == "data" && !explicit:
		l.fault(where, "cannot stand in a file that was found in the data folder; use --data")
	case e.bad != "":
		l.fault(where, e.bad)
	default:
		if why := l.settings[i].fits(e.kind, e.text); why != "" {
			l.fault(where, why)
			return
		}
		l.apply(l.settings[i], e.text, where)
	}
}

func (l *loader) keys() []string {
	var keys []string
	for _, s := range l.settings {
		if k := s.Key(); k != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

// namesKey reports whether an unknown field looks like an attempt to choose a key.
func namesKey(field string) bool {
	field = strings.ToLower(strings.ReplaceAll(field, "-", "_"))
	for _, part := range strings.Split(field, "_") {
		switch part {
		case "key", "keys", "secret", "secrets", "salt", "password", "passphrase":
			return field != "tls_key"
		}
	}
	return false
}

func didYouMean(name, prefix string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return "; did you mean " + prefix + near + "?"
	}
	return ""
}
