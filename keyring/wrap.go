package keyring

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Wrapper encrypts a key file under a key that is kept elsewhere: in a key management service (KMS),
// a security module or, as [KeyWrapper] has it, a file of its own. The file is sealed under a key made
// for that one writing of it, and the Wrapper wraps that. It may be called by many goroutines.
type Wrapper interface {
	// Name says which key wraps, in the key file, in logs and in errors: 1 to 200 letters, digits and
	// any of "-._:/@+=", other than "none". It stays when the key behind it gets a new version.
	Name() string
	// Wrap encrypts and authenticates a key of 32 bytes, and binds it to a purpose, which is no secret
	// (a KMS calls it additional data or an encryption context). It must not keep or log the key.
	Wrap(ctx context.Context, key []byte, purpose string) ([]byte, error)
	// Unwrap undoes Wrap, whichever version of the key behind Name it was done with, or fails.
	Unwrap(ctx context.Context, wrapped []byte, purpose string) ([]byte, error)
}

var (
	// ErrWrapped says that a key file is wrapped (encrypted) and cannot be unwrapped.
	ErrWrapped = errors.New("wrapped in a way that this program cannot undo")
	// ErrNotWrapped says that keys stand in the clear where wrapped ones are asked for: somebody may
	// have put them there.
	ErrNotWrapped = errors.New("not wrapped, although a wrapping key is given: " +
		"if that is right, start once without the wrapping key and run `counterfoil key wrap`")
)

const (
	// WrapPurpose is what a [Wrapper] binds a wrapped key to.
	WrapPurpose = "counterfoil/1 key file"

	wrapTime   = 4 * time.Second // what a Wrapper gets: a start that cannot succeed is soon refused
	nameLimit  = 200
	sealedMark = "sealed "

	// What these seal is so little that the sub-key of one day, day 0, does for all of it.
	sealedFile  = Purpose("key file") // under the key that is wrapped
	sealedByKey = Purpose("wrap")     // under the key of a KeyWrapper
)

var wrapCode = base64.RawURLEncoding.Strict()

// wrapped writes the key file under a new key, and reads it back through w: a file that the next
// start could not read is none to keep.
func (s *snapshot) wrapped(w Wrapper, random io.Reader) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("keyring: the keys could not be wrapped by %q, nothing was changed: %w", w.Name(), err)
	}
	if !validName(w.Name()) {
		return fail(errors.New("that is no name of a wrapping"))
	}
	key, err := NewKey(random)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), wrapTime)
	defer cancel()
	secret, err := w.Wrap(ctx, key[:], WrapPurpose)
	if err != nil {
		return fail(err)
	}
	seal, err := FromKey(key)
	if err != nil {
		return fail(err)
	}
	seal.random = random
	wrap := wrapLine(w.Name(), secret)
	_, sealed, err := seal.Seal(sealedFile, time.Time{}, []byte(head(wrap)), []byte(s.body()))
	if err != nil {
		return fail(err)
	}
	text := framed(wrap, sealedMark+wrapCode.EncodeToString(sealed)+"\n")
	if _, err := parse([]byte(text), w); err != nil {
		return fail(fmt.Errorf("what it has wrapped it does not unwrap: %w", err))
	}
	return text, nil
}

// unwrapped reads a wrapped key file: its text, what its second line says and the lines after that.
func unwrapped(text, wrap string, lines []string, w Wrapper) (*snapshot, error) {
	name, secret, _ := strings.Cut(wrap, " ")
	switch {
	case !validName(name):
		return nil, ErrWrapped
	case w == nil:
		return nil, fmt.Errorf("%w: by %s; name the wrapping key in %s", ErrWrapped, name, EnvWrapFile)
	case w.Name() != name:
		return nil, fmt.Errorf("%w: by %s, and the wrapping key that is given is %s", ErrWrapped, name, w.Name())
	case len(lines) != 1 || !strings.HasPrefix(lines[0], sealedMark):
		return nil, fmt.Errorf("line 3 is not what is wrapped: %w", ErrDamaged)
	}
	wrapped, err := wrapCode.DecodeString(secret)
	if err != nil {
		return nil, fmt.Errorf("line 2: %w", ErrDamaged)
	}
	sealed, err := wrapCode.DecodeString(lines[0][len(sealedMark):])
	if err != nil {
		return nil, fmt.Errorf("line 3: %w", ErrDamaged)
	}
	if framed(wrapLine(name, wrapped), sealedMark+wrapCode.EncodeToString(sealed)+"\n") != text {
		return nil, errForm // the decoder passes over line breaks
	}
	body, err := unseal(w, name, wrapped, sealed)
	if err != nil {
		return nil, err
	}
	s, err := parseBody(strings.Split(strings.TrimSuffix(body, "\n"), "\n"))
	if err != nil {
		return nil, err
	}
	if s.body() != body {
		return nil, errForm
	}
	s.wrapper = w
	return s, nil
}

