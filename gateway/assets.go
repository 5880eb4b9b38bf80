package gateway

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// assets are the embedded files of the pages. Their names carry a hash of the content, so that
// browsers may keep them for ever.
type assets struct {
	Style, Icon, Setup string // URL paths
	files              map[string]asset
}

type asset struct {
	kind string
	body []byte
}

func newAssets(prefix string) (*assets, error) {
	a := &assets{files: map[string]asset{}}
	for _, f := range []struct {
		name, kind string
		url        *string
	}{
		{"style.css", "text/css; charset=utf-8", &a.Style},
		{"icon.svg", "image/svg+xml", &a.Icon},
		{"setup.js", "text/javascript; charset=utf-8", &a.Setup},
	} {
		body, err := staticFiles.ReadFile("static/" + f.name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(f.name)
		*f.url = prefix + "/static/" + strings.TrimSuffix(f.name, ext) + "." + hex.EncodeToString(sum[:8]) + ext
		a.files[*f.url] = asset{f.kind, body}
	}
	return a, nil
}

// serve answers with an asset, or reports that there is none of that name.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) bool {
	f, ok := a.files[r.URL.Path]
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Method == http.MethodGet {
		w.Write(f.body)
	}
	return true
}
