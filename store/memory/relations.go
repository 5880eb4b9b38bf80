package memory

import (
	"iter"
	"slices"

	"github.com/counterfoil/counterfoil"
)

// subjects finds the records of a subject: the first one by the index, from which the others hang in a
// list that goes both ways, since a subject may have very many.
type subjects struct{ firsts index[bySubject] }

type links struct{ next, prev *record }

func (x *subjects) add(r *record) {
	first := x.firsts.get(r.subject)
	if first == nil {
		x.firsts.add(r)
		return
	}
	r.siblings = links{first.siblings.next, first}
	if next := r.siblings.next; next != nil {
		next.siblings.prev = r
	}
	first.siblings.next = r
}

func (x *subjects) remove(r *record) {
	next, prev := r.siblings.next, r.siblings.prev
	r.siblings = links{}
	if next != nil {
		next.siblings.prev = prev
	}
	if prev != nil {
		prev.siblings.next = next
		return
	}
	x.firsts.remove(r)
	if next != nil {
		x.firsts.add(next)
	}
}

// all yields the records of a subject. None may be added or removed meanwhile.
func (x *subjects) all(h counterfoil.SubjectHash) iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for r := x.firsts.get(h); r != nil && yield(r); r = r.siblings.next {
		}
	}
}

// insert makes r loadable and indexes it. The caller holds s.mu.
func (s *Store) insert(r *record) {
	if r.subject != (counterfoil.SubjectHash{}) {
		s.subject(r.subject).add(r)
	}
	if k := r.kin; k != nil {
		link(s.actors, k.actor, r)
		link(s.children, k.parent, r)
		link(s.children, k.root, r)
	}
	sh := s.shard(r.id)
	sh.mu.Lock()
	sh.recs.add(r)
	sh.mu.Unlock()
}

// take makes r unloadable if it is still there and due (nil: always). From then on nothing but the
// caller, who holds s.mu and must call unindex, uses r.
func (s *Store) take(r *record, due func(*record) bool) bool {
	sh := s.shard(r.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.recs.get(r.id) != r || due != nil && !due(r) {
		return false
	}
	sh.recs.remove(r)
	return true
}

func (s *Store) unindex(r *record) {
	if r.subject != (counterfoil.SubjectHash{}) {
		s.subject(r.subject).remove(r)
	}
	if k := r.kin; k != nil {
		unlink(s.actors, k.actor, r)
		unlink(s.children, k.parent, r)
		unlink(s.children, k.root, r)
	}
}

func link[K comparable](m map[K]set, k K, r *record) {
	var zero K
	if k == zero {
		return
	}
	if m[k] == nil {
		m[k] = set{}
	}
	m[k][r] = struct{}{}
}

func unlink[K comparable](m map[K]set, k K, r *record) {
	delete(m[k], r)
	if len(m[k]) == 0 {
		delete(m, k)
	}
}

// of returns the records of a subject, those in which it acts included. The caller holds s.mu.
func (s *Store) of(subject counterfoil.SubjectHash) []*record {
	all := slices.Collect(s.subject(subject).all(subject))
	for r := range s.actors[subject] {
		if r.subject != subject {
			all = append(all, r)
		}
	}
	return all
}
