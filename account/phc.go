package account

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// phc is a password hash as the PHC string format writes it:
//
//	$argon2id$v=19$m=65536,t=3,p=1$<salt>$<key>
type phc struct {
	Params
	salt, key []byte
}

var errPHC = errors.New("account: the stored password hash is damaged; set the password anew with: counterfoil user passwd")

func (p phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Passes, p.Threads,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.key))
}

// check bounds what a stored hash can cost: at most 256 MiB and 16 passes.
func (p phc) check() error {
	switch {
	case p.Threads < 1 || p.Threads > 16:
		return fmt.Errorf("%d threads; 1 to 16 are allowed", p.Threads)
	case p.Memory < 8*uint32(p.Threads) || p.Memory > 256<<10:
		return fmt.Errorf("%d KiB of memory; 8 for each thread to 262144 are allowed", p.Memory)
	case p.Passes < 1 || p.Passes > 16:
		return fmt.Errorf("%d passes; 1 to 16 are allowed", p.Passes)
	case len(p.salt) < 8 || len(p.salt) > 64:
		return fmt.Errorf("a salt of %d bytes; 8 to 64 are allowed", len(p.salt))
	case len(p.key) < 16 || len(p.key) > 64:
		return fmt.Errorf("a key of %d bytes; 16 to 64 are allowed", len(p.key))
	}
	return nil
}

// parsePHC takes what phc.String writes, within the bounds of check, and nothing else.
func parsePHC(s string) (phc, error) {
	if len(s) > 256 {
		return phc{}, errPHC
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return phc{}, errPHC
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return phc{}, errPHC
	}
	var n [3]uint64
	for i, name := range []string{"m=", "t=", "p="} {
		digits, found := strings.CutPrefix(costs[i], name)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !found || err != nil || strconv.FormatUint(v, 10) != digits {
			return phc{}, errPHC
		}
		n[i] = v
	}
	if n[2] > 255 {
		return phc{}, errPHC
	}
	p := phc{Params: Params{Memory: uint32(n[0]), Passes: uint32(n[1]), Threads: uint8(n[2])}}
	var err error
	b64 := base64.RawStdEncoding.Strict()
	if p.salt, err = b64.DecodeString(parts[4]); err != nil {
		return phc{}, errPHC
	}
	if p.key, err = b64.DecodeString(parts[5]); err != nil {
		return phc{}, errPHC
	}
	if err := p.check(); err != nil {
		return phc{}, fmt.Errorf("%w (%v)", errPHC, err)
	}
	if p.String() != s { // base64 decoders skip line breaks
		return phc{}, errPHC
	}
	return p, nil
}
