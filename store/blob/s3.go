package blob

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
)

// s3 is a bucket of Amazon S3 or of a storage that speaks its language.
type s3 struct {
	web
	prefix string // of all keys
	bucket string // in the path, "/name"; "": in the host's name
	region string
	clock  counterfoil.Clock
	keys   *s3Keys
}

func openS3(p Place, o Options) (*s3, error) {
	region := p.query.Get("region")
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if region == "" {
			region = o.Getenv(name)
		}
	}
	endpoint := p.query.Get("endpoint")
	if region == "" {
		if endpoint == "" {
			return nil, fmt.Errorf("%w: s3: needs the bucket's region: write s3://%s/%s?region=REGION or set AWS_REGION", ErrDSN, p.Bucket, p.Path)
		}
		region = "us-east-1"
	}
	if strings.ContainsFunc(region, func(r rune) bool { return !plain(r) }) {
		return nil, fmt.Errorf("%w: a region is of letters, digits and '-'", ErrDSN)
	}
	s := &s3{prefix: p.Path, region: region, clock: o.Clock}
	inPath := endpoint != "" || strings.Contains(p.Bucket, ".") // a certificate covers one label
	switch p.query.Get("path_style") {
	case "":
	case "true":
		inPath = true
	case "false":
		inPath = false
	default:
		return nil, fmt.Errorf("%w: path_style is true or false", ErrDSN)
	}
	if endpoint == "" {
		endpoint = "https://s3." + region + ".amazonaws.com"
	}
	base, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if inPath {
		s.bucket = "/" + p.Bucket
	} else {
		base.Host = p.Bucket + "." + base.Host
	}
	client := newClient()
	s.keys = newS3Keys(client, o, region)
	s.web = web{client: client, base: base, sign: s.sign}
	return s, nil
}

func (s *s3) path(name string) string { return s.bucket + "/" + s.prefix + name }

// s3Fault reads the code of an error.
func s3Fault(a *answer) (code string, err error) {
	var said struct{ Code string }
	if xml.Unmarshal(a.body, &said) != nil {
		said.Code = ""
	}
	return said.Code, a.fault(said.Code)
}

func (s *s3) get(ctx context.Context, name string) ([]byte, error) {
	a, err := s.send(ctx, http.MethodGet, s.path(name), nil, nil, nil)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusOK {
		return a.body, nil
	}
	code, err := s3Fault(a)
	if a.status == http.StatusNotFound && code != "NoSuchBucket" {
		return nil, errAbsent
	}
	return nil, err
}

func (s *s3) create(ctx context.Context, name string, data []byte) error {
	a, err := s.send(ctx, http.MethodPut, s.path(name), nil, http.Header{
		"If-None-Match": {"*"}, "Content-Type": {"application/octet-stream"},
	}, data)
	if err != nil {
		return err
	}
	if a.status == http.StatusOK {
		return nil
	}
	code, err := s3Fault(a)
	switch {
	case a.status == http.StatusPreconditionFailed:
		return errTaken
	case a.status == http.StatusConflict: // with another creation that is under way
		return temporary{a.fault(code)}
	}
	return err
}

func (s *s3) remove(ctx context.Context, name string) error {
	a, err := s.send(ctx, http.MethodDelete, s.path(name), nil, nil, nil)
	if err != nil {
		return err
	}
	code, err := s3Fault(a)
	if a.status/100 == 2 || a.status == http.StatusNotFound && code != "NoSuchBucket" {
		return nil
	}
	return err
}

func (s *s3) list(ctx context.Context, prefix, after string, do func(object) error) error {
	if after == "" {
		after = prefix
	}
	for {
		a, err := s.send(ctx, http.MethodGet, s.bucket+"/", url.Values{
			"list-type": {"2"}, "prefix": {s.prefix + prefix}, "start-after": {s.prefix + after}, "max-keys": {"1000"},
		}, nil, nil)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			_, err := s3Fault(a)
			return err
		}
		var page struct {
			IsTruncated bool
			Contents    []struct {
				Key          string
				LastModified time.Time
			}
		}
		if err := xml.Unmarshal(a.body, &page); err != nil {
			return fmt.Errorf("blob: the storage's list: %w", err)
		}
		for _, c := range page.Contents {
			name, ok := strings.CutPrefix(c.Key, s.prefix)
			if !ok || name <= after {
				return fmt.Errorf("blob: the storage's list is not in order")
			}
			if err := do(object{name, c.LastModified}); err != nil {
				return err
			}
			after = name
		}
		if !page.IsTruncated || len(page.Contents) == 0 {
			return nil
		}
	}
}

// sign is AWS Signature Version 4 over all headers that are set but the user agent.
func (s *s3) sign(ctx context.Context, r *http.Request, body []byte) error {
	key, err := s.keys.get(ctx)
	if err != nil {
		return err
	}
	wall, _ := s.clock.Now()
	signV4(r, body, key, s.region, "s3", wall)
	return nil
}

func signV4(r *http.Request, body []byte, key s3Key, region, service string, now time.Time) {
	at := now.UTC().Format("20060102T150405Z")
	sum := sha256.Sum256(body)
	r.Header.Set("X-Amz-Date", at)
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	if key.token != "" {
		r.Header.Set("X-Amz-Security-Token", key.token)
	}
	names := []string{"host"}
	for name := range r.Header {
		if name != "User-Agent" { // which those on the way may change
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, r.URL.EscapedPath(), strings.ReplaceAll(r.URL.RawQuery, "+", "%20"))
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.URL.Host
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.TrimSpace(value))
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&canonical, "\n%s\n%x", signed, sum)

	scope := at[:8] + "/" + region + "/" + service + "/aws4_request"
	hashed := sha256.Sum256([]byte(canonical.String()))
	secret := []byte("AWS4" + key.secret)
	for _, part := range []string{at[:8], region, service, "aws4_request", fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", at, scope, hashed)} {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(part))
		secret = mac.Sum(nil)
	}
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%x", key.id, scope, signed, secret))
}
