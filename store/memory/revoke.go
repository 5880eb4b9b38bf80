package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/counterfoil/counterfoil"
)

// Revoke implements [counterfoil.Store]. It always knows how many it ended.
func (s *Store) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	if err := s.enter(ctx); err != nil {
		return counterfoil.Revoked{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, ok := s.log.find(e.Op); ok {
		out := s.log.outcomes.m[first.Seq]
		out.Ended = slices.Clone(out.Ended)
		return out, nil
	}
	ch := s.begin(e.Time)
	first := ch.seq + 1
	switch e.Kind {
	case counterfoil.EntryEnded:
		r := s.peek(e.Session)
		if r == nil {
			return counterfoil.Revoked{Seq: s.log.head}, nil
		}
		about(r, &e)
		ch.append(&e)
		s.endEach(&ch, &e, []*record{r})
	case counterfoil.EntryEndedSubject:
		ch.append(&e)
		s.endEach(&ch, &e, s.of(e.Subject))
	case counterfoil.EntryEndedAll:
		ch.append(&e)
		s.endAll(&ch)
	default:
		return counterfoil.Revoked{}, fmt.Errorf("memory: entry kind %d ends nothing; Revoke takes the kinds that end", e.Kind)
	}
	ch.publish()
	out := counterfoil.Revoked{Seq: s.log.head, Ended: ch.ended, Count: ch.count}
	if e.Op != (counterfoil.OpID{}) {
		kept := out
		kept.Ended = slices.Clone(out.Ended)
		s.log.outcomes.set(first, kept)
	}
	return out, nil
}

// endEach ends those of the candidates that e covers, with their descendants.
func (s *Store) endEach(ch *change, e *counterfoil.Entry, candidates []*record) {
	covers := func(r *record) bool {
		o := r.outline()
		return e.Ends(&o)
	}
	for _, r := range candidates {
		ch.end(r, e.Reason, covers, covers)
	}
}

// endAll empties the store, a shard at a time; what was in it goes as a whole.
func (s *Store) endAll(ch *change) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		gone := sh.recs
		sh.recs = index[byID]{}
		sh.mu.Unlock()
		gone.each(0, len(gone.heads), func(r *record) bool {
			if len(ch.ended) < counterfoil.MaxEndedListed {
				ch.ended = append(ch.ended, r.id)
			}
			return len(ch.ended) < counterfoil.MaxEndedListed
		})
		ch.count += gone.n
	}
	s.subjects = [shardCount]subjects{}
	s.actors, s.children = map[counterfoil.SubjectHash]set{}, map[counterfoil.ID]set{}
}
