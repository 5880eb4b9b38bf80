// Package counterfoil issues, checks and ends HTTP sessions.
//
//	sessions, err := counterfoil.New(ctx, counterfoil.Config{Store: store, Keys: keys})
//	…
//	defer sessions.Close(ctx)
//	http.ListenAndServe(addr, sessions.Handler(mux))
//
// Inside a handler, s := sessions.FromContext(r.Context()) is the visitor's session, signed in or
// not:
//
//	s.Subject()                                              // who is signed in, "" for nobody
//	err := s.SignIn(counterfoil.Identity{Subject: "alice"})  // always a new session and token
//	items, err := Cart.Get(s)                                // var Cart = counterfoil.NewKey[[]Item]("cart")
//	err = Cart.Set(s, items)
//	err = s.SignOut()                                        // durable when it returns
//
// The server decides everything: a cookie holds a random selector and an encrypted generation
// number, no content. Sessions end by sign-out, by [Manager.Revoke], when idle, at their absolute
// end, and when a retired token comes back. Every check has three outcomes ([Verdict]): valid,
// invalid, and unknown, which is neither "let in" nor "signed out".
package counterfoil
