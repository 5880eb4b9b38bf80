package counterfoil_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// Races between requests, on several nodes, against each store.

// several lets more than one manager of this process write to a store.
type several struct{ counterfoil.Store }

func (s several) Capabilities() counterfoil.Capabilities {
	c := s.Store.Capabilities()
	c.Shared = true
	return c
}

// eachStore runs f with two nodes on each kind of store.
func eachStore(t *testing.T, f func(*testing.T, *cluster), edit ...func(*counterfoil.Config)) {
	for name, open := range map[string]func(*testing.T) (counterfoil.Store, error){
		"memory": func(*testing.T) (counterfoil.Store, error) { return memory.New(memory.Options{}), nil },
		"sqlite": func(t *testing.T) (counterfoil.Store, error) {
			return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "data", "sessions.db"), sqlite.Options{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			c, err := startCluster(2, several{store}, edit...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := errors.Join(c.close(), store.Close()); err != nil {
					t.Error(err)
				}
			})
			f(t, c)
		})
	}
}

// ends are the ways in which somebody wills an end, through the second node.
var ends = map[string]func(context.Context, *cluster, string) error{
	"sign-out": func(_ context.Context, c *cluster, token string) error {
		if w := c.nodes[1].at("POST", "/logout", token); w.Code != http.StatusOK {
			return fmt.Errorf("sign-out: %d", w.Code)
		}
		return nil
	},
	"one": func(ctx context.Context, c *cluster, token string) error {
		_, err := c.nodes[1].m.Revoke(ctx, counterfoil.ByID(sessionOf(token)), counterfoil.ReasonRevoked)
		return err
	},
	"all of a subject": func(ctx context.Context, c *cluster, _ string) error {
		_, err := c.nodes[1].m.Revoke(ctx, counterfoil.AllOf("alice"), counterfoil.ReasonDisabled)
		return err
	},
	"everything": func(ctx context.Context, c *cluster, _ string) error {
		_, err := c.nodes[1].m.Revoke(ctx, counterfoil.Everything(), counterfoil.ReasonRevoked)
		return err
	},
}

// wantDead looks at a token everywhere, once every node must know.
func (c *cluster) wantDead(t *testing.T, token string) {
	t.Helper()
	if c.live(t, token) {
		t.Error("the record is there again")
	}
	wantUser(t, c.nodes[1], token, "") // at once, where the end was acknowledged
	c.clock.Advance(lease)
	for _, n := range c.nodes {
		wantUser(t, n, token, "")
	}
}

// A request in flight that writes must not bring an ended session back.
func TestG2WriteAgainstEnd(t *testing.T) { // T13, S31, F19
	for how, end := range ends {
		for _, path := range []string{"/count", "/note/late"} {
			for _, at := range []string{"Load", "Load/answer", "Update", "Update/answer"} {
				t.Run(how+path+" "+at, func(t *testing.T) {
					eachStore(t, func(t *testing.T, c *cluster) {
						token := c.nodes[0].signIn(t, "alice")
						x := c.nodes[0].begin("POST", path, sessionCookie+"="+token, func(x *exchange) { x.hold = at })
						if x.at != at {
							t.Fatalf("waits at %q", x.at)
						}
						if err := end(t.Context(), c, token); err != nil {
							t.Fatal(err)
						}
						x.goOn()
						for x.at != "" {
							x.goOn()
						}
						if x.w.Code >= 500 {
							t.Errorf("a write into an ended session is answered with %d", x.w.Code)
						}
						if at == "Update" && x.w.Code == http.StatusOK {
							t.Error("the write was acknowledged")
						}
						c.wantDead(t, token)
					})
				})
			}
		}
	}
}

// The same without gates: many writers at full speed.
func TestG2WritersAgainstSignOut(t *testing.T) { // S31
	eachStore(t, func(t *testing.T, c *cluster) {
		for range 10 {
			token := c.nodes[0].signIn(t, "alice")
			parallel(9, func(i int) {
				if i == 4 {
					c.nodes[1].at("POST", "/logout", token)
					return
				}
				c.nodes[i%2].at("POST", "/count", token)
			})
			c.wantDead(t, token)
		}
	})
}

