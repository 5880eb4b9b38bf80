package redis_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/store/redis"
)

func TestParseDSN(t *testing.T) {
	for dsn, want := range map[string]string{
		"redis://h":                       "redis://h:6379",
		"redis://u:hunter2@h:7000/3":      "redis://h:7000",
		"rediss://:hunter2@h":             "rediss://h:6379",
		"redis://[::1]:7000":              "redis://[::1]:7000",
		"unix:///run/redis.sock":          "unix:///run/redis.sock",
		"unix://:hunter2@/run/s?db=2":     "unix:///run/s",
		"":                                "",
		"redis:":                          "",
		"redis:h":                         "",
		"redis://":                        "",
		"redis://h:0":                     "",
		"redis://h:70000":                 "",
		"redis://h/a":                     "",
		"redis://h/01":                    "",
		"redis://h/-1":                    "",
		"redis://h/1/2":                   "",
		"redis://u:hunter2@h?tls=off":     "",
		"redis://u:hunter2@h\x00":         "",
		"redis://h#f":                     "",
		"unix://host/run/s":               "",
		"unix:///":                        "",
		"unix:///s?db=x":                  "",
		"unix:///s?user=hunter2":          "",
		"postgres://u:hunter2@h/database": "",
	} {
		p, err := redis.ParseDSN(dsn)
		if want == "" {
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: %v, %v", dsn, p, err)
			}
			continue
		}
		if err != nil || p.String() != want {
			t.Errorf("%q: %v, %v; want %s", dsn, p, err, want)
		}
		if all := fmt.Sprintf("%v %+v %#v %s", p, p, p, p); strings.Contains(all, "hunter2") {
			t.Errorf("%q is printed with its password: %s", dsn, all)
		}
	}
}

func FuzzParseDSN(f *testing.F) {
	for _, s := range []string{"redis://u:p@h:1/2", "rediss://[::1]", "unix:///a?db=1", "redis://h?x", "%", "unix://u@/\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		p, err := redis.ParseDSN(dsn)
		if err != nil {
			return
		}
		if again, err := redis.ParseDSN(p.String()); err != nil && !strings.ContainsAny(p.String(), "%?# ") || err == nil && again.String() != p.String() {
			t.Errorf("%q reads as %q, and that as %v, %v", dsn, p, again, err)
		}
	})
}
