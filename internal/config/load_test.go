package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
)

// folder makes a data folder whose counterfoil.yaml holds text, or has none if text is "".
func folder(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if text != "" {
		if err := os.WriteFile(filepath.Join(dir, config.FileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func faults(t *testing.T, err error) config.Faults {
	t.Helper()
	var f config.Faults
	if !errors.As(err, &f) {
		t.Fatalf("error is %v, not Faults", err)
	}
	return f
}

// C15, C16: nothing needs to be configured.
func TestDefaults(t *testing.T) {
	c, err := config.Load(config.Input{Flags: map[string][]string{"data": {t.TempDir()}}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Idle != 30*time.Minute || c.Absolute != 8*time.Hour || c.MaxSessions != 20 || c.Prefix != "/auth" || c.Listen != "127.0.0.1:8080" || c.Persistent || c.Dev {
		t.Errorf("defaults are %+v", c)
	}
	if c.Store != "sqlite:"+c.Path("sessions.db") {
		t.Errorf("default store is %s", c.Store)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings without a reason: %q", c.Warnings)
	}
}

func TestPrecedence(t *testing.T) {
	dir := folder(t, "idle: 1m\n")
	for _, c := range []struct {
		name, flag, env string
		want            time.Duration
		source          string
	}{
		{"flag before all", "3m", "2m", 3 * time.Minute, "--idle"},
		{"environment before file", "", "2m", 2 * time.Minute, "COUNTERFOIL_IDLE"},
		{"file before default", "", "", time.Minute, ":1: idle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := config.Input{Flags: map[string][]string{"data": {dir}}}
			if c.flag != "" {
				in.Flags["idle"] = []string{c.flag}
			}
			if c.env != "" {
				in.Env = []string{"COUNTERFOIL_IDLE=" + c.env}
			}
			got, err := config.Load(in)
			if err != nil || got.Idle != c.want || !strings.HasSuffix(got.Sources["idle"], c.source) {
				t.Errorf("idle is %v from %q, %v", got.Idle, got.Sources["idle"], err)
			}
		})
	}
}

// inForce is what c says, without where it was found.
func inForce(c *config.Config) config.Config {
	v := *c
	v.Store = strings.ReplaceAll(v.Store, v.Data, "DIR")
	v.Data, v.File, v.Sources, v.Warnings = "", "", nil, nil
	return v
}

// Every setting can be written in each of its three places and means the same there.
func TestEverySettingInEveryPlace(t *testing.T) {
	values := map[string]string{
		"store": "memory:", "ephemeral-key": "true", "listen": "127.0.0.1:9", "upstream": "http://127.0.0.1:3000", "dev": "true",
		"tls-cert": "c.pem", "tls-key": "k.pem", "redirect": "127.0.0.1:80", "metrics": "127.0.0.1:81", "trusted-proxy": "10.0.0.0/8,127.0.0.1", "public-url": "https://example.org",
		"prefix": "/in", "idle": "0.5d", "absolute": "7d", "persistent": "true", "max-sessions": "3", "at-limit": "deny", "limits-reason": "asked for", "lease": "2s", "store-wait": "1m", "clock-skew": "3s", "cache-size": "7",
		"drain": "3s", "log-format": "json",
	}
	bare, err := config.Load(config.Input{Flags: map[string][]string{"data": {t.TempDir()}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Settings() {
		if s.Name == "data" || s.Name == "config" {
			continue
		}
		value, ok := values[s.Name]
		if !ok {
			t.Errorf("no value to try %s with", s.Name)
			continue
		}
		var got [3]config.Config
		for i := range got {
			in, text := config.Input{Flags: map[string][]string{}}, ""
			switch i {
			case 0:
				in.Flags[s.Name] = []string{value}
			case 1:
				in.Env = []string{s.Env() + "=" + value}
			case 2:
				text = s.Key() + ": " + value + "\n"
				if s.Kind == config.Text {
					text = s.Key() + ": '" + value + "'\n" // memory: alone would be a key
				}
			}
			in.Flags["data"] = []string{folder(t, text)}
			c, err := config.Load(in)
			if err != nil {
				t.Errorf("%s, place %d: %v", s.Name, i, err)
				continue
			}
			if c.Sources[s.Name] == "default" {
				t.Errorf("%s, place %d: not taken", s.Name, i)
			}
			got[i] = inForce(c)
		}
		if !reflect.DeepEqual(got[0], got[1]) || !reflect.DeepEqual(got[1], got[2]) {
			t.Errorf("%s is not the same by flag, environment and file: %+v", s.Name, got)
		}
		if reflect.DeepEqual(got[0], inForce(bare)) {
			t.Errorf("%s: %s changes nothing", s.Name, value)
		}
	}
}

// CD1, CD2, C7: what a file may not say; each names its line.
func TestFilesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"lifetime zero", "idle: 0", ":1: idle: 0 has no unit"},
		{"lifetime quoted zero", `idle: "0"`, "under a second"},
		{"lifetime negative", `idle: "-5m"`, "negative"},
		{"lifetime negative number", "idle: -5", "no unit"},
		{"lifetime NaN", "idle: .nan", "no unit"},
		{"lifetime infinite", "absolute: .inf", "no unit"},
		{"lease over a minute", "lease: 61s", "over 60s"},
		{"skew over a minute", "clock_skew: 2m", "over 60s"},
		{"a cache of nothing", "cache_size: 0", "1 to 65536"},
		{"a cache without bounds", "cache_size: 65537", "1 to 65536"},
		{"lease of nothing", "lease: 0s", "under a second"},
		{"lifetime huge", "absolute: 1e300", "no lifetime"},
		{"lifetime in words", "absolute: 7 days", "no lifetime"},
		{"lifetime switch", "idle: true", "no lifetime"},
		{"lifetime list", "idle: [7]", "list of something else"},
		{"lifetime list of text", "idle: [7d]", "no lifetime"},
		{"lifetime group", "idle: {days: 7}", "group of keys"},
		{"lifetime empty", `idle: ""`, "is empty"},
		{"lifetime missing", "idle:", "has no value"},
		{"lifetime under a second", "idle: 0.000001d", "under a second"},
		{"lifetime over the most", "absolute: 500d", "over 400 days"},
		{"no reason for a long one", "absolute: 31d", "NIST SP 800-63B-4"},
		{"key of the seed", "session_cookie_key: abc", "unknown field: keys never stand in the configuration"},
		{"key", "listen: 127.0.0.1:1\nkey: abc", ":2: key: unknown field: keys"},
		{"encryption key", "encryption_key: ADMIN123", "`key rotate`"},
		{"misspelt", "max_sesions: 3", "did you mean max_sessions?"},
		{"flag's spelling", "tls-cert: x", "did you mean tls_cert?"},
		{"unknown", "banana: 3", "unknown field"},
		{"not a number", `max_sessions: "3"`, "without quotes"},
		{"number zero", "max_sessions: 0", "from 1 to 1000"},
		{"number text", "max_sessions: many", "without quotes"},
		{"switch text", "dev: maybe", "true or false"},
		{"switch number", "dev: 1", "true or false"},
		{"twice", "idle: 1m\nidle: 2m", "already defined"},
		{"two documents", "idle: 1m\n---\nidle: 2m", "more than one document"},
		{"not a mapping", "- idle", "no list of `key: value`"},
		{"alias", "idle: &a 1m\nabsolute: *a", "way that settings do not take"},
		{"no YAML", "idle: [1m", "is no YAML"},
		{"data in its own folder", "data: elsewhere", "use --data"},
		{"everybody trusted", "trusted_proxy: [0.0.0.0/0]", "believes everybody"},
		{"no such store", "store: mysql://root:hunter2@db", "is no store"},
		{"a bucket without a name", "store: s3:///prefix", "needs the name of a bucket"},
		{"a store that is no URL", "store: 'postgres:u:hunter2@db/x'", "needs a URL"},
		{"password in a URL", "upstream: http://u:hunter2@h", "user or a password"},
		{"upstream without a host", "upstream: 127.0.0.1:3000", "is no URL"},
		{"prefix with a dot", "prefix: /a/../b", "is no prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.Load(config.Input{Flags: map[string][]string{"data": {folder(t, c.text)}}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error is %v; want it to say %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the message repeats a password: %v", err)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	dir := folder(t, "idel: 1m\nabsolute: 0s\n\nmax_sessions: 0\n")
	_, err := config.Load(config.Input{
		Flags: map[string][]string{"data": {dir}, "prefix": {"auth"}, "idle": {"1m", "2m"}},
		Env:   []string{"COUNTERFOIL_LISTEN=8080", "COUNTERFOIL_PERSISTENT=perhaps"},
	})
	got := faults(t, err)
	for _, where := range []string{":1: idel", ":2: absolute", ":4: max_sessions", "COUNTERFOIL_LISTEN", "COUNTERFOIL_PERSISTENT", "--prefix", "--idle"} {
		found := false
		for _, f := range got {
			found = found || strings.HasSuffix(f.Where, where)
		}
		if !found {
			t.Errorf("no fault at %s in\n%v", where, err)
		}
	}
	if len(got) != 7 {
		t.Errorf("%d faults, want 7:\n%v", len(got), err)
	}
}

// C16: a file without a lifetime starts, and the default is named.
func TestMissingLifetimesAreNamed(t *testing.T) {
	c, err := config.Load(config.Input{Flags: map[string][]string{"data": {folder(t, "# nothing yet\nprefix: /in\nidle: 1h\n")}}})
	if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "does not set absolute: the default 8h") {
		t.Errorf("%q, %v", c.Warnings, err)
	}
}

func TestEnvironmentNamesThatNothingReads(t *testing.T) {
	c, err := config.Load(config.Input{Flags: map[string][]string{"data": {t.TempDir()}},
		Env: []string{"COUNTERFOIL_IDEL=1m", "COUNTERFOIL_KEY_FILE=/k", "COUNTERFOIL_PORT=tcp://10.0.0.1:80", "COUNTERFOIL_SERVICE_HOST=10.0.0.1", "HOME=/"}})
	if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "COUNTERFOIL_IDEL, which nothing reads; did you mean COUNTERFOIL_IDLE?") {
		t.Errorf("%q, %v", c.Warnings, err)
	}
}

func TestNamedFileMustBeThere(t *testing.T) {
	_, err := config.Load(config.Input{Flags: map[string][]string{"config": {filepath.Join(t.TempDir(), "none.yaml")}}})
	if got := faults(t, err); len(got) != 1 || !strings.Contains(got[0].Why, "no such file") {
		t.Errorf("%v", err)
	}
}

func TestServing(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags map[string][]string
		want  string // "": allowed
	}{
		{"development", map[string][]string{"dev": {"true"}}, ""},
		{"development on IPv6", map[string][]string{"dev": {"true"}, "listen": {"[::1]:0"}}, ""},
		{"development for everybody", map[string][]string{"dev": {"true"}, "listen": {"0.0.0.0:80"}}, "loopback only"},
		{"development on every address", map[string][]string{"dev": {"true"}, "listen": {":80"}}, "loopback only"},
		{"plain", nil, "would be plain http"},
		{"own certificate", map[string][]string{"tls-cert": {"c"}, "tls-key": {"k"}}, ""},
		{"certificate without a key", map[string][]string{"tls-cert": {"c"}}, "one needs the other"},
		{"certificate in development", map[string][]string{"tls-cert": {"c"}, "tls-key": {"k"}, "dev": {"true"}}, "excludes"},
		{"behind a proxy", map[string][]string{"trusted-proxy": {"127.0.0.1"}}, ""},
		{"redirect without TLS", map[string][]string{"trusted-proxy": {"127.0.0.1"}, "redirect": {":80"}}, "--redirect"},
		{"public address in plain", map[string][]string{"trusted-proxy": {"127.0.0.1"}, "public-url": {"http://example.org"}}, "must be https"},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags := map[string][]string{"data": {t.TempDir()}}
			for k, v := range c.flags {
				flags[k] = v
			}
			cfg, err := config.Load(config.Input{Flags: flags})
			if err != nil {
				t.Fatal(err)
			}
			err = cfg.CheckServe()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// Whatever a file holds, loading it returns a configuration or faults, and never a lifetime out of
// its bounds.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{"idle: 1m", "session_cookie_key: x", "idle: [7]", "a: &a [*a]", "trusted_proxy:\n  - 10.0.0.0/8\n", "idle: |\n  5m\n", "? idle\n: 1m", "\"idle\": 1m", "--- \n...", "idle: !!str 5m", defaultFile()} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	path := filepath.Join(dir, "fuzz.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Input{Flags: map[string][]string{"config": {path}}})
		if err != nil {
			faults(t, err)
			return
		}
		if c.Idle < time.Second || c.Absolute < time.Second || c.MaxSessions < 1 {
			t.Fatalf("%q gives %+v", text, c)
		}
	})
}
