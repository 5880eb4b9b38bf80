package counterfoil

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"
)

// metered is a store that counts its calls. What it does not name it passes on uncounted.
type metered struct {
	Store
	clock Clock

	create, load, update, touch, revoke, list, poll, reap, nodes, fence meter
}

// meter is about one method.
type meter struct {
	took   durations
	errors atomic.Uint64
}

func (s *metered) begin() time.Duration {
	_, mono := s.clock.Now()
	return mono
}

func (s *metered) end(m *meter, began time.Duration, err error) {
	m.took.add(s.begin() - began)
	if err != nil && !isAnswer(err) {
		m.errors.Add(1)
	}
}

// isAnswer reports whether err is something that a store says, and not its failure.
func isAnswer(err error) bool {
	for _, known := range []error{ErrNotFound, ErrConflict, ErrExists, ErrGap, ErrFenced, ErrNoParent, ErrSuperseded, ErrLimit} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// read returns the counts of what was called.
func (s *metered) read() map[string]StoreStats {
	out := make(map[string]StoreStats)
	for name, m := range map[string]*meter{
		"Create": &s.create, "Load": &s.load, "Update": &s.update, "Touch": &s.touch, "Revoke": &s.revoke,
		"List": &s.list, "Poll": &s.poll, "Reap": &s.reap, "Nodes": &s.nodes, "Fence": &s.fence,
	} {
		if took := m.took.read(); took.Count > 0 {
			out[name] = StoreStats{Took: took, Errors: m.errors.Load()}
		}
	}
	return out
}

func (s *metered) Create(ctx context.Context, rec *Record, c Creation) (Created, error) {
	began := s.begin()
	out, err := s.Store.Create(ctx, rec, c)
	s.end(&s.create, began, err)
	return out, err
}

func (s *metered) Load(ctx context.Context, id ID) (*Record, error) {
	began := s.begin()
	out, err := s.Store.Load(ctx, id)
	s.end(&s.load, began, err)
	return out, err
}

func (s *metered) Update(ctx context.Context, rec *Record, changed *Entry) error {
	began := s.begin()
	err := s.Store.Update(ctx, rec, changed)
	s.end(&s.update, began, err)
	return err
}

func (s *metered) Touch(ctx context.Context, batch []Touch) error {
	began := s.begin()
	err := s.Store.Touch(ctx, batch)
	s.end(&s.touch, began, err)
	return err
}

func (s *metered) Revoke(ctx context.Context, e Entry) (Revoked, error) {
	began := s.begin()
	out, err := s.Store.Revoke(ctx, e)
	s.end(&s.revoke, began, err)
	return out, err
}

// List counts what the whole list takes, the caller's part of it included.
func (s *metered) List(ctx context.Context, subject SubjectHash) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		began := s.begin()
		var failed error
		defer func() { s.end(&s.list, began, failed) }()
		for rec, err := range s.Store.List(ctx, subject) {
			failed = err
			if !yield(rec, err) {
				return
			}
		}
	}
}

func (s *metered) Poll(ctx context.Context, p Poll) (Page, error) {
	began := s.begin()
	out, err := s.Store.Poll(ctx, p)
	s.end(&s.poll, began, err)
	return out, err
}

func (s *metered) Reap(ctx context.Context, r Reap) (Reaped, error) {
	began := s.begin()
	out, err := s.Store.Reap(ctx, r)
	s.end(&s.reap, began, err)
	return out, err
}

func (s *metered) Nodes(ctx context.Context) ([]Node, error) {
	began := s.begin()
	out, err := s.Store.Nodes(ctx)
	s.end(&s.nodes, began, err)
	return out, err
}

func (s *metered) Fence(ctx context.Context, node string) error {
	began := s.begin()
	err := s.Store.Fence(ctx, node)
	s.end(&s.fence, began, err)
	return err
}
