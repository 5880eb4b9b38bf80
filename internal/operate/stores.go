package operate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/internal/transfer"
	"github.com/counterfoil/counterfoil/internal/wait"
	"github.com/counterfoil/counterfoil/store/blob"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// sharedStore reports whether nodes on other machines may use the same store.
func sharedStore(dsn string) bool {
	scheme, _, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "postgres", "postgresql", "redis", "rediss", "unix", "file", "s3", "gs", "azblob":
		return true
	}
	return false
}

// StoreName is the DSN without what is secret in it, or may be: the user, and options that no store has.
func StoreName(dsn string) string {
	scheme, _, _ := strings.Cut(dsn, ":")
	switch {
	case scheme == "postgres" || scheme == "postgresql":
		return postgres.Redact(dsn)
	case !sharedStore(dsn):
		return dsn
	}
	u, err := url.Parse(dsn)
	if err != nil || u.User == nil && strings.Contains(dsn, "@") { // a password that a URL cannot have as it stands
		return scheme + ":…"
	}
	options := u.Query()
	maps.DeleteFunc(options, func(name string, _ []string) bool {
		return !slices.Contains([]string{"account", "db", "endpoint", "path_style", "region"}, name)
	})
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawQuery: options.Encode()}).String()
}

// The pauses between two tries to reach a store.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 5 * time.Second
	lastTry    = 500 * time.Millisecond // what the last one gets
)

// OpenStore opens the store that the DSN names, and no other if that fails. One that does not answer
// is asked again, ever more slowly, for as long as the configuration says; each failure is logged
// once. [ErrUnreachable] if it never did.
func OpenStore(ctx context.Context, p Place, dsn string) (transfer.Side, error) {
	name := StoreName(dsn)
	ctx, cancel := context.WithTimeout(ctx, p.Config.StoreWait)
	defer cancel()
	_, begin := p.Clock.Now()
	var why error // of the last try that was not broken off
	for tries, pause := 1, firstPause; ; tries, pause = tries+1, min(2*pause, maxPause) {
		side, err := openStore(ctx, p, dsn)
		if err == nil {
			side.Name = name
			if can := side.Sessions.Capabilities(); can.Shared && !can.Durable {
				p.Logger.Warn("the store is not durable: a crash of its server may lose accounts and sign-ins and bring back what was ended; `counterfoil doctor` names the setting", "store", name)
			}
			return side, nil
		}
		err = fmt.Errorf("the store %s: %w", name, err)
		if !errors.Is(err, counterfoil.ErrUnavailable) && ctx.Err() == nil {
			return transfer.Side{}, err
		}
		if why == nil || ctx.Err() == nil {
			why = err
		}
		_, now := p.Clock.Now()
		if left := p.Config.StoreWait - (now - begin) - lastTry; ctx.Err() == nil && left > 0 {
			p.Logger.Info("the store does not answer; trying again", "try", tries, "in", min(pause, left).String(), "error", err)
			if wait.For(ctx, p.Clock, min(pause, left)) == nil {
				continue
			}
		}
		return transfer.Side{}, errors.Join(&refusal{ErrUnreachable,
			fmt.Sprintf("the store %s does not answer (%d tries in %v): start it, or look at --store and the network; --store-wait says how long a start waits", name, tries, (now - begin).Round(100*time.Millisecond))}, why)
	}
}

func openStore(ctx context.Context, p Place, dsn string) (transfer.Side, error) {
	switch scheme, path, _ := strings.Cut(dsn, ":"); scheme {
	case "memory":
		p.Logger.Warn("store memory: sessions and accounts are lost when this process ends")
		return transfer.Side{Sessions: memory.New(memory.Options{}), Accounts: memaccount.New()}, nil
	case "postgres", "postgresql":
		s, err := postgres.Open(ctx, dsn, postgres.Options{})
		if err != nil {
			return transfer.Side{}, err
		}
		return transfer.Side{Sessions: s, Accounts: s.Accounts()}, nil
	case "redis", "rediss", "unix":
		s, err := redis.Open(ctx, dsn, redis.Options{})
		if err != nil {
			return transfer.Side{}, err
		}
		return transfer.Side{Sessions: s, Accounts: s.Accounts()}, nil
	case "file", "s3", "gs", "azblob":
		s, err := blob.Open(ctx, dsn, blob.Options{Clock: p.Clock})
		if err != nil {
			return transfer.Side{}, err
		}
		return transfer.Side{Sessions: s, Accounts: s.Accounts()}, nil
	default:
		s, err := sqlite.Open(ctx, path, sqlite.Options{})
		if err != nil {
			return transfer.Side{}, err
		}
		return transfer.Side{Sessions: s, Accounts: s.Accounts()}, nil
	}
}
