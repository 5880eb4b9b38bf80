package keyring

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

var (
	// ErrNotOurs says that the keys come from outside and are changed there.
	ErrNotOurs = errors.New("keyring: these keys come from outside")
	// ErrPrimary says that the primary cannot be retired.
	ErrPrimary = errors.New("keyring: the primary key is in use: rotate first")
	// ErrNoFile says that the ring is in memory alone.
	ErrNoFile = errors.New("keyring: these keys are in memory alone, there is no file of them")
	// ErrInUse says that something is still sealed under the key.
	ErrInUse = errors.New("keyring: the key is still in use")
	// ErrRoots says that a file which is read again has other roots: it belongs to another installation.
	ErrRoots = errors.New("keyring: the file now holds other roots, so no session or account index would match: put the right file back, or restart to take it")
)

// Rotate makes a new primary; the old one goes on opening what it has sealed, so nobody is signed
// out. If the ring has its own file, that is written before the new key is used, and keys that
// another process has made meanwhile are kept. Errors: [ErrNotOurs], [ErrBusy], those of writing.
func (r *Ring) Rotate(now time.Time) (KeyID, error) {
	var fresh KeyID
	err := r.update(func(s []slot) ([]slot, error) {
		for i := range s {
			if s[i].state == Primary {
				s[i].state = Enabled
			}
		}
		var err error
		s, fresh, err = r.addPrimary(s, now)
		return s, err
	})
	return fresh, err
}

// Revoke disables a key that may have leaked, and forgets its bytes: what it sealed does not open
// any more. The primary is rotated in the same step. A disabled key stays disabled. [ErrNoKey], and
// the errors of [Ring.Rotate].
func (r *Ring) Revoke(now time.Time, id KeyID) error {
	return r.update(func(s []slot) ([]slot, error) {
		i := slices.IndexFunc(s, func(k slot) bool { return k.id == id })
		if i < 0 {
			return nil, ErrNoKey
		}
		was := s[i].state
		s[i].state = Disabled
		if was != Primary {
			return s, nil
		}
		s, _, err := r.addPrimary(s, now)
		return s, err
	})
}

// Retire removes an enabled or disabled key. The caller has counted its uses (identities, values,
// verifiers, selectors, grants, log details); one that has any stays: [ErrInUse]. Age never
// retires a key. [ErrNoKey], [ErrPrimary], and the errors of [Ring.Rotate].
func (r *Ring) Retire(id KeyID, uses int) error {
	if uses != 0 {
		return fmt.Errorf("%w: %d things are sealed under %s", ErrInUse, uses, id)
	}
	return r.update(func(s []slot) ([]slot, error) {
		i := slices.IndexFunc(s, func(k slot) bool { return k.id == id })
		switch {
		case i < 0:
			return nil, ErrNoKey
		case s[i].state == Primary:
			return nil, ErrPrimary
		}
		return slices.Delete(s, i, i+1), nil
	})
}

// Reload reads the file of the ring again, so that changes of other processes are seen; a ring
// without a file stays as it is. If the file cannot be used the ring stays as it is too. [ErrRoots],
// and the errors of [Resolve].
func (r *Ring) Reload() error {
	if r == nil {
		return ErrNoKey
	}
	r.change.Lock()
	defer r.change.Unlock()
	if len(r.snapshot().usable) == 0 {
		return ErrNoKey
	}
	next, err := r.reread()
	if err == nil && next != nil {
		r.adopt(next)
	}
	return err
}

func (r *Ring) addPrimary(s []slot, now time.Time) ([]slot, KeyID, error) {
	k, err := NewKey(r.random)
	if err != nil {
		return nil, 0, err
	}
	return append(s, slot{newKey(k, now), Primary}), k.ID(), nil
}

// Rewrap writes the file of the ring anew, wrapped by w; nil: in the clear. It is how a file is wrapped
// for the first time and how another wrapping key, or a new version of one, takes the place of the old,
// which has to be there until then. The next [Resolve] must be given w. Keys stay as they are: nobody is
// signed out. [ErrNoFile], [ErrUnsafe], and the errors of [Ring.Rotate] and of w.
func (r *Ring) Rewrap(w Wrapper) error {
	if err := errors.Join(r.inFile(), checkApart(w, r.source.Path)); err != nil {
		return err
	}
	return r.rewrite(func(s *snapshot) (*snapshot, error) {
		next := *s
		next.wrapper = w
		return &next, nil
	})
}

