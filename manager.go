package counterfoil

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// Manager issues, checks and ends sessions. It is safe for use by many goroutines. Several may share
// a process and a request: each has its own cookies and finds its own session in a context.
type Manager struct {
	store      Store // metered
	keys       *keyring.Ring
	keyReader  keyReader
	macs       macs
	policy     Policy
	cookies    cookies
	realm      string
	valueBytes int

	refuse     func(http.ResponseWriter, *http.Request, error)
	observer   func(Event)
	background *background
	backdrop   func(*http.Request) bool
	clientIP   func(*http.Request) netip.Addr
	log        *slog.Logger
	clock      *sessionClock
	random     io.Reader

	storeID     []byte
	shared      bool      // others write to the store too: values must not be cached, and nodes wait for each other
	noValues    valueSet  // what every session without values has; empty and never changed
	rooms       sync.Pool // of *[sealRoom]byte: what is filled, sealed and forgotten
	leaseLength time.Duration
	lease       *lease
	cache       *nearCache
	toucher     toucher
	denied      denied
	watches     watches
	flood       *flood
	reaper      reaper
	saved       savedTime
	skew        skew
	shutOut     shutOut
	metered     *metered
	lag         lag
	hints       hints
	outages     outages
}

// New checks cfg, reaches the store (ctx bounds that) and starts the poller, the toucher and the
// reaper. All faults of cfg are reported at once. The store must outlive the manager.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	lease := cfg.Lease
	if lease == 0 {
		lease = 5 * time.Second
	}
	policy := cfg.Policy.withDefaults(lease)
	cookies, cookieErr := newCookies(cfg.Cookie)
	if err := errors.Join(cfg.check(lease), policy.check(lease), cookieErr); err != nil {
		return nil, err
	}
	m := &Manager{
		keys: cfg.Keys, policy: policy, cookies: cookies, realm: cfg.Realm,
		valueBytes: cfg.ValueBytes, refuse: cfg.Refuse, observer: cfg.Observe, backdrop: cfg.Background,
		clientIP: cfg.ClientIP, log: cfg.Logger, random: cfg.Random,
		leaseLength: lease, lease: newLease(lease), flood: newFlood(),
		noValues: valueSet{}, shared: cfg.Store.Capabilities().Shared,
	}
	clock := cfg.Clock
	if clock == nil {
		clock = SystemClock()
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	if m.random == nil {
		m.random = rand.Reader
	}
	if m.realm == "" {
		m.realm = cookies.session
	}
	if m.valueBytes == 0 {
		m.valueBytes = 64 << 10
	}
	if m.clientIP == nil {
		m.clientIP = peerIP
	}
	if m.refuse == nil {
		m.refuse = refusePlainly
	}
	bytes := cfg.CacheBytes
	if bytes == 0 {
		bytes = 64 << 20
	}
	m.metered = &metered{Store: cfg.Store, clock: clock}
	m.store = m.metered
	m.cache = newNearCache(bytes)
	m.macs.keys, m.macs.learn = cfg.Keys, m.learnKeys
	m.keyReader.usable = cfg.Keys.Usable()
	if m.skew.allowed = cfg.Skew; cfg.Skew == 0 {
		m.skew.allowed = 10 * time.Second
	}
	m.toucher.pending = make(map[ID]Touch)
	m.watches.byID = make(map[ID]map[*watch]struct{})
	m.background = newBackground(clock)

	if err := m.reach(ctx, clock); err != nil {
		m.background.close() // a poll may have been put off
		return nil, err
	}
	if cfg.Cookie.Insecure {
		m.log.Warn("session cookies travel over plain http: for development on this machine only")
	}
	m.pollForever()
	if from, can := cfg.Store.(Hinter); can && m.shared {
		m.background.after(0, func() { m.listen(from) })
	}
	m.reapForever(m.jitter(30 * time.Second))
	return m, nil
}

