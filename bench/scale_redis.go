package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	goredis "github.com/redis/go-redis/v9"
)

// redis fills a server and sweeps it. It is filled through the store, with the flushes left out; they
// are back before anything is measured.
func (p scalePlan) redis(w io.Writer) (goals []goal, err error) {
	s, err := newRedis("")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	f, err := p.fill(s)
	if err != nil {
		return nil, err
	}
	defer f.store.Close()
	ctx := context.Background()
	admin := goredis.NewClient(&goredis.Options{Network: "unix", Addr: s.way})
	defer admin.Close()
	used := func() (n float64, err error) {
		text, err := admin.Info(ctx, "memory").Result()
		_, after, _ := strings.Cut(text, "used_memory:")
		fmt.Sscan(after, &n)
		return n, err
	}
	empty, err := used()
	if err != nil {
		return nil, err
	}
	if err := admin.ConfigSet(ctx, "appendfsync", "no").Err(); err != nil {
		return nil, err
	}
	_, began := f.clock.Now()
	if err := p.multiplySlowly(f.store); err != nil {
		return nil, err
	}
	_, ended := f.clock.Now()
	if err := admin.ConfigSet(ctx, "appendfsync", "always").Err(); err != nil {
		return nil, err
	}
	full, err := used()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "%s\n%d sessions, signed in in %v\n", s.about, p.sessions, short(ended-began))
	fmt.Fprintf(w, "  a session takes %.0f B with its indexes and its line in the log\n", (full-empty)/float64(p.sessions-firstSessions))
	if err := f.touch(w, nil); err != nil {
		return nil, err
	}
	goals, err = f.goals(w)
	return goals, errors.Join(err, f.everything(w))
}

// multiplySlowly creates sessions like those that were signed in, by many at once.
func (p scalePlan) multiplySlowly(store counterfoil.Store) error {
	ctx := context.Background()
	now, _ := counterfoil.SystemClock().Now()
	like, err := store.Scan(ctx, counterfoil.ID{}, cycled)
	if err != nil {
		return err
	}
	page, err := store.Log(ctx, 0, cycled)
	if err != nil {
		return err
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for range cap(errs) {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(p.sessions-firstSessions); i = next.Add(1) {
				r := like[i%cycled].Clone()
				rand.Read(r.ID[:])
				rand.Read(r.Subject[:])
				if i <= int64(p.expired) {
					r.Seen = now.Add(-24*time.Hour + time.Duration(i)*time.Millisecond)
					r.IdleEnd = r.Seen
				}
				e := page.Entries[i%cycled]
				rand.Read(e.Op[:])
				if _, err := store.Create(ctx, r, counterfoil.Creation{Entry: e}); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}
