package storetest

import (
	"os"
	"strings"
	"testing"
)

// Each proof cites the contract by the letter, so that neither changes without the other.
func TestSentencesStandInTheContract(t *testing.T) {
	var contract strings.Builder
	for _, file := range []string{"../store.go", "../record.go", "../log.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if _, comment, ok := strings.Cut(line, "//"); ok {
				contract.WriteString(strings.TrimPrefix(strings.TrimSpace(comment), "- ") + " ")
			}
		}
	}
	names := map[string]bool{}
	for _, p := range suite() {
		if names[p.name] {
			t.Errorf("two proofs are called %s", p.name)
		}
		names[p.name] = true
		if len(p.sentence) < 10 || !strings.Contains(contract.String(), p.sentence) {
			t.Errorf("%s cites what does not stand in the contract: %q", p.name, p.sentence)
		}
	}
}