func (c *Config) check(lease time.Duration) error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("counterfoil: config: "+format, args...))
		}
	}
	fault(c.Store == nil, "Store is missing; package store/memory or store/sqlite has one")
	fault(c.Keys == nil, "Keys are missing; keyring.Resolve finds or makes them")
	fault(lease < time.Second || lease > maxLease, "Lease is %v; it must be 1s to 60s", lease)
	fault(c.Skew != 0 && (c.Skew < 100*time.Millisecond || c.Skew > time.Minute), "Skew is %v; it must be 100ms to 60s", c.Skew)
	fault(c.ValueBytes < 0 || c.ValueBytes > 16<<20, "ValueBytes is %d; it must be 1 to 16 MiB", c.ValueBytes)
	fault(len(c.Realm) > 255, "Realm is longer than 255 bytes")
	return errors.Join(errs...)
}

// reach asks the store for what must be known before the first request.
func (m *Manager) reach(ctx context.Context, clock Clock) (err error) {
	if m.storeID, err = m.namedStore(ctx); err != nil {
		return fmt.Errorf("counterfoil: the store cannot be reached: %w", err)
	}
	seen, err := m.join(ctx, clock)
	if err != nil {
		return err
	}
	if m.clock, err = m.startClock(ctx, clock, seen); err == nil {
		if err = m.renewLease(ctx); err != nil {
			err = fmt.Errorf("counterfoil: the store's log cannot be read: %w", err)
		}
	}
	if err != nil {
		_ = m.leave(ctx) // it is not coming: at worst somebody waits once
	}
	return err
}

// MetaStoreID is the key of a store's small value that every seal in it is bound to, 16 random bytes:
// records open only in a store that has the same.
const MetaStoreID = "store-id"

// namedStore returns the store's identity; the first to ask makes it.
func (m *Manager) namedStore(ctx context.Context) ([]byte, error) {
	const key = MetaStoreID
	for {
		id, err := m.store.Meta(ctx, key)
		if err != nil || len(id) == 16 {
			return id, err
		}
		if id != nil {
			return nil, fmt.Errorf("the store's identity has %d bytes, not 16", len(id))
		}
		fresh := make([]byte, 16)
		if _, err := io.ReadFull(m.random, fresh); err != nil {
			return nil, err
		}
		if err := m.store.SwapMeta(ctx, key, nil, fresh); err != nil && !errors.Is(err, ErrConflict) {
			return nil, err
		}
	}
}

// Close writes pending touches and ends, waits for everything New started, and leaves the nodes that share
// the store. The store stays open; a request still under way may fail.
func (m *Manager) Close(ctx context.Context) error {
	m.background.close()
	m.hints.swap(nil)
	m.watches.close()
	ends := m.endAllDenied(ctx)
	err := m.writeTouches(ctx)
	if err != nil {
		err = fmt.Errorf("counterfoil: the last touches were not written; idle ends may come early: %w", err)
	}
	return errors.Join(ends, err, m.leave(ctx))
}

func (m *Manager) observe(e Event) {
	if m.observer != nil {
		m.observer(e)
	}
}

// jitter returns a little less than d, so that nodes do not act together.
func (m *Manager) jitter(d time.Duration) time.Duration {
	var b [1]byte
	if _, err := io.ReadFull(m.random, b[:]); err != nil {
		return d
	}
	return d - d/10*time.Duration(b[0])/255
}

// subjectHash names a subject in the store's index.
func (m *Manager) subjectHash(subject string) (h SubjectHash) {
	if subject == "" {
		return h
	}
	text := append(make([]byte, 0, 128), "cf1 subject "...)
	text = strconv.AppendInt(text, int64(len(m.realm)), 10)
	text = append(append(append(text, ' '), m.realm...), subject...)
	sum := m.macs.sum(m.keys.IndexKey(), text)
	copy(h[:], sum[:])
	return h
}

func peerIP(r *http.Request) netip.Addr {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap()
}

// address is the client's, for lists and events; "" if it is not known.
func (m *Manager) address(r *http.Request) string {
	if a := m.clientIP(r); a.IsValid() {
		return a.String()
	}
	return ""
}

func isLoopback(r *http.Request) bool {
	a := peerIP(r)
	return a.IsLoopback() || !a.IsValid() && strings.HasPrefix(r.RemoteAddr, "@") // a unix socket's peer
}