// Discard removes the file of the ring and forgets the keys: what was sealed under them does not open
// any more, and every use of the ring fails. The next [Resolve] makes new keys with new roots. For keys
// from outside it does nothing but say so: [ErrNotOurs]. [ErrNoFile], [ErrBusy], those of removing.
func (r *Ring) Discard() error {
	if err := r.inFile(); err != nil {
		return err
	}
	return r.rewrite(func(*snapshot) (*snapshot, error) { return &noKeys, nil })
}

// inFile refuses a ring that has no file.
func (r *Ring) inFile() error {
	switch r.Source().Kind {
	case SourceEnvironment:
		return fmt.Errorf("%w: they stand in %s, unset or change it there", ErrNotOurs, EnvKey)
	case SourceFile, SourceOwn, SourceGenerated:
		return nil
	}
	return ErrNoFile
}

// update changes a copy of the slots.
func (r *Ring) update(change func([]slot) ([]slot, error)) error {
	return r.rewrite(func(s *snapshot) (*snapshot, error) {
		slots, err := change(slices.Clone(s.slots))
		if err != nil {
			return nil, err
		}
		next := newSnapshot(slots, s.index, s.audit)
		next.wrapper = s.wrapper
		return next, nil
	})
}

// rewrite makes another state of the newest one, keeps it where the ring is kept, and then takes it.
func (r *Ring) rewrite(change func(*snapshot) (*snapshot, error)) error {
	if r == nil {
		return ErrNoKey
	}
	r.change.Lock()
	defer r.change.Unlock()
	if len(r.snapshot().usable) == 0 {
		return ErrNoKey
	}
	path := r.source.Path
	switch r.source.Kind {
	case SourceEnvironment:
		return fmt.Errorf("%w: make one with `counterfoil key generate`, set %s to it and restart every node: that signs everybody out; a key file in %s can be rotated without", ErrNotOurs, EnvKey, EnvKeyFile)
	case SourceFile:
		return fmt.Errorf("%w: change %s where it is managed and let every node read it again", ErrNotOurs, path)
	case SourceOwn, SourceGenerated:
		unlock, err := lockFolder(path)
		if err != nil {
			return err
		}
		defer unlock()
	default:
		path = ""
	}
	s := r.snapshot()
	if path != "" {
		var err error
		if s, err = r.reread(); err != nil {
			return err
		}
	}
	next, err := change(s)
	if err != nil {
		return err
	}
	if path == "" {
		r.adopt(next)
		return nil
	}
	if err := r.replace(path, next); err != nil {
		return fmt.Errorf("key file %s is unchanged: %w", path, err)
	}
	r.adopt(next)
	if err := syncFolder(path); err != nil {
		return fmt.Errorf("key file %s is changed, but may not be safe on the disk yet: %w", path, err)
	}
	return nil
}

// replace writes the file; a state without keys has none.
func (r *Ring) replace(path string, next *snapshot) error {
	if next == &noKeys {
		return os.Remove(path)
	}
	data, err := next.encode(next.wrapper, r.random)
	if err != nil {
		return err
	}
	return writeOwn(path, data, os.Rename)
}

// reread reads the ring's file into a snapshot that shares the keys already in use, with what they
// have cached; nil if there is no file.
func (r *Ring) reread() (*snapshot, error) {
	var next *snapshot
	var err error
	old := r.snapshot()
	switch r.source.Kind {
	case SourceFile:
		next, err = loadNamed(r.source.Path, old.wrapper)
	case SourceOwn, SourceGenerated:
		next, err = loadOwn(r.source.Path, old.wrapper)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(old.index[:], next.index[:])&subtle.ConstantTimeCompare(old.audit[:], next.audit[:]) != 1 {
		return nil, fmt.Errorf("%w: %s", ErrRoots, r.source.Path)
	}
	for i, k := range next.slots {
		known := slices.IndexFunc(old.slots, func(o slot) bool { return o.id == k.id && o.state != Disabled })
		if known >= 0 {
			next.slots[i].key = old.slots[known].key
		}
	}
	return next, nil
}

// adopt makes next the ring's state, and forgets the bytes of keys that it does not use.
func (r *Ring) adopt(next *snapshot) {
	old := r.now.Swap(next)
	for _, k := range old.slots {
		if _, err := next.find(k.id); err != nil {
			k.erase()
		}
	}
}