// A read that was under way while the session ended must not be kept, nor admit anyone.
func TestG2CacheFillAgainstEnd(t *testing.T) { // R11
	for how, end := range ends {
		for at := range 2 {
			for _, presented := range []string{"current", "new"} {
				if how == "sign-out" && at == 1 && presented == "current" {
					continue // it would wait for that very read
				}
				t.Run(fmt.Sprintf("%s, node %d, %s generation", how, at, presented), func(t *testing.T) {
					eachStore(t, func(t *testing.T, c *cluster) {
						warm := c.nodes[1-at].signIn(t, "alice") // not in the other's cache
						token := warm
						if presented == "new" {
							c.clock.Advance(rotate + time.Second)
							wantUser(t, c.nodes[0], token, "alice") // the former one is in both
							token = c.nodes[1].get("/me", token).given()
						}
						x := c.nodes[at].get("/me", token, func(x *exchange) { x.hold = "Load/answer" })
						if x.at != "Load/answer" {
							t.Fatalf("waits at %q", x.at)
						}
						if err := end(t.Context(), c, warm); err != nil {
							t.Fatal(err)
						}
						if at == 0 {
							c.clock.Advance(lease) // this node reads of the end meanwhile
						}
						if x.goOn(); x.body() != "" {
							t.Error("admitted by a read from before the end")
						}
						c.wantDead(t, token)
					})
				})
			}
		}
	}
}

// Touches that were waiting do not bring an ended session back, nor keep it.
func TestG2TouchAgainstEnd(t *testing.T) { // R12, P52, PD10
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			eachStore(t, func(t *testing.T, c *cluster) {
				token := c.nodes[0].signIn(t, "alice")
				c.clock.Advance(31 * time.Second)
				wantUser(t, c.nodes[0], token, "alice") // to be written in a second
				if err := end(t.Context(), c, token); err != nil {
					t.Fatal(err)
				}
				c.clock.Advance(2 * time.Second)
				c.wantDead(t, token)
			})
		})
	}
}

// A sign-in with an old password that overlaps the change of it must not survive.
func TestG2PasswordChangeAgainstSignIn(t *testing.T) { // R14, S4
	for epoch, stands := range map[uint64]bool{0: false, 1: false, 2: true} {
		for _, at := range []string{"", "Create"} {
			t.Run(fmt.Sprintf("epoch %d, waits at %q", epoch, at), func(t *testing.T) {
				eachStore(t, func(t *testing.T, c *cluster) {
					mark, err := c.nodes[0].m.Mark(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					var got error
					begin := func() *exchange {
						return c.nodes[0].begin("POST", "/", "", func(x *exchange) {
							x.hold = at
							x.h = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
								s := c.nodes[0].m.FromContext(r.Context())
								got = s.SignIn(counterfoil.Identity{Subject: "alice", Since: mark, Epoch: epoch})
							})
						})
					}
					var x *exchange
					if at != "" {
						x = begin()
					}
					if _, err := c.nodes[1].m.Revoke(t.Context(), counterfoil.AllOf("alice").Before(2), counterfoil.ReasonPasswordChanged); err != nil {
						t.Fatal(err)
					}
					if at == "" {
						x = begin()
					}
					x.goOn()
					if stands {
						if got != nil {
							t.Fatal(got)
						}
						wantUser(t, c.nodes[1], x.given(), "alice")
					} else if !errors.Is(got, counterfoil.ErrSuperseded) || x.given() != "" {
						t.Errorf("%v, cookie %v; want ErrSuperseded and none", got, x.given() != "")
					}
				})
			})
		}
	}
}

