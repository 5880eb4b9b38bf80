package postgres_test

import (
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
)

// Settings of the server that could lose an acknowledged end are named, each with what to change.
func TestAdvise(t *testing.T) {
	own, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := open(t, own.DSN(""))
	c, err := pgx.Connect(t.Context(), own.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(t.Context()) })
	for _, step := range []struct{ set, says, fix string }{
		{"", "", ""},
		{"full_page_writes TO off", "full_page_writes is off", "full_page_writes = on"},
		{"full_page_writes TO on", "", ""},
		{"synchronous_standby_names TO 'away'", "no standby is connected", "start the standby"},
		{"synchronous_standby_names TO ''", "", ""},
	} {
		if step.set != "" {
			for _, statement := range []string{"ALTER SYSTEM SET " + step.set, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.2)"} { // the server reads its settings by and by
				if _, err := c.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}
		advice, err := s.Advise(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if (step.says == "") != (len(advice) == 0) {
			t.Errorf("%q: %+v", step.set, advice)
		}
		for _, a := range advice {
			if !strings.Contains(a.Says, step.says) || !strings.Contains(a.Fix, step.fix) {
				t.Errorf("%q: %+v, want %q and %q", step.set, a, step.says, step.fix)
			}
		}
	}
}
