package counterfoil

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// saveAttempts bounds how often a save merges again because others wrote meanwhile.
const saveAttempts = 32

// value returns the encoded value under name as this request sees it, nil if there is none.
func (s *Session) value(name string) ([]byte, error) {
	if s.m == nil {
		return nil, ErrNoHandler
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, ok := s.edits[name]; ok {
		return data, nil
	}
	if s.ended != nil {
		return nil, s.ended
	}
	if s.view.e == nil {
		return nil, nil
	}
	if s.values == nil && !s.m.shared {
		if v := s.view.e.values.Load(); v != nil {
			s.values = *v
		}
	}
	if s.values == nil {
		ctx, cancel := s.m.storeContext(s.req.Context())
		defer cancel()
		if _, err := s.read(ctx); err != nil {
			return nil, err
		}
	}
	return s.values[name], nil
}

// read loads the session's values; s is locked. It never shares a read that another request began
// earlier: what was written and acknowledged in between, here or on another node, is not in that one.
func (s *Session) read(ctx context.Context) (valueSet, error) {
	if s.values != nil {
		return s.values, nil
	}
	if s.view.e == nil {
		return valueSet{}, nil
	}
	rec, err := s.m.store.Load(ctx, s.view.e.id)
	if err != nil {
		return nil, s.lost(err)
	}
	v, err := s.m.openValues(rec, &s.token.selector)
	if err != nil {
		return nil, err
	}
	s.values, s.stored = v, rec
	if !s.m.shared && rec.Revision == s.view.e.revision {
		s.m.cache.remember(s.view.e, &v)
	}
	return v, nil
}

// lost turns a store's answer into what a session's verbs return.
func (s *Session) lost(err error) error {
	if errors.Is(err, ErrNotFound) {
		s.ended = ErrEnded
		s.m.cache.drop(s.view.e.id)
		return ErrEnded
	}
	return s.m.unanswered("values", err)
}

// edit notes a value to be written with the answer; nil deletes.
func (s *Session) edit(name string, data []byte) error {
	if s.m == nil {
		return ErrNoHandler
	}
	if _, err := s.value(name); err != nil { // reads the values, so that the limit can be checked
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayChange(); err != nil {
		return err
	}
	edits := make(map[string][]byte, len(s.edits)+1)
	for k, v := range s.edits {
		edits[k] = v
	}
	edits[name] = data
	if err := s.m.fits(s.values.with(edits)); err != nil {
		return err
	}
	old, had := s.values[name]
	if same := had == (data != nil) && bytes.Equal(old, data); same {
		delete(edits, name) // nothing worth keeping changed
	}
	s.edits = edits
	return nil
}

func (m *Manager) fits(v valueSet) error {
	if n := v.size(); n > m.valueBytes {
		return fmt.Errorf("%w: %d bytes, the limit is %d; keep large things in the application's own database", ErrTooLarge, n, m.valueBytes)
	}
	return nil
}

// Commit writes pending values now; otherwise Handler does, before the first byte of the answer.
func (s *Session) Commit() error {
	if s.m == nil {
		return ErrNoHandler
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.edits) == 0 {
		return nil
	}
	if err := s.mayChange(); err != nil {
		return err
	}
	return s.save()
}

// save writes the pending values; s is locked.
func (s *Session) save() error {
	if len(s.edits) == 0 {
		return nil
	}
	ctx, cancel := s.m.storeContext(s.req.Context())
	defer cancel()
	if s.ended != nil {
		return s.ended
	}
	if s.view.e == nil {
		values := valueSet{}.with(s.edits)
		if len(values) == 0 {
			s.edits = nil
			return nil
		}
		now := s.m.clock.now()
		w := who{kind: KindVisit, ip: s.m.address(s.req), label: deviceLabel(s.req.UserAgent())}
		return s.start(ctx, w, 0, values, "", Creation{}, ReasonVisit, now)
	}
	edits := s.edits
	err := s.merge(ctx, func(now valueSet) (valueSet, error) { return now.with(edits), nil })
	if err == nil {
		s.edits = nil
	}
	return err
}

// merge writes what change makes of the stored values, at the revision it was made from; s is locked.
func (s *Session) merge(ctx context.Context, change func(valueSet) (valueSet, error)) error {
	for range saveAttempts {
		if again, err := s.mergeOnce(ctx, change); !again {
			return err
		}
	}
	return fmt.Errorf("%w: others changed this session at each of %d tries; try again", ErrConflict, saveAttempts)
}

func (s *Session) mergeOnce(ctx context.Context, change func(valueSet) (valueSet, error)) (again bool, err error) {
	m := s.m
	fill := m.cache.begin(s.view.e.id)
	defer fill.end()               // also if change panics
	if m.denied.has(s.view.e.id) { // asked after fill began: an end that comes now voids it
		s.ended = ErrEnded
		return false, ErrEnded
	}
	rec := s.stored // what was changed since it was read is a conflict, and is loaded then
	if s.stored = nil; rec == nil || rec.ID != s.view.e.id {
		if rec, err = m.store.Load(ctx, s.view.e.id); err != nil {
			return false, s.lost(err)
		}
	}
	i, err := m.openIdentity(rec)
	if err != nil {
		return false, err
	}
	stored, err := m.openValues(rec, &s.token.selector)
	if err != nil {
		return false, err
	}
	e := s.view.e
	values, err := change(stored)
	if err != nil {
		return false, err
	}
	if now := s.view.e; now != e { // change used the session
		if now == nil || now.id != e.id {
			return false, ErrEnded
		}
		return true, nil
	}
	if err := m.fits(values); err != nil {
		return false, err
	}
	if err := m.sealValues(rec, &s.token.selector, values); err != nil {
		return false, err
	}
	switch err := m.store.Update(ctx, rec, nil); {
	case errors.Is(err, ErrConflict):
		return true, nil
	case err != nil:
		m.cache.forgetValues(e.id)
		return false, s.lost(err)
	}
	e = m.newEntry(rec, i, s.view.e.proved[0].n, s.view.e.proved[0].v, s.view.e)
	if !m.shared {
		e.values.Store(&values)
	}
	m.keep(fill, e)
	s.view, s.values = View{e}, values
	return false, nil
}

// update changes one value at once, by f of what is stored.
func (s *Session) update(name string, f func(old []byte) ([]byte, error)) error {
	if s.m == nil {
		return ErrNoHandler
	}
	s.mu.Lock()
	if err := s.mayChange(); err != nil {
		s.mu.Unlock()
		return err
	}
	if s.view.e == nil && s.ended == nil {
		old := s.edits[name]
		s.mu.Unlock()
		data, err := f(old)
		if err != nil {
			return err
		}
		return s.edit(name, data)
	}
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	ctx, cancel := s.m.storeContext(s.req.Context())
	defer cancel()
	pending, has := s.edits[name]
	err := s.merge(ctx, func(now valueSet) (valueSet, error) {
		old := now[name]
		if has {
			old = pending
		}
		data, err := s.unlocked(f, old)
		if err != nil {
			return nil, err
		}
		return now.with(map[string][]byte{name: data}), nil
	})
	if err == nil {
		delete(s.edits, name)
	}
	return err
}

// unlocked calls f, which may use the session; s is locked before and after.
func (s *Session) unlocked(f func([]byte) ([]byte, error), old []byte) ([]byte, error) {
	s.mu.Unlock()
	defer s.mu.Lock()
	return f(old)
}