// However many sign in at once, no more than the limit are in afterwards.
func TestG2LimitAgainstSignIns(t *testing.T) { // SD5, S37
	for _, order := range []counterfoil.Overflow{counterfoil.EvictIdle, counterfoil.EvictOldest, counterfoil.Deny} {
		t.Run(order.String(), func(t *testing.T) {
			eachStore(t, func(t *testing.T, c *cluster) {
				tokens := make([]string, 50)
				parallel(50, func(i int) {
					for _, k := range c.nodes[i%2].at("POST", "/login/alice", "").Result().Cookies() {
						if k.Name == sessionCookie {
							tokens[i] = k.Value
						}
					}
				})
				c.clock.Advance(lease)
				in, seen := 0, map[string]bool{"": true}
				for i, token := range tokens {
					if token == "" {
						continue
					}
					if seen[token[:21]] {
						t.Error("two sign-ins have one session")
					}
					seen[token[:21]] = true
					if c.nodes[(i+1)%2].at("GET", "/me", token).Body.String() == "alice" {
						in++
					}
				}
				if in != 3 {
					t.Errorf("%d sessions are in, want 3", in)
				}
			}, func(cfg *counterfoil.Config) { cfg.Policy.PerSubject, cfg.Policy.AtLimit = 3, order },
			)
		})
	}
}

// The same new generation presented to two nodes is confirmed once, and both are let in.
func TestG5ConfirmAgainstConfirm(t *testing.T) { // R2.2
	for _, at := range []string{"Load/answer", "Update", "Update/answer"} {
		t.Run(at, func(t *testing.T) {
			eachStore(t, func(t *testing.T, c *cluster) {
				token := c.nodes[0].signIn(t, "alice")
				next := c.next(t, c.nodes[0], token)
				x := c.nodes[0].get("/me", next, func(x *exchange) { x.hold = at })
				if x.at != at {
					t.Fatalf("waits at %q", x.at)
				}
				wantUser(t, c.nodes[1], next, "alice")
				if x.goOn(); x.body() != "alice" {
					t.Errorf("the slower one was refused: %d", x.w.Code)
				}
				parallel(20, func(i int) {
					if w := c.nodes[i%2].at("GET", "/me", next); w.Body.String() != "alice" {
						t.Errorf("refused: %d", w.Code)
					}
				})
				if got := c.happened(counterfoil.EventChanged, counterfoil.ReasonRotated); got != 1 {
					t.Errorf("confirmed %d times", got)
				}
			})
		})
	}
}

// Parallel requests of one session lose nothing, whichever nodes they come to.
func TestG5NoLostUpdate(t *testing.T) { // PD9
	eachStore(t, func(t *testing.T, c *cluster) {
		token := c.nodes[0].signIn(t, "alice")
		parallel(2, func(n int) {
			for range 100 {
				code := http.StatusConflict // too many at once: tried again
				for code == http.StatusConflict {
					code = c.nodes[n].at("POST", "/count", token).Code
				}
				if code != http.StatusOK {
					t.Errorf("%d", code)
				}
			}
		})
		if got := len(c.nodes[0].get("/count", token).body()); got != 200 {
			t.Errorf("%d of 200 additions are there", got)
		}
	})
}

// reads is a handler that reads a value.
func reads(n *node, text *string) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var err error
		if *text, err = note.Get(n.m.FromContext(r.Context())); err != nil {
			*text = err.Error()
		}
	})
}

// Two requests that set different keys both win, in whichever order they end.
func TestG5DifferentKeysBothWin(t *testing.T) { // PD9
	for _, at := range []string{"Load", "Load/answer", "Update", "Update/answer"} {
		t.Run(at, func(t *testing.T) {
			eachStore(t, func(t *testing.T, c *cluster) {
				token := c.nodes[0].signIn(t, "alice")
				cookie := sessionCookie + "=" + token
				x := c.nodes[0].begin("POST", "/note/hello", cookie, func(x *exchange) { x.hold = at })
				if w := c.nodes[1].begin("POST", "/count", cookie); w.w.Code != http.StatusOK {
					t.Fatal(w.w.Code)
				}
				if x.goOn(); x.w.Code != http.StatusOK {
					t.Fatal(x.w.Code)
				}
				var text string
				c.nodes[1].begin("GET", "/", cookie, func(x *exchange) { x.h = reads(c.nodes[1], &text) })
				if got := c.nodes[1].get("/count", token).body(); got != "I" || text != "hello" {
					t.Errorf("count %q, note %q", got, text)
				}
			})
		})
	}
}
