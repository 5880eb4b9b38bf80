package memory_test

import (
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/storetest"
)

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(*testing.B) counterfoil.Store { return memory.New(memory.Options{}) })
}