func wrapLine(name string, wrapped []byte) string {
	return name + " " + wrapCode.EncodeToString(wrapped)
}

// unseal opens what a wrapped file has in it.
func unseal(w Wrapper, name string, wrapped, sealed []byte) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wrapTime)
	defer cancel()
	raw, err := w.Unwrap(ctx, wrapped, WrapPurpose)
	if err != nil {
		return "", fmt.Errorf("%w: %s does not unwrap it, the wrapping key is the wrong one or gone, or the file is damaged: %w", ErrWrapped, name, err)
	}
	if len(raw) != len(Key{}) {
		return "", fmt.Errorf("%w: %s unwraps %d bytes instead of %d", ErrWrapped, name, len(raw), len(Key{}))
	}
	open, err := FromKey(Key(raw))
	clear(raw)
	if err != nil {
		return "", fmt.Errorf("%w: what %s unwraps is no key: %w", ErrWrapped, name, err)
	}
	body, err := open.Open(open.Primary(), sealedFile, []byte(head(wrapLine(name, wrapped))), sealed)
	if err != nil {
		return "", fmt.Errorf("%w: the wrapping key is the wrong one, or the file is damaged", ErrWrapped)
	}
	return string(body), nil
}

func validName(name string) bool {
	return name != "" && name != noWrap && len(name) <= nameLimit && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:/@+=", r))
	})
}

// keyWrapper wraps under a key of our own form.
type keyWrapper struct {
	ring *Ring
	path string // of the file it was read from; "": none
}

// KeyWrapper wraps under a key (AES-256-GCM) that must be kept apart from the key file: a copy of both
// opens as a copy of one that is not wrapped. Its name is "key:" and the key's ID.
func KeyWrapper(k Key) (Wrapper, error) {
	ring, err := FromKey(k)
	if err != nil {
		return nil, err
	}
	return &keyWrapper{ring: ring}, nil
}

// KeyFileWrapper is [KeyWrapper] with the one key line in a file, which may be a mounted secret: a link,
// and readable by others, but not writable. Errors: those of [ParseKey], [ErrUnsafe].
func KeyFileWrapper(path string) (Wrapper, error) {
	data, err := readNamed(path)
	var w Wrapper
	if err == nil {
		w, err = lineWrapper(strings.TrimSuffix(string(data), "\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("wrapping key file %q cannot be used: %w; it must hold the line that `counterfoil key generate` prints", path, err)
	}
	w.(*keyWrapper).path = path
	return w, nil
}

func lineWrapper(line string) (Wrapper, error) {
	k, err := ParseKey(line)
	if err != nil {
		return nil, err
	}
	return KeyWrapper(k)
}

// Name returns "key:" and the ID of the key.
func (w *keyWrapper) Name() string { return "key:" + w.ring.Primary().String() }

// Wrap implements [Wrapper].
func (w *keyWrapper) Wrap(_ context.Context, key []byte, purpose string) ([]byte, error) {
	_, sealed, err := w.ring.Seal(sealedByKey, time.Time{}, []byte(purpose), key)
	return sealed, err
}

// Unwrap implements [Wrapper].
func (w *keyWrapper) Unwrap(_ context.Context, wrapped []byte, purpose string) ([]byte, error) {
	return w.ring.Open(w.ring.Primary(), sealedByKey, []byte(purpose), wrapped)
}

// String returns the name.
func (w *keyWrapper) String() string { return w.Name() }

// checkApart refuses a wrapping key that lies beside the key file: whoever copies the one has the other.
func checkApart(w Wrapper, keyFile string) error {
	k, ok := w.(*keyWrapper)
	if !ok || k.path == "" {
		return nil
	}
	theirs, err := filepath.EvalSymlinks(k.path)
	if err != nil {
		return err
	}
	there, err := os.Stat(filepath.Dir(theirs))
	if err != nil {
		return err
	}
	ours, err := os.Stat(filepath.Dir(keyFile))
	if isMissing(err) {
		return nil
	}
	if err == nil && os.SameFile(ours, there) {
		err = fmt.Errorf("%w: the wrapping key file %s lies beside the key file that it is to protect, so that whoever copies that folder has both: keep it elsewhere", ErrUnsafe, k.path)
	}
	return err
}
