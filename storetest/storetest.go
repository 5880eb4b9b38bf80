// Package storetest proves that a [counterfoil.Store] keeps its contract. A store's own tests run
// it:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) counterfoil.Store { return memory.New(memory.Options{}) })
//	}
//
// Each test cites the sentence of the contract that it proves, opens a store of its own and closes
// it. What a Store's interface does not show (a crash of the machine, how long a dead node is
// remembered, the time that List takes) is for the store's own tests.
package storetest

import (
	"testing"

	"github.com/counterfoil/counterfoil"
)

// Option adds to what [Run] does.
type Option func(*options)

type options struct {
	reopen func(*testing.T, counterfoil.Store) counterfoil.Store
}

// Reopen says how to close a store and open what it kept. A store that calls itself durable needs it.
func Reopen(reopen func(t *testing.T, s counterfoil.Store) counterfoil.Store) Option {
	return func(o *options) { o.reopen = reopen }
}

// Run runs the suite. open returns an empty store each time; Run closes it.
func Run(t *testing.T, open func(t *testing.T) counterfoil.Store, opts ...Option) {
	var o options
	for _, set := range opts {
		set(&o)
	}
	for _, c := range suite() {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, open(t), o)
			defer func() {
				if t.Failed() {
					t.Logf("the contract says: %s", c.sentence)
				}
			}()
			c.test(f)
		})
	}
}

// proof is one test, with the sentence of the contract that it proves.
type proof struct {
	name     string
	sentence string
	test     func(*fixture)
}

func suite() []proof {
	var all []proof
	for _, part := range [][]proof{
		createProofs(), limitProofs(), loadProofs(), updateProofs(), touchProofs(), revokeProofs(), listProofs(),
		logProofs(), nodeProofs(), reapProofs(), metaProofs(), raceProofs(), failureProofs(), durableProofs(),
	} {
		all = append(all, part...)
	}
	return all
}
