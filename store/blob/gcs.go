package blob

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// gcs is a bucket of Google Cloud Storage, by its JSON interface.
type gcs struct {
	web
	prefix string
	bucket string
}

func openGCS(p Place, o Options) (*gcs, error) {
	endpoint := p.query.Get("endpoint")
	if endpoint == "" {
		endpoint = "https://storage.googleapis.com"
	}
	base, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	g := &gcs{prefix: p.Path, bucket: p.Bucket}
	g.web = web{client: newClient(), base: base, idHeader: "X-Goog-Custom-Audit-Request"}
	tokens := newGoogleTokens(g.client, o)
	g.sign = func(ctx context.Context, r *http.Request, _ []byte) error {
		if base.Scheme != "https" {
			return nil // an emulator on this machine: no token in clear
		}
		token, err := tokens.get(ctx)
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+token.text)
		}
		return err
	}
	return g, nil
}

func (g *gcs) path() string { return "/storage/v1/b/" + g.bucket + "/o" }

// gcsFault reads what an error says; missing means that the object does not exist, but the bucket
// does.
func gcsFault(a *answer) (missing bool, err error) {
	var said struct{ Error struct{ Message string } }
	if json.Unmarshal(a.body, &said) != nil {
		said.Error.Message = string(a.body[:min(len(a.body), 100)])
	}
	noBucket := strings.Contains(said.Error.Message, "bucket does not exist")
	return a.status == http.StatusNotFound && !noBucket, a.fault(said.Error.Message)
}

func (g *gcs) get(ctx context.Context, name string) ([]byte, error) {
	a, err := g.one(ctx, http.MethodGet, name, url.Values{"alt": {"media"}})
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusOK {
		return a.body, nil
	}
	missing, err := gcsFault(a)
	if missing {
		return nil, errAbsent
	}
	return nil, err
}

// one sends a request about one object, whose name is one segment of the path.
func (g *gcs) one(ctx context.Context, method, name string, query url.Values) (*answer, error) {
	return g.sendTo(ctx, method, g.path()+"/"+g.prefix+name, g.path()+"/"+url.PathEscape(g.prefix+name), query, nil, nil)
}

func (g *gcs) create(ctx context.Context, name string, data []byte) error {
	a, err := g.send(ctx, http.MethodPost, "/upload"+g.path(), url.Values{
		"uploadType": {"media"}, "name": {g.prefix + name}, "ifGenerationMatch": {"0"},
	}, http.Header{"Content-Type": {"application/octet-stream"}}, data)
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusOK:
		return nil
	case http.StatusPreconditionFailed:
		return errTaken
	}
	_, err = gcsFault(a)
	return err
}

func (g *gcs) remove(ctx context.Context, name string) error {
	a, err := g.one(ctx, http.MethodDelete, name, nil)
	if err != nil {
		return err
	}
	missing, err := gcsFault(a)
	if a.status/100 == 2 || missing {
		return nil
	}
	return err
}

func (g *gcs) list(ctx context.Context, prefix, after string, do func(object) error) error {
	page := ""
	for {
		query := url.Values{
			"prefix": {g.prefix + prefix}, "maxResults": {"1000"}, "fields": {"items(name,updated),nextPageToken"},
		}
		if after != "" {
			query.Set("startOffset", g.prefix+after)
		}
		if page != "" {
			query.Set("pageToken", page)
		}
		a, err := g.send(ctx, http.MethodGet, g.path(), query, nil, nil)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			_, err := gcsFault(a)
			return err
		}
		var said struct {
			Items []struct {
				Name    string
				Updated time.Time
			}
			NextPageToken string
		}
		if err := json.Unmarshal(a.body, &said); err != nil {
			return fmt.Errorf("blob: the storage's list: %w", err)
		}
		for _, item := range said.Items {
			name, ok := strings.CutPrefix(item.Name, g.prefix)
			if !ok {
				return fmt.Errorf("blob: the storage's list has a name that was not asked for")
			}
			if name <= after {
				continue
			}
			if err := do(object{name, item.Updated}); err != nil {
				return err
			}
		}
		if page = said.NextPageToken; page == "" {
			return nil
		}
	}
}
