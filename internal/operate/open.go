package operate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"syscall"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/transfer"
	"github.com/counterfoil/counterfoil/keyring"
)

// Installation is what a data folder holds, open.
type Installation struct {
	Store    counterfoil.Store
	Side     transfer.Side // the same with what is kept beside it, as a whole
	Accounts *account.Service
	Keys     *keyring.Ring
	Node     string // among those that share the store; "": there are none
	Replaced bool   // keys were made although the store has a past: all its sessions are lost
}

// Place says where an installation is and what it works with.
type Place struct {
	Config *config.Config
	Env    func(string) (string, bool) // for keys; os.LookupEnv in a program
	Clock  counterfoil.Clock
	Logger *slog.Logger
}

// PrepareFolder makes the data folder, with mode 0700, or checks that it is ours alone.
func PrepareFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the data folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("the data folder: %w", err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return fmt.Errorf("the data folder %s is owned by user number %d, not by us (%d); run as that user or name another folder with --data", dir, owner, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("the data folder %s has mode %04o, so others can look in; run: chmod 700 %s", dir, mode, dir)
	}
	return nil
}

// resolveKeys finds the keys, or makes them where they are this node's alone.
func resolveKeys(p Place) (keys *keyring.Ring, source keyring.Source, err error) {
	now, _ := p.Clock.Now()
	ownKeys := p.Config.Path("keys")
	if sharedStore(p.Config.Store) {
		ownKeys = "" // which no other node has
		if p.Config.EphemeralKey {
			return nil, source, ErrNoSharedKey
		}
	}
	keys, source, err = keyring.Resolve(keyring.Options{
		Env: p.Env, OwnPath: ownKeys, Ephemeral: p.Config.EphemeralKey, Now: now,
	})
	if errors.Is(err, keyring.ErrNoSource) {
		return nil, source, ErrNoSharedKey
	}
	if err == nil {
		p.Logger.Info("keys", "from", source.String(), "fingerprint", keys.Fingerprint())
	}
	return keys, source, err
}

// Open opens an installation. The caller holds its lock.
func Open(ctx context.Context, p Place) (_ *Installation, err error) {
	keys, source, err := resolveKeys(p)
	if err != nil {
		return nil, err
	}
	side, err := OpenStore(ctx, p, p.Config.Store)
	if err != nil {
		return nil, err
	}
	store := side.Sessions
	i := &Installation{Store: store, Side: side, Keys: keys}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	if err := transfer.Usable(ctx, store); err != nil {
		return nil, fmt.Errorf("the store %s: %w", side.Name, err)
	}
	if err := checkKeys(ctx, store, keys); err != nil {
		return nil, err
	}
	if i.Node, err = NodeName(p.Config); err != nil {
		return nil, err
	}
	if i.Accounts, err = account.NewService(account.Config{Store: side.Accounts, Clock: p.Clock}); err != nil {
		return nil, err
	}
	if source.Kind == keyring.SourceGenerated {
		page, err := store.Log(ctx, 0, 0)
		if err != nil && !errors.Is(err, counterfoil.ErrGap) {
			return nil, err
		}
		i.Replaced = page.Head > 0
	}
	if i.Replaced {
		p.Logger.Warn("keys.replaced: the key file was missing and a new one was made; everybody is signed out, accounts are as they were. "+
			"If the old file turns up, stop and put it back", "file", source.Path)
	}
	return i, nil
}

// ErrNoSharedKey refuses a store of several nodes with a key that only this one has.
var ErrNoSharedKey = errors.New("a store that several nodes share needs a key that they share: put what `counterfoil key generate` prints " +
	"into a file and name it in " + keyring.EnvKeyFile + ", the same for all nodes")

// Exists reports whether there is a data folder.
func Exists(dir string) (bool, error) {
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Event returns what the audit is told of the keys that were replaced.
func (i *Installation) Event() counterfoil.Event {
	return counterfoil.Event{Kind: counterfoil.EventKeys, Reason: counterfoil.ReasonReplaced}
}
