package keyring_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/keyring"
)

// CD14: whatever prints keys or a ring prints no byte of them.
func TestSecretsAreNotPrinted(t *testing.T) {
	k := newKey(t)
	path := filepath.Join(folder(t), "keys")
	write(t, path, k.Line(), 0o600)
	r, src := resolve(t, keyring.Options{OwnPath: path})
	type config struct {
		Key   keyring.Key
		Keys  []keyring.Key
		Named map[string]keyring.Key
		Ring  *keyring.Ring
		Src   keyring.Source
		Info  []keyring.Info
	}
	c := config{k, []keyring.Key{k}, map[string]keyring.Key{"k": k}, r, src, r.Keys()}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b", "%c", "%U"} {
		for _, v := range []any{k, &k, r, c, &c, []any{k, r}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	fmt.Fprintln(&out, k, r, c, src, k.String(), r.String())
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("start", "key", k, "ring", r, "config", c, "source", src)
	}
	for _, v := range []any{k, r, c} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}

	printed := strings.ToLower(out.String())
	for name, secret := range map[string]string{
		"raw": string(k[:]), "hex": hex.EncodeToString(k[:]), "base64": base64.StdEncoding.EncodeToString(k[:])[:20],
		"base64url": base64.RawURLEncoding.EncodeToString(k[:])[:20], "line": k.Line()[:20], "index": hex.EncodeToString(r.IndexKey()[:]),
		"decimal": strings.Trim(fmt.Sprint(k[:6]), "[]"), "Go": fmt.Sprintf("%#x, %#x, %#x", k[0], k[1], k[2]),
	} {
		if strings.Contains(printed, strings.ToLower(secret)) {
			t.Errorf("printed as %s", name)
		}
	}
	if !strings.Contains(printed, "[redacted]") || !strings.Contains(printed, r.Fingerprint()) {
		t.Error("neither redacted nor a fingerprint")
	}
}

// C2: the fingerprint names the keys and is not one.
func TestFingerprint(t *testing.T) {
	a, b := generate(t), generate(t)
	if len(a.Fingerprint()) != 16 || a.Fingerprint() == b.Fingerprint() {
		t.Error(a, b)
	}
}
