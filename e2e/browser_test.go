package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one profile of a real Chromium, with one tab.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the console complained of
}

// openBrowser starts Chromium with an empty profile.
func openBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{
		chromedp.Flag("headless", "new"),
		chromedp.NoSandbox, // the tests may run as root
		chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-gpu-watchdog", true), // which takes a busy machine for a hang
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.WindowSize(1100, 900),
	}, more...)
	all, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	return newBrowser(t, all)
}

// profile opens another profile: it shares nothing with the first but the process.
func (b *browser) profile() *browser {
	b.t.Helper()
	return newBrowser(b.t, b.ctx, chromedp.WithNewBrowserContext())
}

func newBrowser(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *browser {
	t.Helper()
	b := &browser{t: t}
	ctx, end := chromedp.NewContext(parent, options...)
	b.ctx = ctx
	t.Cleanup(func() {
		within, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		chromedp.Cancel(within) // waits for the process
		end()
	})
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	t.Cleanup(b.quiet)
	return b
}

// listen keeps what the console complains of: refusals of the content policy among them, but not the
// remark that an answer had a status of 4xx or 5xx.
func (b *browser) listen(event any) {
	problem := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if l := e.Entry.Level.String(); l != "error" && l != "warning" || strings.HasPrefix(e.Entry.Text, "Failed to load resource: the server responded with a status of") {
			return
		}
		problem = fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	case *runtime.EventConsoleAPICalled:
		problem = "console." + e.Type.String()
	case *runtime.EventExceptionThrown:
		problem = e.ExceptionDetails.Text
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, problem)
}

// quiet fails the test if the console complained.
func (b *browser) quiet() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("the browser's console: %s", p)
	}
	b.problems = nil
}

// within bounds one step.
func (b *browser) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, patience)
}

// get runs an action for its value.
func get[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%v\nat %s", err, b.at())
	}
	return v
}

// eval returns the value of an expression in the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](expression))
}

// leads does what leads to another page, waits for that, and returns its status. A page that says to try
// again, because the store is slow, is loaded again, posted as it was.
func (b *browser) leads(steps ...chromedp.Action[chromedp.Void]) int {
	b.t.Helper()
	return b.again(b.once(steps...))
}

// again loads a page again while its status is that one should try again, and returns the last.
func (b *browser) again(status int) int {
	b.t.Helper()
	const pause = time.Second
	for range patience / pause {
		if status != http.StatusServiceUnavailable {
			return status
		}
		time.Sleep(pause)
		status = b.once(chromedp.Reload())
	}
	b.t.Fatalf("the page at %s says to try again all the while", b.at())
	return 0
}

// once is leads for a page that may say to try again.
func (b *browser) once(steps ...chromedp.Action[chromedp.Void]) int {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		b.t.Fatalf("%v\nat %s", err, b.at())
	}
	if answer == nil {
		return 0
	}
	return int(answer.Status)
}

// at says where the browser is.
func (b *browser) at() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	where, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return where
}

func (b *browser) open(url string) int {
	b.t.Helper()
	return b.leads(chromedp.Navigate(url))
}

// click presses what leads to another page.
func (b *browser) click(selector chromedp.CSS) int {
	b.t.Helper()
	return b.leads(chromedp.Click(selector))
}

// back is the browser's back button. It waits until there is a page, which the browser may have kept.
func (b *browser) back(heading string) {
	b.t.Helper()
	eval[bool](b, "window.left = true")
	h := call(b, page.GetNavigationHistory, cdp.Empty{})
	call(b, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: h.Entries[h.CurrentIndex-1].ID})
	ctx, cancel := b.within()
	defer cancel()
	there := chromedp.Evaluate[bool](`!window.left && document.readyState === "complete"`)
	for arrived := false; !arrived; time.Sleep(20 * time.Millisecond) {
		arrived, _ = chromedp.Run(ctx, there) // fails while one page gives way to the next
		if ctx.Err() != nil {
			b.t.Fatalf("the back button leads nowhere from %s", b.at())
		}
	}
	b.again(b.status())
	b.on(heading)
}

// fill types into fields: pairs of selector and text.
func (b *browser) fill(pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		field := chromedp.CSS(pairs[i])
		get(b, chromedp.Steps(chromedp.Clear(field), chromedp.SendKeys(field, pairs[i+1])))
	}
}

// text is what an element shows.
func (b *browser) text(selector chromedp.CSS) string {
	b.t.Helper()
	return strings.TrimSpace(get(b, chromedp.Text(selector)))
}

func (b *browser) value(selector chromedp.CSS) string {
	b.t.Helper()
	return get(b, chromedp.Value(selector))
}

// arrives waits until the browser is somewhere under a URL, with the page loaded.
func (b *browser) arrives(url string) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	ask := chromedp.Evaluate[bool](fmt.Sprintf(`location.href.startsWith(%q) && document.readyState === "complete"`, url))
	for there := false; !there; time.Sleep(20 * time.Millisecond) {
		there, _ = chromedp.Run(ctx, ask) // fails while one page gives way to the next
		if ctx.Err() != nil {
			b.t.Fatalf("at %s, not at %s", b.at(), url)
		}
	}
	b.again(b.status())
}

// status is that with which the page was answered.
func (b *browser) status() int {
	b.t.Helper()
	return eval[int](b, `performance.getEntriesByType("navigation")[0].responseStatus`)
}

// wait gives what must become true its time.
func (b *browser) wait(happened func() bool) bool {
	for end := time.Now().Add(patience); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// count is how many elements match.
func (b *browser) count(selector string) int {
	b.t.Helper()
	return eval[int](b, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// on checks where the browser is, by the page's heading.
func (b *browser) on(heading string) {
	b.t.Helper()
	if h := eval[string](b, `document.querySelector("h1")?.innerText ?? ""`); h != heading {
		b.t.Fatalf("on the page %q at %s, want %q", h, b.at(), heading)
	}
}

// signedIn starts a server, and a browser there in which alice has just signed in.
func signedIn(t *testing.T, args ...string) (*server, *browser) {
	t.Helper()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir, args...)
	b := openBrowser(t)
	b.open(s.URL + "/")
	b.signIn("alice", passphrase)
	return s, b
}

// signIn fills in the sign-in page that the browser is on.
func (b *browser) signIn(name, password string) int {
	b.t.Helper()
	b.fill("#username", name, "#password", password)
	return b.click("main form button")
}

// setUp makes the first account, alice, on the page for that, which the browser is on. A store that is slow
// may have made it and be too late for the sign-in alone, so that the page cannot be sent again.
func (b *browser) setUp(s *server) {
	b.t.Helper()
	b.fill("#username", "alice", "#password", passphrase)
	if b.once(chromedp.Click(chromedp.CSS("main form button"))) != http.StatusServiceUnavailable || b.again(http.StatusServiceUnavailable) == http.StatusOK {
		return
	}
	b.open(s.URL + "/")
	b.signIn("alice", passphrase)
}

// cookies are those that the profile would send to a URL, in full.
func (b *browser) cookies(url string) []*network.Cookie {
	b.t.Helper()
	return call(b, network.GetCookies, network.GetCookiesParams{URLs: []string{url}}).Cookies
}

// call sends one command of the DevTools protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	answer, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return answer
}
