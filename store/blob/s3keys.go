package blob

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// s3Key is what signs requests. It prints redacted.
type s3Key struct {
	id, secret, token string
	ends              time.Time // zero: never
}

// String returns "[key]".
func (s3Key) String() string { return "[key]" }

// GoString returns "[key]".
func (s3Key) GoString() string { return "[key]" }

// s3Keys finds credentials where AWS's own tools do, in their order: the environment, a role by a
// token in a file, the container's service, the machine's service. What ends is fetched anew five
// minutes before.
type s3Keys struct {
	client   *http.Client
	getenv   func(string) string
	clock    counterfoil.Clock
	sts      string // address of the token service
	metadata string // address of the machine's service

	mu  sync.Mutex
	key s3Key
}

func newS3Keys(client *http.Client, o Options, region string) *s3Keys {
	return &s3Keys{
		client: client, getenv: o.Getenv, clock: o.Clock,
		sts: "https://sts." + region + ".amazonaws.com/", metadata: "http://169.254.169.254",
	}
}

func (k *s3Keys) get(ctx context.Context) (s3Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, _ := k.clock.Now()
	if k.key.id != "" && (k.key.ends.IsZero() || now.Before(k.key.ends.Add(-renewBefore))) {
		return k.key, nil
	}
	key, err := k.find(ctx)
	if err == nil && (key.id == "" || key.secret == "") {
		err = ErrCredentials
	}
	if err != nil {
		return s3Key{}, fmt.Errorf("%w; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine or container a role", err)
	}
	k.key = key
	return key, nil
}

func (k *s3Keys) find(ctx context.Context) (s3Key, error) {
	if id := k.getenv("AWS_ACCESS_KEY_ID"); id != "" {
		return s3Key{id: id, secret: k.getenv("AWS_SECRET_ACCESS_KEY"), token: k.getenv("AWS_SESSION_TOKEN")}, nil
	}
	if file := k.getenv("AWS_WEB_IDENTITY_TOKEN_FILE"); file != "" {
		return k.byToken(ctx, file)
	}
	if path := k.getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		return k.byService(ctx, "http://169.254.170.2"+path, nil)
	}
	if address := k.getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"); address != "" {
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" && !loopback(u.Hostname()) && !containers[u.Hostname()] {
			return s3Key{}, fmt.Errorf("%w: AWS_CONTAINER_CREDENTIALS_FULL_URI leads elsewhere without TLS", ErrCredentials)
		}
		token := k.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
		if file := k.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
			text, err := os.ReadFile(file)
			if err != nil {
				return s3Key{}, fmt.Errorf("%w: %w", ErrCredentials, err)
			}
			token = strings.TrimSpace(string(text))
		}
		return k.byService(ctx, address, http.Header{"Authorization": {token}})
	}
	if k.getenv("AWS_EC2_METADATA_DISABLED") == "true" {
		return s3Key{}, ErrCredentials
	}
	return k.byMachine(ctx)
}

// containers are the addresses to which a container may send its token without TLS.
var containers = map[string]bool{"169.254.170.2": true, "169.254.170.23": true, "fd00:ec2::23": true}

func (k *s3Keys) ask(ctx context.Context, method, address string, header http.Header, body string) ([]byte, error) {
	return askFor(ctx, k.client, method, address, header, body)
}

// byService is the form of the container's and of the machine's service.
func (k *s3Keys) byService(ctx context.Context, address string, header http.Header) (s3Key, error) {
	body, err := k.ask(ctx, http.MethodGet, address, header, "")
	if err != nil {
		return s3Key{}, err
	}
	var said struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return s3Key{}, fmt.Errorf("%w: the answer is no JSON", ErrCredentials)
	}
	return s3Key{said.AccessKeyID, said.SecretAccessKey, said.Token, said.Expiration}, nil
}

func (k *s3Keys) byMachine(ctx context.Context) (s3Key, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // elsewhere nobody answers
	defer cancel()
	token, err := k.ask(ctx, http.MethodPut, k.metadata+"/latest/api/token", http.Header{"x-aws-ec2-metadata-token-ttl-seconds": {"300"}}, "")
	if err != nil {
		return s3Key{}, err
	}
	header := http.Header{"X-Aws-Ec2-Metadata-Token": {strings.TrimSpace(string(token))}}
	const roles = "/latest/meta-data/iam/security-credentials/"
	role, err := k.ask(ctx, http.MethodGet, k.metadata+roles, header, "")
	if err != nil {
		return s3Key{}, err
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(role)), "\n")
	return k.byService(ctx, k.metadata+roles+url.PathEscape(name), header)
}

func (k *s3Keys) byToken(ctx context.Context, file string) (s3Key, error) {
	token, err := os.ReadFile(file)
	if err != nil {
		return s3Key{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	name := k.getenv("AWS_ROLE_SESSION_NAME")
	if name == "" {
		name = "counterfoil"
	}
	body, err := k.ask(ctx, http.MethodPost, k.sts, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {k.getenv("AWS_ROLE_ARN")},
		"RoleSessionName": {name}, "WebIdentityToken": {strings.TrimSpace(string(token))},
	}.Encode())
	if err != nil {
		return s3Key{}, err
	}
	var said struct {
		Key struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
			Expiration      time.Time
		} `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	if err := xml.Unmarshal(body, &said); err != nil {
		return s3Key{}, fmt.Errorf("%w: the answer is no XML", ErrCredentials)
	}
	return s3Key{said.Key.AccessKeyID, said.Key.SecretAccessKey, said.Key.SessionToken, said.Key.Expiration}, nil
}
