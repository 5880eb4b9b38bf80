package gateway

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
)

//go:embed templates
var templateFiles embed.FS

// pages are the templates, each with the layout around it.
type pages struct {
	assets    *assets
	prefix    string
	minLength int
	templates map[string]*template.Template
}

// page is what templates show; each uses what it needs.
type page struct {
	Title     string
	Prefix    string
	Assets    *assets
	User      string // who is signed in; "": nobody
	MinLength int

	Error, Notice string
	Until         *time.Time // when to try again

	Name, Next, Nonce, Code string // the forms' fields

	Sessions []row            // account
	Others   bool             // account: there are other sessions
	Session  counterfoil.Info // demo
	Note     string           // demo

	Status int // message
	Text   []string
	Link   *link
}

type link struct{ Href, Text string }

// row is one session of the account page.
type row struct {
	counterfoil.Info
	Current bool
}

func newPages(prefix string, a *assets, minLength int, now func() time.Time) (*pages, error) {
	p := &pages{assets: a, prefix: prefix, minLength: minLength, templates: map[string]*template.Template{}}
	funcs := template.FuncMap{
		"method": method,
		"stamp":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"clock":  func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") },
		"exact":  func(t time.Time) string { return t.UTC().Format("15:04:05 UTC") },
		"since":  func(t time.Time) string { return ago(now().Sub(t)) },
		"until":  func(t time.Time) string { return ahead(t.Sub(now())) },
	}
	layout, err := template.New("").Funcs(funcs).ParseFS(templateFiles, "templates/layout.html")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"login", "setup", "account", "demo", "message"} {
		t, err := layout.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, err
		}
		p.templates[name] = t
	}
	return p, nil
}

// contentPolicy of our pages: nothing inline, nothing foreign. The set-up page alone has a script.
const (
	contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
	setupPolicy   = contentPolicy + "; script-src 'self'"
)

// show answers with a page. It is made in full before the first byte leaves.
func (p *pages) show(w http.ResponseWriter, r *http.Request, status int, name string, data page) error {
	data.Prefix, data.Assets, data.MinLength, data.Status = p.prefix, p.assets, p.minLength, status
	var body bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&body, "layout", data); err != nil {
		return fmt.Errorf("gateway: page %s: %w", name, err)
	}
	h := w.Header()
	guardAnswer(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentPolicy)
	if name == "setup" {
		h.Set("Content-Security-Policy", setupPolicy)
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	w.Write(body.Bytes())
	return nil
}

// guardAnswer sets what each of our own answers carries, pages and JSON alike.
func guardAnswer(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // browsers without frame-ancestors
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// method is a name of RFC 8176 in plain words.
func method(name string) string {
	if name == "pwd" {
		return "password"
	}
	return name
}

func ago(d time.Duration) string {
	if d < time.Minute {
		return "just now"
	}
	return span(d) + " ago"
}

func ahead(d time.Duration) string {
	if d <= 0 {
		return "now"
	}
	return "in " + span(d)
}

// span is d in its largest unit, rounded up, so that whoever waits for it never comes too early.
func span(d time.Duration) string {
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d > u.d || u.d == time.Second {
			n := (d + u.d - 1) / u.d
			if n == 1 {
				return fmt.Sprintf("1 %s", u.name)
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return ""
}
