package redis

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// pairs writes an entry as fields and values of a stream; zero ones are left out. Of an entry about
// one session the script adds what it takes from the record.
func pairs(e *counterfoil.Entry) []string {
	out := []string{
		"kind", strconv.Itoa(int(e.Kind)), "why", string(e.Reason), "time", strconv.FormatInt(e.Time.UnixMilli(), 10),
	}
	add := func(name string, value []byte) {
		if len(value) > 0 {
			out = append(out, name, string(value))
		}
	}
	if e.Op != (counterfoil.OpID{}) {
		add("op", e.Op[:])
	}
	if e.Kind == counterfoil.EntryEndedSubject {
		if e.Subject != (counterfoil.SubjectHash{}) {
			add("sub", e.Subject[:])
		}
		var except []byte
		for _, id := range e.Except {
			except = append(except, id[:]...)
		}
		add("exc", except)
		if e.Epoch != 0 {
			out = append(out, "epoch", fmt.Sprintf("%020d", e.Epoch))
		}
	}
	if e.DetailKey != 0 {
		out = append(out, "dkey", strconv.FormatUint(uint64(e.DetailKey), 10))
	}
	add("det", e.Detail)
	return out
}

// parseEntry reads an entry of the stream. [ErrDamaged].
func parseEntry(id string, fields []string) (counterfoil.Entry, error) {
	e := counterfoil.Entry{Version: counterfoil.EntryVersion}
	var err error
	number := func(text string, bits int) uint64 {
		n, fault := strconv.ParseUint(text, 10, bits)
		if fault != nil {
			err = fault
		}
		return n
	}
	fixed := func(to []byte, text string) {
		if copy(to, text) != len(text) || len(text) != len(to) {
			err = strconv.ErrRange
		}
	}
	seq, _, _ := strings.Cut(id, "-")
	e.Seq = number(seq, 64)
	for i := 0; i+1 < len(fields); i += 2 {
		switch v := fields[i+1]; fields[i] {
		case "kind":
			e.Kind = counterfoil.EntryKind(number(v, 8))
		case "why":
			e.Reason = counterfoil.Reason(v)
		case "time":
			ms, fault := strconv.ParseInt(v, 10, 64)
			if fault != nil {
				err = fault
			}
			e.Time = time.UnixMilli(ms).UTC()
		case "op":
			fixed(e.Op[:], v)
		case "ses":
			fixed(e.Session[:], v)
		case "sub":
			fixed(e.Subject[:], v)
		case "act":
			fixed(e.Actor[:], v)
		case "par":
			fixed(e.Parent[:], v)
		case "root":
			fixed(e.Root[:], v)
		case "exc":
			for ; len(v) >= 16; v = v[16:] {
				e.Except = append(e.Except, counterfoil.ID([]byte(v[:16])))
			}
			if v != "" {
				err = strconv.ErrRange
			}
		case "epoch":
			e.Epoch = number(v, 64)
		case "rev":
			e.Revision = number(v, 64)
		case "dkey":
			e.DetailKey = keyring.KeyID(number(v, 32))
		case "det":
			e.Detail = []byte(v)
		}
	}
	if err != nil {
		return counterfoil.Entry{}, fmt.Errorf("%w (entry %s of the log)", ErrDamaged, seq)
	}
	return e, nil
}
