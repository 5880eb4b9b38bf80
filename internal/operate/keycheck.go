package operate

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/transfer"
	"github.com/counterfoil/counterfoil/keyring"
)

// metaKeyCheck is the key of a store's small value by which nodes see that they have one key.
const metaKeyCheck = "key-check"

// ErrOtherKey refuses a node whose key is not that of the others on its store.
var ErrOtherKey = errors.New("this node's key is not the one that the other nodes of this store have: what they seal it could not open, " +
	"and sessions of one user would be two users' to it. Put the same key file on all nodes and name it in " + keyring.EnvKeyFile + ". " +
	"If the key was replaced on purpose, stop all nodes and run: counterfoil session end --all --reset-key")

// keyCheck is made from a root that no rotation changes; nothing about that root can be learned from it.
func keyCheck(keys *keyring.Ring) []byte {
	h := hmac.New(sha256.New, keys.IndexKey()[:])
	h.Write([]byte("cf1 key check"))
	return h.Sum(nil)[:16]
}

// checkKeys compares the keys with those that the store was used with. A store of this node alone just
// learns the new ones: its own key file may have been lost.
func checkKeys(ctx context.Context, s counterfoil.Store, keys *keyring.Ring) error {
	ours := keyCheck(keys)
	for {
		known, err := s.Meta(ctx, metaKeyCheck)
		switch {
		case err != nil:
			return err
		case bytes.Equal(known, ours):
			return nil
		case known != nil && s.Capabilities().Shared:
			return ErrOtherKey
		}
		if err := s.SwapMeta(ctx, metaKeyCheck, known, ours); !errors.Is(err, counterfoil.ErrConflict) {
			return err
		}
	}
}

// ResetKey takes this node's key for the one of its store, and ends every session: none that was made
// under another key opens any more. Nothing may run on the store.
func ResetKey(ctx context.Context, p Place) (ended int, err error) {
	keys, _, err := resolveKeys(p)
	if err != nil {
		return 0, err
	}
	side, err := OpenStore(ctx, p, p.Config.Store)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, side.Sessions.Close()) }()
	if err := errors.Join(transfer.Usable(ctx, side.Sessions), transfer.Quiet(ctx, side, p.Clock, silence(p.Config), nil)); err != nil {
		return 0, err
	}
	if ended, err = transfer.EndAll(ctx, side.Sessions, p.Clock, counterfoil.ReasonRevoked); err != nil {
		return 0, err
	}
	return ended, transfer.SetMeta(ctx, side.Sessions, metaKeyCheck, keyCheck(keys))
}

// sharedKeyFindings compares the key with that of the other nodes, as a start does: the file may have
// been read again since.
func (o *Operations) sharedKeyFindings(ctx context.Context) []Finding {
	const check = "keys"
	if !o.Store.Capabilities().Shared {
		return nil
	}
	known, err := o.Store.Meta(ctx, metaKeyCheck)
	switch {
	case err != nil:
		return nil // the store's own finding says it
	case !bytes.Equal(known, keyCheck(o.Keys)):
		return []Finding{{check, LevelFault, "they are not those that the other nodes of this store have", "put the same key file on all nodes, and start this one again"}}
	}
	return []Finding{{check, LevelOK, "are those that the other nodes of this store have", ""}}
}
