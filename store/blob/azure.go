package blob

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// azure is a container of Azure Blob Storage.
type azure struct {
	web
	prefix    string
	container string
}

const azureVersion = "2021-12-02"

func openAzure(p Place, o Options) (*azure, error) {
	account := p.query.Get("account")
	if account == "" {
		account = o.Getenv("AZURE_STORAGE_ACCOUNT")
	}
	if len(account) < 3 || len(account) > 24 || strings.ContainsFunc(account, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') }) {
		return nil, fmt.Errorf("%w: azblob: needs the storage account: write azblob://%s/%s?account=NAME or set AZURE_STORAGE_ACCOUNT", ErrDSN, p.Bucket, p.Path)
	}
	endpoint := p.query.Get("endpoint")
	if endpoint == "" {
		endpoint = "https://" + account + ".blob.core.windows.net"
	}
	base, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	a := &azure{prefix: p.Path, container: "/" + p.Bucket}
	a.web = web{client: newClient(), base: base, idHeader: "X-Ms-Client-Request-Id"}
	dated := func(r *http.Request) {
		wall, _ := o.Clock.Now()
		r.Header.Set("X-Ms-Date", wall.UTC().Format(http.TimeFormat))
		r.Header.Set("X-Ms-Version", azureVersion)
	}
	key, sas := o.Getenv("AZURE_STORAGE_KEY"), strings.TrimPrefix(o.Getenv("AZURE_STORAGE_SAS_TOKEN"), "?")
	switch {
	case key != "":
		secret, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			return nil, fmt.Errorf("%w: AZURE_STORAGE_KEY is not base64", ErrCredentials)
		}
		a.sign = func(_ context.Context, r *http.Request, body []byte) error {
			dated(r)
			signShared(r, len(body), account, secret)
			return nil
		}
	case sas != "":
		a.sign = func(_ context.Context, r *http.Request, _ []byte) error {
			dated(r)
			if r.URL.RawQuery != "" {
				r.URL.RawQuery += "&"
			}
			r.URL.RawQuery += sas
			return nil
		}
	default:
		tokens := newAzureTokens(a.client, o)
		a.sign = func(ctx context.Context, r *http.Request, _ []byte) error {
			if r.URL.Scheme != "https" {
				return fmt.Errorf("%w: no token is sent without TLS", ErrCredentials)
			}
			dated(r)
			token, err := tokens.get(ctx)
			if err == nil {
				r.Header.Set("Authorization", "Bearer "+token.text)
			}
			return err
		}
	}
	return a, nil
}

// signShared is Azure's "Shared Key" signature.
func signShared(r *http.Request, length int, account string, secret []byte) {
	size := ""
	if length > 0 {
		size = strconv.Itoa(length)
	}
	lines := []string{
		r.Method, "", "", size, "", r.Header.Get("Content-Type"), "", "", "", r.Header.Get("If-None-Match"), "", "",
	}
	var names []string
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-ms-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		lines = append(lines, name+":"+r.Header.Get(name))
	}
	lines = append(lines, "/"+account+r.URL.EscapedPath())
	query := r.URL.Query()
	names = names[:0]
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		lines = append(lines, strings.ToLower(name)+":"+strings.Join(query[name], ","))
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(strings.Join(lines, "\n")))
	r.Header.Set("Authorization", "SharedKey "+account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func (a *azure) path(name string) string { return a.container + "/" + a.prefix + name }

func azureFault(x *answer) (code string, err error) {
	code = x.header.Get("X-Ms-Error-Code")
	return code, x.fault(code)
}

func (a *azure) get(ctx context.Context, name string) ([]byte, error) {
	x, err := a.send(ctx, http.MethodGet, a.path(name), nil, nil, nil)
	if err != nil {
		return nil, err
	}
	if x.status == http.StatusOK {
		return x.body, nil
	}
	code, err := azureFault(x)
	if x.status == http.StatusNotFound && code == "BlobNotFound" {
		return nil, errAbsent
	}
	return nil, err
}

func (a *azure) create(ctx context.Context, name string, data []byte) error {
	x, err := a.send(ctx, http.MethodPut, a.path(name), nil, http.Header{
		"If-None-Match": {"*"}, "X-Ms-Blob-Type": {"BlockBlob"}, "Content-Type": {"application/octet-stream"},
	}, data)
	if err != nil {
		return err
	}
	if x.status == http.StatusCreated {
		return nil
	}
	code, err := azureFault(x)
	if x.status == http.StatusPreconditionFailed || code == "BlobAlreadyExists" {
		return errTaken
	}
	return err
}

func (a *azure) remove(ctx context.Context, name string) error {
	x, err := a.send(ctx, http.MethodDelete, a.path(name), nil, nil, nil)
	if err != nil {
		return err
	}
	code, err := azureFault(x)
	if x.status/100 == 2 || code == "BlobNotFound" {
		return nil
	}
	return err
}

// list reads from the beginning: Azure cannot be told where to begin. What is no longer needed is
// deleted, so there is not much to pass over.
func (a *azure) list(ctx context.Context, prefix, after string, do func(object) error) error {
	for marker := ""; ; {
		query := url.Values{"restype": {"container"}, "comp": {"list"}, "prefix": {a.prefix + prefix}, "maxresults": {"5000"}}
		if marker != "" {
			query.Set("marker", marker)
		}
		x, err := a.send(ctx, http.MethodGet, a.container, query, nil, nil)
		if err != nil {
			return err
		}
		if x.status != http.StatusOK {
			_, err := azureFault(x)
			return err
		}
		var page struct {
			Blobs []struct {
				Name         string
				LastModified string `xml:"Properties>Last-Modified"`
			} `xml:"Blobs>Blob"`
			NextMarker string
		}
		if err := xml.Unmarshal(x.body, &page); err != nil {
			return fmt.Errorf("blob: the storage's list: %w", err)
		}
		for _, b := range page.Blobs {
			name, ok := strings.CutPrefix(b.Name, a.prefix)
			modified, err := time.Parse(http.TimeFormat, b.LastModified)
			if !ok || err != nil {
				return fmt.Errorf("blob: the storage's list cannot be read")
			}
			if name <= after {
				continue
			}
			if err := do(object{name, modified}); err != nil {
				return err
			}
		}
		if marker = page.NextMarker; marker == "" {
			return nil
		}
	}
}
