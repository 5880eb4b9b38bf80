package main

import (
	"crypto/rand"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// pair is both sides on one server, and what the first one is compared with besides.
type pair struct {
	warm, cold *side // Counterfoil, with a near cache and without one
	peer       *side
	memory     *side
}

func (p *pair) close() {
	for _, s := range []*side{p.cold, p.warm, p.peer, p.memory} {
		s.close()
	}
}

// open puts both sides on a server. way is how to reach it.
func (s *server) open(way string) (*pair, error) {
	if s.keys == nil { // all on one server have the same
		now, _ := counterfoil.SystemClock().Now()
		keys, err := keyring.Generate(now, rand.Reader)
		if err != nil {
			return nil, err
		}
		s.keys = keys
	}
	lease := 5 * time.Second
	if way != s.way { // listened to: polls would be counted, too
		lease = time.Minute
	}
	on := func(cacheBytes int64) (*side, error) {
		store, err := s.ours(way)
		if err != nil {
			return nil, err
		}
		m, stop, err := managerOn(store, counterfoil.Config{Keys: s.keys, CacheBytes: cacheBytes, Lease: lease})
		if err != nil {
			return nil, err
		}
		return newOurs(m, stop), nil
	}
	var p pair
	var err error
	if p.warm, err = on(0); err != nil {
		return nil, err
	}
	if s.alone { // one process, one manager: what is cold there is opened once more elsewhere
		p.cold = &side{close: func() {}}
	} else if p.cold, err = on(-1); err != nil {
		return nil, err
	}
	if p.peer, err = s.peer(way); err != nil {
		return nil, err
	}
	m, stop, err := newManager()
	if err != nil {
		return nil, err
	}
	p.memory = newOurs(m, stop)
	return &p, nil
}
