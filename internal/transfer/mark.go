package transfer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil"
)

// markKey is the key of the store's small value that says what is being done with the whole store.
const markKey = "transfer"

// Errors say why nothing may serve on a store. Match them with errors.Is.
var (
	// ErrMoved: what the store held lives in another one, or is on its way there.
	ErrMoved = errors.New("this store was moved")
	// ErrUnfinished: the store holds a part of what is being brought into it.
	ErrUnfinished = errors.New("this store is not whole")
)

// States of a mark.
const (
	leaving   = "leaving"   // is being copied; may be given up
	moved     = "moved"     // was copied
	arriving  = "arriving"  // a copy is being made here
	restoring = "restoring" // a backup is being brought back
)

// mark is what a store says of itself while it is moved, and after.
type mark struct {
	State string `json:"state"`
	ID    string `json:"id"`   // of the copy or of the backup
	With  string `json:"with"` // the other side, for people
}

func newID() string { return rand.Text() }

func readMark(ctx context.Context, s counterfoil.Store) (mark, error) {
	text, err := s.Meta(ctx, markKey)
	if err != nil || text == nil {
		return mark{}, err
	}
	var m mark
	if err := json.Unmarshal(text, &m); err != nil || m.State == "" {
		return mark{}, fmt.Errorf("the store's mark %q is damaged", text)
	}
	return m, nil
}

// set replaces the mark old by m; the zero mark stands for none. counterfoil.ErrConflict: it was
// another.
func (m mark) set(ctx context.Context, s counterfoil.Store, old mark) error {
	return s.SwapMeta(ctx, markKey, old.text(), m.text())
}

func (m mark) text() []byte {
	if m == (mark{}) {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil { // strings alone
		return nil
	}
	return text
}

// Usable says why nothing may serve on the store. [ErrMoved], [ErrUnfinished]; nil if something may.
func Usable(ctx context.Context, s counterfoil.Store) error {
	m, err := readMark(ctx, s)
	if err != nil {
		return err
	}
	switch m.State {
	case "":
		return nil
	case leaving:
		return fmt.Errorf("%w: it is being copied to %s; go on with `counterfoil store copy`, or give that up: counterfoil store copy --from … --undo", ErrMoved, m.With)
	case moved:
		return fmt.Errorf("%w to %s: use that; to come back to this one all the same: counterfoil store copy --from … --undo", ErrMoved, m.With)
	case arriving:
		return fmt.Errorf("%w: a copy of %s was begun and not finished; run the same `counterfoil store copy` again", ErrUnfinished, m.With)
	}
	return fmt.Errorf("%w: a backup was being restored into it; run `counterfoil store restore` again", ErrUnfinished)
}

// Undo takes back that a store was moved, or is being moved. Nothing may run on the copy: what is
// ended in one of two stores goes on living in the other.
func Undo(ctx context.Context, s Side) error {
	m, err := readMark(ctx, s.Sessions)
	if err != nil {
		return err
	}
	if m.State != leaving && m.State != moved {
		return fmt.Errorf("%s bears no mark of having been moved; nothing was done", s.Name)
	}
	return mark{}.set(ctx, s.Sessions, m)
}
