package memory_test

import (
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/storetest"
)

func open(t *testing.T) counterfoil.Store { return memory.New(memory.Options{}) }

// P3, P26
func TestStore(t *testing.T) { storetest.Run(t, open) }
