package simulation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// enough is how many schedules a mutant gets to be caught.
const enough = 1500

// A simulation that finds nothing is worth what it would find: every rule, broken on purpose in the
// store or in the clocks, is noticed.
func TestMutantStoresAndClocks(t *testing.T) { // R9, R16, R18, R21
	keys := newKeys(t)
	for _, c := range []struct {
		name, about string
		variant     variant
	}{
		{"records are read from a replica", "ends", variant{store: defect{replica: 1500 * time.Millisecond}}},
		{"the log is in the order of its numbers, not of the commits", "ends", variant{store: defect{uncommitted: 700 * time.Millisecond}}},
		{"changes of the verifier are not in the log", "rotation", variant{store: defect{untold: true}}},
		{"a log that lost its end keeps its name", "ends", variant{store: defect{keepsName: true}}},
		{"the wall clock alone", "ends", variant{clock: func(m *machine) counterfoil.Clock { return wallOnly{m} }}},
		{"the monotonic clock alone", "ends", variant{clock: func(m *machine) counterfoil.Clock { return monoOnly{m} }}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(enough) {
				broken := simulate(t, keys, newPlan(seed, c.about), c.variant, tally{}, nil)
				if strings.Contains(broken, "admitted") { // something worse than that somebody is turned away
					t.Logf("seed %d: %s", seed, broken)
					return
				}
			}
			t.Errorf("nothing is noticed in %d schedules", enough)
		})
	}
}

// wallOnly and monoOnly are clocks whose two readings are one.
type (
	wallOnly struct{ *machine }
	monoOnly struct{ *machine }
)

func (c wallOnly) Now() (time.Time, time.Duration) {
	wall, _ := c.machine.Now()
	return wall, wall.Sub(c.s.began) + time.Hour
}

func (c monoOnly) Now() (time.Time, time.Duration) {
	_, mono := c.machine.Now()
	return c.s.began.Add(mono - time.Hour), mono
}

var (
	edit  = regexp.MustCompile(`(?ms)^(\S+\.go)\n<<<<\n(.*?)^====\n(.*?)^>>>>\n`)
	found = regexp.MustCompile(`seed \d+: .*`)
)

// The same for the rules that the manager itself keeps: each file of testdata/mutants is one change of
// its source, which the simulation then runs on.
func TestMutantManagers(t *testing.T) { // R11, R16, R17
	files, err := filepath.Glob("testdata/mutants/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no mutants", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-overlay", mutate(t, file), "-run", "^TestG2Simulation$", ".",
				"-runs", "2500", "-about", "ends", "-shrink=false")
			out, err := cmd.CombinedOutput()
			broken := found.Find(out)
			if err == nil || broken == nil {
				t.Fatalf("nothing is noticed: %v\n%s", err, out)
			}
			t.Logf("%s", broken)
		})
	}
}

// mutate makes an overlay for the go command in which the edits of file are done.
func mutate(t *testing.T, file string) (overlay string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edits := edit.FindAllStringSubmatch(string(raw), -1)
	if len(edits) == 0 {
		t.Fatalf("%s has no edits", file)
	}
	replace := map[string]string{}
	for _, e := range edits {
		path, err := filepath.Abs(filepath.Join("../..", e[1]))
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), e[2]); n != 1 {
			t.Fatalf("%s: what it changes is %d times in %s, and must be there once; bring the mutant up to date:\n%s", file, n, e[1], e[2])
		}
		changed := filepath.Join(t.TempDir(), filepath.Base(path))
		if err := os.WriteFile(changed, []byte(strings.Replace(string(source), e[2], e[3], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = changed
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
