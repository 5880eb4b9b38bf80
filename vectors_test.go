package counterfoil

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// recordVector is a whole record and its log entry with the keys that open them.
type recordVector struct {
	KeyFile  string // the ring, as a key file
	StoreID  string
	Realm    string
	Token    string
	Selector string

	SubjectHash  string // of "alice" in this realm
	NonceForm    string // what a sign-in form carried
	NonceID      string // the session that "alice" gets from that form
	Record       map[string]any
	IdentityData string // associated data of the identity part
	ValuesData   string
	Entry        map[string]any
	DetailData   string
}

// The sealed formats, with all that opens them. What is made from the same keys, clock and randomness
// is the same to the bit; what stands in the file opens.
func TestRecordVector(t *testing.T) { // G4, P30
	const path = "testdata/vectors/record.json"
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	keys, err := keyring.Generate(at, &stream{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := keys.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	storeID := []byte("0123456789abcdef")
	m := &Manager{
		keys: keys, macs: macs{keys: keys}, storeID: storeID, realm: "__Host-Http-session",
		random: &stream{n: 100}, policy: Policy{}.withDefaults(5 * time.Second),
	}
	now := instant{wall: at.UnixNano(), ns: at.UnixNano()}
	w := who{kind: KindBrowser, subject: "alice", methods: []string{"pwd"}, level: 1, proved: at.UnixMilli(), ip: "192.0.2.1", label: "Firefox on Linux"}
	values := valueSet{"cart": []byte("j[1,2]"), "note": []byte("shi")}
	var made identity
	var random freshBytes
	if _, err := io.ReadFull(m.random, random[:]); err != nil {
		t.Fatal(err)
	}
	rec, tok, err := m.mint(&made, w, 3, values, "", &random, now)
	if err != nil {
		t.Fatal(err)
	}
	entry := entryOf(newOpID(now.time(), random.op()), rec, EntryCreated, ReasonSignIn, now)
	if err := m.sealInto(rec, &entry, &made, now); err != nil {
		t.Fatal(err)
	}
	const nonce = "AAECAwQFBgcICQoLDA0ODw"
	form, _, err := nonceSelector(&m.macs, m.realm, "alice", nonce)
	if err != nil {
		t.Fatal(err)
	}
	subject := m.subjectHash("alice")
	v := recordVector{
		KeyFile: string(file), StoreID: fmt.Sprintf("%x", storeID), Realm: m.realm,
		Token: tok.reveal(), Selector: fmt.Sprintf("%x", tok.selector[:]),
		SubjectHash: fmt.Sprintf("%x", subject[:]), NonceForm: nonce, NonceID: form.id().String(),
		IdentityData: fmt.Sprintf("%x", partData(nil, storeID, "identity", rec.ID[:], rec.IdentityCount)),
		ValuesData:   fmt.Sprintf("%x", partData(nil, storeID, "values", rec.ID[:], rec.ValuesCount)),
		DetailData:   fmt.Sprintf("%x", partData(nil, storeID, "detail", entry.Op[:], 0)),
		Record: map[string]any{
			"Version": rec.Version, "ID": rec.ID, "Kind": rec.Kind, "Epoch": rec.Epoch,
			"Created": rec.Created, "IdleEnd": rec.IdleEnd, "AbsoluteEnd": rec.AbsoluteEnd,
			"IdentityKey": rec.IdentityKey.String(), "ValuesKey": rec.ValuesKey.String(),
			"VerifierKey": rec.VerifierKey.String(), "SelectorKey": rec.SelectorKey.String(),
			"IdentityCount": rec.IdentityCount, "ValuesCount": rec.ValuesCount,
			"Identity": fmt.Sprintf("%x", rec.Identity), "Values": fmt.Sprintf("%x", rec.Values),
		},
		Entry: map[string]any{
			"Version": entry.Version, "Kind": entry.Kind, "Op": fmt.Sprintf("%x", entry.Op[:]), "Reason": entry.Reason,
			"Time": entry.Time, "DetailKey": entry.DetailKey.String(), "Detail": fmt.Sprintf("%x", entry.Detail),
		},
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != string(got)+"\n" {
		t.Errorf("%s differs (%v); a format that changed needs a new version. Now:\n%s", path, err, got)
	}
	reread, err := keyring.Parse([]byte(v.KeyFile)) // as somebody who has only the file
	if err != nil {
		t.Fatal(err)
	}
	m.keys, m.macs = reread, macs{keys: reread}
	i, err := m.openIdentity(rec)
	if err != nil || !reflect.DeepEqual(i.who, w) {
		t.Errorf("identity: %+v, %v", i, err)
	}
	if opened, err := m.openValues(rec, &tok.selector); err != nil || !reflect.DeepEqual(opened, values) {
		t.Errorf("values: %v, %v", opened, err)
	}
	if told, err := m.openDetail(&entry); err != nil || !reflect.DeepEqual(told, w) {
		t.Errorf("detail: %+v, %v", told, err)
	}
}
