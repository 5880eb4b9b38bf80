package blob

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// ErrCredentials says that nothing was found with which to sign requests.
var ErrCredentials = errors.New("blob: no credentials for the storage")

// renewBefore is how long before their end credentials are fetched anew.
const renewBefore = 5 * time.Minute

// askFor sends a request for credentials, which itself is not signed.
func askFor(ctx context.Context, client *http.Client, method, address string, header http.Header, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	a, err := roundTrip(client, r)
	if err == nil && a.status != http.StatusOK {
		err = a.fault("")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCredentials, r.URL.Host, err)
	}
	return a.body, nil
}

// bearer is a token that opens the storage until it ends. It prints redacted.
type bearer struct {
	text string
	ends time.Time
}

// String returns "[token]".
func (bearer) String() string { return "[token]" }

// GoString returns "[token]".
func (bearer) GoString() string { return "[token]" }

// tokens keeps one bearer token and fetches the next in time.
type tokens struct {
	client *http.Client
	clock  counterfoil.Clock
	fetch  func(context.Context) (bearer, error)

	mu   sync.Mutex
	last bearer
}

func (t *tokens) get(ctx context.Context) (bearer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, _ := t.clock.Now()
	if t.last.text != "" && now.Before(t.last.ends.Add(-renewBefore)) {
		return t.last, nil
	}
	next, err := t.fetch(ctx)
	if err == nil && next.text == "" {
		err = fmt.Errorf("%w: the answer has no token", ErrCredentials)
	}
	if err != nil {
		return bearer{}, err
	}
	t.last = next
	return next, nil
}

// granted reads the answer of a token service, as OAuth 2.0 (RFC 6749, 5.1) has it.
func (t *tokens) granted(body []byte) (bearer, error) {
	var said struct {
		AccessToken string      `json:"access_token"`
		ExpiresIn   json.Number `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return bearer{}, fmt.Errorf("%w: the answer is no JSON", ErrCredentials)
	}
	seconds, err := said.ExpiresIn.Int64()
	if err != nil {
		return bearer{}, fmt.Errorf("%w: the token has no end", ErrCredentials)
	}
	now, _ := t.clock.Now()
	return bearer{said.AccessToken, now.Add(time.Duration(min(seconds, 86400)) * time.Second)}, nil
}

// newGoogleTokens finds credentials where Google's own tools do: the file that
// GOOGLE_APPLICATION_CREDENTIALS names, of a service account or a user, else the machine's service.
func newGoogleTokens(client *http.Client, o Options) *tokens {
	t := &tokens{client: client, clock: o.Clock}
	host := o.Getenv("GCE_METADATA_HOST")
	if host == "" {
		host = "169.254.169.254"
	}
	t.fetch = func(ctx context.Context) (bearer, error) {
		if file := o.Getenv("GOOGLE_APPLICATION_CREDENTIALS"); file != "" {
			return t.byGoogleFile(ctx, file)
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // elsewhere nobody answers
		defer cancel()
		body, err := askFor(ctx, client, http.MethodGet, "http://"+host+"/computeMetadata/v1"+"/instance/service-accounts/default/token",
			http.Header{"Metadata-Flavor": {"Google"}}, "")
		if err != nil {
			return bearer{}, fmt.Errorf("%w; set GOOGLE_APPLICATION_CREDENTIALS, or give the machine a service account", err)
		}
		return t.granted(body)
	}
	return t
}

const googleScope = "https://www.googleapis.com/auth/devstorage.read_write"

func (t *tokens) byGoogleFile(ctx context.Context, file string) (bearer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return bearer{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	var who struct {
		Type         string
		ClientEmail  string `json:"client_email"`
		PrivateKeyID string `json:"private_key_id"`
		PrivateKey   string `json:"private_key"`
		TokenURI     string `json:"token_uri"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(text, &who); err != nil {
		return bearer{}, fmt.Errorf("%w: %s is no JSON", ErrCredentials, file)
	}
	if who.TokenURI == "" {
		who.TokenURI = "https://oauth2.googleapis.com/token"
	}
	if _, err := parseEndpoint(who.TokenURI); err != nil {
		return bearer{}, fmt.Errorf("%w: token_uri in %s leads elsewhere without TLS", ErrCredentials, file)
	}
	var form url.Values
	switch who.Type {
	case "service_account":
		claim, err := t.assertion(who.ClientEmail, who.PrivateKeyID, who.PrivateKey, who.TokenURI)
		if err != nil {
			return bearer{}, fmt.Errorf("%w: the key in %s cannot be used: %w", ErrCredentials, file, err)
		}
		form = url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {claim}}
	case "authorized_user":
		form = url.Values{
			"grant_type": {"refresh_token"}, "client_id": {who.ClientID}, "client_secret": {who.ClientSecret}, "refresh_token": {who.RefreshToken},
		}
	default:
		return bearer{}, fmt.Errorf("%w: %s is of type %.40q; service_account and authorized_user are known", ErrCredentials, file, who.Type)
	}
	body, err := askFor(ctx, t.client, http.MethodPost, who.TokenURI, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
	if err != nil {
		return bearer{}, err
	}
	return t.granted(body)
}

// assertion is a signed claim (RFC 7523) that the service account asks for a token.
func (t *tokens) assertion(email, keyID, key, audience string) (string, error) {
	block, _ := pem.Decode([]byte(key))
	if block == nil {
		return "", errors.New("it is no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", errors.New("it is no PKCS 8")
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return "", errors.New("it is no RSA key")
	}
	now, _ := t.clock.Now()
	var text []string
	for _, part := range []map[string]any{
		{"alg": "RS256", "typ": "JWT", "kid": keyID},
		{"iss": email, "scope": googleScope, "aud": audience, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()},
	} {
		b, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		text = append(text, base64.RawURLEncoding.EncodeToString(b))
	}
	sum := sha256.Sum256([]byte(strings.Join(text, ".")))
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return strings.Join(append(text, base64.RawURLEncoding.EncodeToString(signature)), "."), nil
}

// newAzureTokens asks the machine's service for a token of its managed identity; AZURE_CLIENT_ID
// names one of several.
func newAzureTokens(client *http.Client, o Options) *tokens {
	t := &tokens{client: client, clock: o.Clock}
	host := o.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")
	if host == "" {
		host = "http://169.254.169.254"
	}
	t.fetch = func(ctx context.Context) (bearer, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		query := url.Values{"api-version": {"2018-02-01"}, "resource": {"https://storage.azure.com/"}}
		if id := o.Getenv("AZURE_CLIENT_ID"); id != "" {
			query.Set("client_id", id)
		}
		body, err := askFor(ctx, client, http.MethodGet, host+"/metadata/identity/oauth2/token?"+query.Encode(), http.Header{"Metadata": {"true"}}, "")
		if err != nil {
			return bearer{}, fmt.Errorf("%w; set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or give the machine a managed identity", err)
		}
		return t.granted(body)
	}
	return t
}
