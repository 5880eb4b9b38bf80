package audit

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrTail says that what the store keeps under [TailKey] cannot be read.
var ErrTail = errors.New("audit: the store's note of the last line cannot be read; verify without it, which finds everything but a cut end")

// tail is what the store keeps of the last durable line.
type tail struct {
	Version     int    `json:"v"`
	Number      uint64 `json:"n"`
	MAC         []byte `json:"mac"`
	Offset      int64  `json:"offset"` // of the first byte after the line
	Chain       string `json:"chain"`
	First       uint64 `json:"first"` // number of the chain's first line
	Seq         uint64 `json:"seq"`   // position in the store's log up to which everything is in the file
	Incarnation string `json:"incarnation,omitempty"`
}

// parseTail returns the zero tail for nil.
func parseTail(raw []byte) (tail, error) {
	var t tail
	if raw == nil {
		return t, nil
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return tail{}, fmt.Errorf("%w: %w", ErrTail, err)
	}
	if _, ok := parseChainID(t.Chain); !ok || t.Version != Version || t.Number == 0 || len(t.MAC) != 32 ||
		t.Offset < int64(macPart) || t.First == 0 || t.First > t.Number {
		return tail{}, ErrTail
	}
	return t, nil
}

func (t tail) encode() ([]byte, error) { return json.Marshal(t) }

// is reports whether l is the line that t tells of.
func (t tail) is(l Line) bool {
	return l.Number == t.Number && l.Chain == t.Chain &&
		hmac.Equal([]byte(l.MAC), []byte(base64.RawURLEncoding.EncodeToString(t.MAC)))
}
