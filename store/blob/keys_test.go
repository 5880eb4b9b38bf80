package blob

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// service answers as services of credentials do, each path with one text, and fails the test if a
// request lacks a header ("Name: value") or a form's field ("name=value").
func service(t *testing.T, answers map[string]string, must map[string][]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := r.Method + " " + r.URL.Path
		for _, want := range must[at] {
			name, value, header := strings.Cut(want, ": ")
			if !header {
				name, value, _ = strings.Cut(want, "=")
			}
			if header && r.Header.Get(name) != value || !header && r.FormValue(name) != value {
				t.Errorf("%s came without %s", at, want)
			}
		}
		text, ok := answers[at]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func environment(pairs map[string]string) Options {
	return Options{Clock: &hasty{}, Getenv: func(name string) string { return pairs[name] }}
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const awsAnswer = `{"AccessKeyId": "id", "SecretAccessKey": "hidden", "Token": "token", "Expiration": "2027-01-15T09:00:00Z"}`

// Credentials come from where AWS's own tools take them, in their order.
func TestS3Keys(t *testing.T) {
	const roles = "/latest/meta-data/iam/security-credentials/"
	machine := service(t, map[string]string{
		"PUT /latest/api/token": "session", "GET " + roles: "role\n", "GET " + roles + "role": awsAnswer,
	}, map[string][]string{
		"PUT /latest/api/token": {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 300"}, "GET " + roles + "role": {"X-Aws-Ec2-Metadata-Token: session"},
	})
	container := service(t, map[string]string{"GET /v1/credentials": awsAnswer}, map[string][]string{"GET /v1/credentials": {"Authorization: pod"}})
	sts := service(t, map[string]string{"POST /": `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
		<AccessKeyId>id</AccessKeyId><SecretAccessKey>hidden</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2027-01-15T09:00:00Z</Expiration>
		</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`},
		map[string][]string{"POST /": {"Action=AssumeRoleWithWebIdentity", "RoleArn=arn", "WebIdentityToken=jwt"}})
	for name, c := range map[string]struct {
		env  map[string]string
		want string // "id hidden token", "" is refused
	}{
		"environment":       {map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}, "a b c"},
		"half of it":        {map[string]string{"AWS_ACCESS_KEY_ID": "a"}, ""},
		"token in a file":   {map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": written(t, "jwt\n"), "AWS_ROLE_ARN": "arn"}, "id hidden token"},
		"no such file":      {map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere"}, ""},
		"container":         {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": container + "/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": written(t, "pod")}, "id hidden token"},
		"container's lie":   {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"}, ""},
		"container is gone": {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": container + "/other"}, ""},
		"machine":           {nil, "id hidden token"},
		"machine forbidden": {map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			keys := newS3Keys(newClient(), environment(c.env), "eu")
			keys.sts, keys.metadata = sts+"/", machine
			key, err := keys.get(t.Context())
			if c.want == "" {
				if !errors.Is(err, ErrCredentials) {
					t.Errorf("got %v, %v", key, err)
				}
				return
			}
			if got := key.id + " " + key.secret + " " + key.token; err != nil || got != c.want {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

// A key that ends is fetched anew in time, one that lasts is not asked for again.
func TestKeysAreRenewed(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprintf(w, `{"AccessKeyId": "id%d", "SecretAccessKey": "s", "Expiration": %q}`, asked, begin.Add(time.Hour).Format(time.RFC3339))
	}))
	t.Cleanup(s.Close)
	clock := &hasty{}
	o := environment(map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": s.URL})
	o.Clock = clock
	keys := newS3Keys(newClient(), o, "eu")
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "id1"}, {54 * time.Minute, "id1"}, {56 * time.Minute, "id2"}} {
		clock.now.Store(int64(step.after))
		if key, err := keys.get(t.Context()); err != nil || key.id != step.want {
			t.Errorf("after %v: %v, %v; want %s", step.after, key.id, err, step.want)
		}
	}
}

// The example of AWS's own documentation for signing a GET of an object.
func TestSignature(t *testing.T) {
	r := httptest.NewRequest("GET", "https://examplebucket.s3.amazonaws.com/test.txt", nil)
	r.Header.Set("Range", "bytes=0-9")
	key := s3Key{id: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	signV4(r, nil, key, "us-east-1", "s3", time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
	const want = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
	if got := r.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+want) {
		t.Errorf("got %s", got)
	}
}

// Google's tokens: of a service account, whose claim is signed; of a user; of the machine.
func TestGoogleTokens(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	var claim string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.FormValue("assertion") != "":
			claim = r.FormValue("assertion")
		case r.FormValue("refresh_token") == "refresh" && r.FormValue("client_id") == "id":
		case r.Header.Get("Metadata-Flavor") == "Google":
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
		fmt.Fprint(w, `{"access_token": "opens", "expires_in": 3600, "token_type": "Bearer"}`)
	}))
	t.Cleanup(s.Close)
	account := func(fields map[string]string) string {
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return written(t, string(text))
	}
	for name, c := range map[string]struct {
		env map[string]string
		ok  bool
	}{
		"service account": {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": account(map[string]string{
			"type": "service_account", "client_email": "x@y", "token_uri": s.URL,
			"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		})}, true},
		"user": {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": account(map[string]string{
			"type": "authorized_user", "client_id": "id", "client_secret": "s", "refresh_token": "refresh", "token_uri": s.URL,
		})}, true},
		"machine":       {map[string]string{"GCE_METADATA_HOST": strings.TrimPrefix(s.URL, "http://")}, true},
		"refused":       {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": account(map[string]string{"type": "authorized_user", "token_uri": s.URL})}, false},
		"another type":  {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": account(map[string]string{"type": "external_account"})}, false},
		"no key":        {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": account(map[string]string{"type": "service_account", "private_key": "x"})}, false},
		"sent in clear": {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": account(map[string]string{"type": "authorized_user", "token_uri": "http://example.com"})}, false},
		"no JSON":       {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": written(t, "x")}, false},
		"no file":       {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			claim = ""
			token, err := newGoogleTokens(newClient(), environment(c.env)).get(t.Context())
			if !c.ok {
				if !errors.Is(err, ErrCredentials) {
					t.Errorf("got %v, %v", token, err)
				}
				return
			}
			if err != nil || token.text != "opens" || !token.ends.Equal(begin.Add(time.Hour)) {
				t.Errorf("got %q until %v, %v", token.text, token.ends, err)
			}
			if claim == "" {
				return
			}
			signed, signature, _ := cutLast(claim, ".")
			raw, err := base64.RawURLEncoding.DecodeString(signature)
			sum := sha256.Sum256([]byte(signed))
			if err = errors.Join(err, rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, sum[:], raw)); err != nil {
				t.Error(err)
			}
		})
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// Azure's ways to be let in: none of them sends a token in clear.
func TestAzureTokens(t *testing.T) {
	s := service(t, map[string]string{"GET /metadata/identity/oauth2/token": `{"access_token": "opens", "expires_in": "3600"}`},
		map[string][]string{"GET /metadata/identity/oauth2/token": {"Metadata: true", "client_id=who"}})
	o := environment(map[string]string{"AZURE_POD_IDENTITY_AUTHORITY_HOST": s, "AZURE_CLIENT_ID": "who"})
	token, err := newAzureTokens(newClient(), o).get(t.Context())
	if err != nil || token.text != "opens" {
		t.Errorf("got %q, %v", token.text, err)
	}
	sign := func(o Options, dsn string) (*http.Request, error) {
		p, err := ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		a, err := openAzure(p, o)
		if err != nil {
			return nil, err
		}
		r := httptest.NewRequest("GET", a.base.String()+"/x?comp=list", nil)
		r.URL.Scheme = a.base.Scheme
		return r, a.sign(t.Context(), r, nil)
	}
	if r, err := sign(o, "azblob://box/?account=name"); err != nil || r.Header.Get("Authorization") != "Bearer opens" {
		t.Errorf("a managed identity: %v", err)
	}
	if _, err := sign(o, "azblob://box/?account=name&endpoint=http://127.0.0.1:1"); !errors.Is(err, ErrCredentials) {
		t.Errorf("a managed identity in clear: %v", err)
	}
	sas := environment(map[string]string{"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=s"})
	if r, err := sign(sas, "azblob://box/?account=name"); err != nil || r.URL.RawQuery != "comp=list&sv=1&sig=s" {
		t.Errorf("a SAS token: %v", err)
	}
	for _, o := range []Options{environment(map[string]string{"AZURE_STORAGE_KEY": "%"})} {
		if _, err := sign(o, "azblob://box/?account=name"); !errors.Is(err, ErrCredentials) {
			t.Errorf("a key that is none: %v", err)
		}
	}
	if _, err := sign(sas, "azblob://box"); !errors.Is(err, ErrDSN) {
		t.Errorf("without an account: %v", err)
	}
}

// A storage without TLS, or with an old one, is not spoken to. P70
func TestTLS(t *testing.T) {
	for _, dsn := range []string{
		"s3://bucket/?endpoint=http://example.com", "gs://bucket/?endpoint=http://10.0.0.1", "azblob://box/?account=name&endpoint=http://example.com",
		"s3://bucket/?endpoint=ftp://127.0.0.1", "s3://bucket/?endpoint=https://user:word@127.0.0.1", "s3://bucket/?endpoint=x",
		"s3://bucket", "s3://bucket/?region=a/b", "s3://bucket/?region=a&path_style=x",
	} {
		if _, err := Open(t.Context(), dsn, environment(nil)); !errors.Is(err, ErrDSN) {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true} {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		s.StartTLS()
		defer s.Close()
		client := newClient()
		client.Transport.(*http.Transport).TLSClientConfig.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		r := httptest.NewRequestWithContext(context.Background(), "GET", s.URL, nil)
		r.RequestURI = ""
		if _, err := roundTrip(client, r); (err == nil) != ok {
			t.Errorf("TLS %x: %v", version, err)
		}
	}
}

// What a storage answers wrongly is an error that says so, and one that may pass is marked.
func TestAnswers(t *testing.T) {
	var status int
	var body string
	var header http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	o := environment(map[string]string{
		"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AZURE_STORAGE_KEY": "YQ==", "AZURE_STORAGE_ACCOUNT": "name",
	})
	code := func(c string) http.Header { return http.Header{"X-Ms-Error-Code": {c}} }
	for _, c := range []struct {
		storage, what string
		status        int
		body          string
		header        http.Header
		get, create   error // nil: some other error
		again         bool  // it may pass
	}{
		{"s3", "no object", 404, "<Error><Code>NoSuchKey</Code></Error>", nil, errAbsent, nil, false},
		{"s3", "no bucket", 404, "<Error><Code>NoSuchBucket</Code></Error>", nil, nil, nil, false},
		{"s3", "taken", 412, "<Error><Code>PreconditionFailed</Code></Error>", nil, nil, errTaken, false},
		{"s3", "busy", 503, "<Error><Code>SlowDown</Code></Error>", nil, nil, nil, true},
		{"s3", "forbidden", 403, "", nil, nil, nil, false},
		{"s3", "elsewhere", 307, "", http.Header{"Location": {"http://example.com"}}, nil, nil, false},
		{"gs", "no object", 404, "No such object: bucket/x", nil, errAbsent, nil, false},
		{"gs", "no bucket", 404, `{"error": {"message": "The specified bucket does not exist."}}`, nil, nil, nil, false},
		{"gs", "taken", 412, "", nil, nil, errTaken, false},
		{"gs", "too fast", 429, "", nil, nil, nil, true},
		{"azblob", "no object", 404, "", code("BlobNotFound"), errAbsent, nil, false},
		{"azblob", "no container", 404, "", code("ContainerNotFound"), nil, nil, false},
		{"azblob", "taken", 409, "", code("BlobAlreadyExists"), nil, errTaken, false},
		{"azblob", "being deleted", 409, "", code("ContainerBeingDeleted"), nil, nil, false},
		{"azblob", "busy", 503, "", code("ServerBusy"), nil, nil, true},
	} {
		t.Run(c.storage+" "+c.what, func(t *testing.T) {
			status, body, header = c.status, c.body, c.header
			p, err := ParseDSN(c.storage + "://bucket/prefix?endpoint=" + s.URL)
			if err != nil {
				t.Fatal(err)
			}
			b, err := p.open(o)
			if err != nil {
				t.Fatal(err)
			}
			defer b.close()
			_, getErr := b.get(t.Context(), "x")
			for verb, is := range map[string]struct{ got, want error }{
				"get": {getErr, c.get}, "create": {b.create(t.Context(), "x", nil), c.create},
				"remove": {b.remove(t.Context(), "x"), c.get},
				"list":   {b.list(t.Context(), "x", "", func(object) error { return nil }), nil},
			} {
				switch {
				case verb == "remove" && errors.Is(is.want, errAbsent):
					if is.got != nil {
						t.Errorf("remove says %v of what is not there", is.got)
					}
				case is.want != nil && !errors.Is(is.got, is.want), is.got == nil:
					t.Errorf("%s says %v, want %v", verb, is.got, is.want)
				case is.want == nil && errors.As(is.got, &temporary{}) != c.again:
					t.Errorf("%s says %v; it may pass: %v", verb, is.got, c.again)
				}
			}
		})
	}
}
