package redis

import (
	"context"
	"embed"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil"
)

//go:embed lua/*.lua
var sources embed.FS

// The first line makes the server refuse a script before it begins, also one that only reads, where it
// could not write: a replica would answer with the past, a full server would stop half-way. Those that
// make room run on a full server too, and so does a node's poll, which takes none: whoever is signed in
// stays so.
const (
	firstLine        = "#!lua\n"
	firstLineToClean = "#!lua flags=allow-oom\n"
)

var cleaning = map[string]bool{"poll": true, "revoke": true, "reap": true, "trim": true, "sweep": true, "link_tidy": true}

// compile joins each script with what all share. Redis keeps them by their hash; one that it does not
// have is sent whole.
func compile() (map[string]*rueidis.Lua, error) {
	const common = "lua/common.lua"
	shared, err := sources.ReadFile(common)
	if err != nil {
		return nil, err
	}
	entries, err := sources.ReadDir("lua")
	if err != nil {
		return nil, err
	}
	all := make(map[string]*rueidis.Lua)
	for _, e := range entries {
		file := path.Join("lua", e.Name())
		if file == common {
			continue
		}
		own, err := sources.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(e.Name(), ".lua")
		first := firstLine
		if cleaning[name] {
			first = firstLineToClean
		}
		all[name] = rueidis.NewLuaScript(first + string(shared) + string(own))
	}
	return all, nil
}

// args are the arguments of a script, read there in the same order.
type args []string

func (a args) text(s string) args   { return append(a, s) }
func (a args) bytes(b []byte) args  { return append(a, string(b)) }
func (a args) int(n int64) args     { return append(a, strconv.FormatInt(n, 10)) }
func (a args) number(n uint64) args { return append(a, strconv.FormatUint(n, 10)) }
func (a args) list(l []string) args { return append(a.int(int64(len(l))), l...) }
func (a args) flag(b bool) args {
	if b {
		return append(a, "1")
	}
	return append(a, "0")
}

// call runs a script. An error is one of the contract's sentinels, or means "unknown".
func (s *Store) call(ctx context.Context, script string, a args) (answer, error) {
	return s.callOver(ctx, s.client, script, a)
}

func (s *Store) callOver(ctx context.Context, c rueidis.Client, script string, a args) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	parts, err := s.scripts[script].Exec(ctx, c, s.keys, a).ToArray()
	if err != nil {
		return answer{}, fmt.Errorf("redis: %s: %w", script, err)
	}
	out := answer{parts: parts}
	switch word := out.text(0); word {
	case "ok":
		return out, nil
	case "none":
		return out, counterfoil.ErrNotFound
	case "conflict":
		return out, counterfoil.ErrConflict
	case "exists":
		return out, counterfoil.ErrExists
	case "parent":
		return out, counterfoil.ErrNoParent
	case "superseded":
		return out, counterfoil.ErrSuperseded
	case "limit":
		return out, counterfoil.ErrLimit
	case "fenced":
		return out, counterfoil.ErrFenced
	default:
		return out, fmt.Errorf("%w (%s answers %q)", ErrDamaged, script, word)
	}
}

// answer is what a script returned. The first fault is kept.
type answer struct {
	parts []rueidis.RedisMessage
	err   error
}

func (a *answer) at(i int) *rueidis.RedisMessage {
	if i >= len(a.parts) {
		a.fault(fmt.Errorf("%w (an answer of %d parts)", ErrDamaged, len(a.parts)))
		return nil
	}
	return &a.parts[i]
}

func (a *answer) fault(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *answer) text(i int) string {
	m := a.at(i)
	if m == nil {
		return ""
	}
	v, err := m.ToString()
	if err != nil {
		a.fault(fmt.Errorf("%w (%w)", ErrDamaged, err))
	}
	return v
}

func (a *answer) number(i int) uint64 {
	m := a.at(i)
	if m == nil {
		return 0
	}
	v, err := m.AsUint64()
	if err != nil {
		a.fault(fmt.Errorf("%w (%w)", ErrDamaged, err))
	}
	return v
}

// array returns the parts of a part.
func (a *answer) array(i int) answer {
	m := a.at(i)
	if m == nil {
		return answer{err: a.err}
	}
	parts, err := m.ToArray()
	if err != nil {
		a.fault(fmt.Errorf("%w (%w)", ErrDamaged, err))
	}
	return answer{parts: parts, err: err}
}

// ids reads IDs that stand one behind the other.
func (a *answer) ids(i int) []counterfoil.ID {
	text := a.text(i)
	if len(text)%16 != 0 {
		a.fault(fmt.Errorf("%w (IDs of %d bytes)", ErrDamaged, len(text)))
		return nil
	}
	var out []counterfoil.ID
	for ; text != ""; text = text[16:] {
		out = append(out, counterfoil.ID([]byte(text[:16])))
	}
	return out
}
