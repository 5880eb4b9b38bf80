package operate

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// MetaKeyCheck is the key of a store's small value by which nodes see that they have one key.
const MetaKeyCheck = "key-check"

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
		known, err := s.Meta(ctx, MetaKeyCheck)
		switch {
		case err != nil:
			return err
		case bytes.Equal(known, ours):
			return nil
		case known != nil && s.Capabilities().Shared:
			return ErrOtherKey
		}
		if err := s.SwapMeta(ctx, MetaKeyCheck, known, ours); !errors.Is(err, counterfoil.ErrConflict) {
			return err
		}
	}
}
