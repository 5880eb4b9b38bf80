package counterfoil_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

const canary = "canary-7f3a91c2-in-a-session's-value"

// attacker has the whole store and the keyring, and has read the source.
type attacker struct {
	keys    *keyring.Ring
	storeID []byte
	records []*counterfoil.Record
	loot    [][]byte // all bytes he has, what he could decrypt included
}

func newAttacker(t *testing.T, c *cluster) *attacker {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	a := &attacker{keys: c.keys}
	var err error
	a.storeID, err = c.store.Meta(context.Background(), "store-id")
	must(err)
	a.records, err = c.store.Scan(context.Background(), counterfoil.ID{}, 1000)
	must(err)
	page, err := c.store.Log(context.Background(), 0, 100_000)
	must(err)
	file, err := c.keys.Marshal()
	must(err)
	all, err := json.Marshal(page)
	must(err)
	a.loot = append(a.loot, file, all, a.storeID)
	for _, e := range page.Entries {
		plain, err := c.keys.Open(e.DetailKey, keyring.Detail, a.bound("detail", e.Op[:], 0), e.Detail)
		must(err)
		a.loot = append(a.loot, e.Detail, plain)
	}
	for _, r := range a.records {
		all, err := json.Marshal(r)
		must(err)
		plain, err := c.keys.Open(r.IdentityKey, keyring.Identity, a.bound("identity", r.ID[:], r.IdentityCount), r.Identity)
		must(err)
		a.loot = append(a.loot, all, plain, r.Identity, r.Values, r.ID[:], r.Subject[:])
	}
	for _, k := range c.keys.Usable() {
		for _, p := range []keyring.Purpose{keyring.Identity, keyring.Values, keyring.Verifier, keyring.Selector, keyring.Detail} {
			sub, err := c.keys.Derive(k, p)
			must(err)
			a.loot = append(a.loot, sub[:])
		}
	}
	return a
}

// bound is the associated data of a sealed part.
func (a *attacker) bound(part string, name []byte, count uint64) []byte {
	return binary.BigEndian.AppendUint64(slices.Concat([]byte{counterfoil.RecordVersion}, a.storeID, []byte(part), name), count)
}

// values opens a session's values with a guess of its selector.
func (a *attacker) values(r *counterfoil.Record, selector []byte) ([]byte, bool) {
	key, err := a.keys.Derive(r.ValuesKey, keyring.Values)
	if err != nil {
		return nil, false
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("cf1 values"))
	mac.Write(selector)
	return a.open(r, mac.Sum(nil))
}

// open tries a key on a session's values.
func (a *attacker) open(r *counterfoil.Record, key []byte) ([]byte, bool) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(r.Values) < gcm.NonceSize() {
		return nil, false
	}
	plain, err := gcm.Open(nil, r.Values[:gcm.NonceSize()], r.Values[gcm.NonceSize():], a.bound("values", r.ID[:], r.ValuesCount))
	return plain, err == nil
}

// Whoever holds the whole store and the keys learns who is signed in, but gets no token and no value.
func TestG4WorthlessAtRest(t *testing.T) { // P13, P30, T12, F5, R1, R13
	c := newCluster(t, 1)
	n := c.nodes[0]
	token := n.signIn(t, "alice")
	if x := n.begin("POST", "/note/"+canary, sessionCookie+"="+token); x.w.Code != 200 {
		t.Fatal(x.w.Code)
	}
	next := c.next(t, n, token)
	wantUser(t, n, next, "alice") // so that the record knows of two generations
	a := newAttacker(t, c)

	raw, err := base64.RawURLEncoding.DecodeString(next)
	if err != nil {
		t.Fatal(err)
	}
	first, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.records) != 1 || !slices.ContainsFunc(a.loot, func(b []byte) bool { return bytes.Contains(b, []byte("alice")) }) {
		t.Fatal("the attack is too weak: identity opens with the keyring")
	}
	r := a.records[0]
	if plain, ok := a.values(r, raw[:16]); !ok || !bytes.Contains(plain, []byte(canary)) {
		t.Fatal("the attack is too weak: with the selector the values open")
	}

	for name, secret := range map[string][]byte{
		"value": []byte(canary), "token": []byte(next), "former token": []byte(token), "selector": raw[:16],
		"verifier": raw[16:], "former verifier": first[16:], "selector as text": []byte(next[:21]),
	} {
		for _, b := range a.loot {
			if bytes.Contains(b, secret) || bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(secret))) {
				t.Errorf("the %s stands in what the attacker has", name)
			}
		}
	}
	for _, b := range a.loot {
		for i := range b {
			if i+16 <= len(b) {
				sum := sha256.Sum256(b[i : i+16])
				if bytes.Equal(sum[:16], r.ID[:]) {
					t.Fatal("the attacker has a selector")
				}
				if _, ok := a.values(r, b[i:i+16]); ok {
					t.Fatal("the attacker opened the values")
				}
			}
			if i+32 <= len(b) {
				if _, ok := a.open(r, b[i:i+32]); ok {
					t.Fatal("the attacker opened the values")
				}
				guess := base64.RawURLEncoding.EncodeToString(b[i : i+32])
				c.clock.Advance(lease) // lets the limit of refusals leak
				if w := n.at("GET", "/me", guess); w.Body.String() != "" || w.Code != 200 {
					t.Fatalf("a token made from what the attacker has: %d %q", w.Code, w.Body)
				}
			}
		}
	}
	wantUser(t, n, next, "alice")
}
