package keyring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// The names that [Resolve] asks the environment for.
const (
	EnvKeyFile = "COUNTERFOIL_KEY_FILE" // path of a key file, or of a file with one key line
	EnvKey     = "COUNTERFOIL_KEY"      // one key line

	EnvWrapFile = "COUNTERFOIL_WRAPPING_KEY_FILE" // path of a file with one key line, see [KeyFileWrapper]
	EnvWrap     = "COUNTERFOIL_WRAPPING_KEY"      // one key line, see [KeyWrapper]
)

// SourceKind says where a ring came from.
type SourceKind string

const (
	SourceFile        SourceKind = "file"        // the file that COUNTERFOIL_KEY_FILE names; not ours to change
	SourceEnvironment SourceKind = "environment" // COUNTERFOIL_KEY; not ours to change
	SourceOwn         SourceKind = "own"         // our own file, found
	SourceGenerated   SourceKind = "generated"   // our own file, made by this call
	SourceEphemeral   SourceKind = "ephemeral"   // asked for: in memory, gone with the process
	SourceMemory      SourceKind = "memory"      // made by Generate, FromKey or Parse, kept nowhere
)

// Source says where a ring came from. Its zero value is that of a ring without keys.
type Source struct {
	Kind SourceKind
	Path string // of the file, if it came from one
	Wrap string // name of the [Wrapper] of that file; "": it is not wrapped
}

// String returns one phrase for a log. It holds no secret.
func (s Source) String() string {
	wrap := ", not wrapped"
	if s.Wrap != "" {
		wrap = ", wrapped by " + s.Wrap
	}
	switch s.Kind {
	case SourceFile:
		return "key file " + s.Path + ", named by " + EnvKeyFile + wrap
	case SourceEnvironment:
		return EnvKey + wrap
	case SourceOwn:
		return "key file " + s.Path + wrap
	case SourceGenerated:
		return "key file " + s.Path + ", newly made" + wrap
	case SourceEphemeral:
		return "ephemeral, in memory only: every restart signs everybody out"
	case SourceMemory:
		return "memory"
	}
	return "none"
}

// Source says where the ring came from.
func (r *Ring) Source() Source {
	if r == nil {
		return Source{}
	}
	source := r.source
	if w := r.snapshot().wrapper; w != nil {
		source.Wrap = w.Name()
	}
	return source
}

// Options of [Resolve]. The zero value knows no source and is refused with [ErrNoSource].
type Options struct {
	// Env looks a variable up; [os.LookupEnv] in a program. A variable that is set but empty is
	// refused like any other unusable key. Nil: the environment is not asked.
	Env func(name string) (value string, set bool)

	// OwnPath is the file that is used, and made if it is missing, when the environment names no
	// key. Its folder must be ours alone. Empty, as where several nodes share a store: keys are
	// never made, the environment must name them.
	OwnPath string

	// Ephemeral asks for keys in memory alone. It is a choice, never a fallback, and is refused
	// together with a key from the environment. The own file is neither read nor made.
	Ephemeral bool

	// Wrapper unwraps the key file, and wraps it whenever it is written. Keys that are not wrapped are
	// refused then. Nil: the environment may name a wrapping key, and if it does not, a file that is
	// wrapped is refused.
	Wrapper Wrapper

	Random io.Reader // nil: crypto/rand
	Now    time.Time // the creation time of a key that is made
}

var (
	// ErrConflict says that two sources of keys are given.
	ErrConflict = errors.New("keyring: two sources of keys are given, and which one holds cannot be guessed")
	// ErrNoSource says that no source of keys is given.
	ErrNoSource = errors.New("keyring: no key is given and none may be made here")
)

// Resolve finds the keys of an installation, in this order: the file that COUNTERFOIL_KEY_FILE
// names, the key in COUNTERFOIL_KEY, the own file, a new own file. The first source that is there
// counts: if it cannot be used, Resolve fails with an error that says what to do, and makes no key.
// Any number of processes may call it for one path at once; all get the same keys.
//
// Errors, besides those of the operating system: [ErrConflict], [ErrNoSource], [ErrNotKey],
// [ErrCut], [ErrDamaged], [ErrWeak], [ErrVersion], [ErrWrapped], [ErrNotWrapped], [ErrUnsafe],
// [ErrBusy].
func Resolve(o Options) (*Ring, Source, error) {
	r, err := resolve(o)
	if err != nil {
		return nil, Source{}, err
	}
	if o.Random != nil {
		r.random = &lockedReader{r: o.Random}
	}
	return r, r.Source(), nil
}

func resolve(o Options) (*Ring, error) {
	var path, line string
	var named, given bool
	if o.Env != nil {
		path, named = o.Env(EnvKeyFile)
		line, given = o.Env(EnvKey)
	}
	switch {
	case named && given:
		return nil, fmt.Errorf("%w: %s and %s are both set, unset one of them", ErrConflict, EnvKeyFile, EnvKey)
	case o.Ephemeral && (named || given):
		return nil, fmt.Errorf("%w: an ephemeral key is asked for and %s or %s is set, drop one of them", ErrConflict, EnvKeyFile, EnvKey)
	case o.Ephemeral:
		return ephemeral(o)
	}
	if err := o.resolveWrapper(); err != nil {
		return nil, err
	}
	switch {
	case named:
		return fromNamed(path, o.Wrapper)
	case given && o.Wrapper != nil:
		return nil, fmt.Errorf("%s cannot be used: it is %w; or name a wrapped key file in %s", EnvKey, ErrNotWrapped, EnvKeyFile)
	case given:
		return fromVariable(line)
	case o.OwnPath == "":
		return nil, fmt.Errorf("%w: put what `counterfoil key generate` prints into a file and name it in %s, the same for all nodes", ErrNoSource, EnvKeyFile)
	}
	return fromOwn(o)
}

// resolveWrapper asks the environment for a wrapping key.
func (o *Options) resolveWrapper() error {
	if o.Env == nil {
		return nil
	}
	path, named := o.Env(EnvWrapFile)
	line, given := o.Env(EnvWrap)
	switch {
	case named && given:
		return fmt.Errorf("%w: %s and %s are both set, unset one of them", ErrConflict, EnvWrapFile, EnvWrap)
	case (named || given) && o.Wrapper != nil:
		return fmt.Errorf("%w: this program wraps its keys by %s, unset %s and %s", ErrConflict, o.Wrapper.Name(), EnvWrapFile, EnvWrap)
	}
	var err error
	switch {
	case named:
		if o.Wrapper, err = KeyFileWrapper(path); err != nil {
			return fmt.Errorf("%s: %w", EnvWrapFile, err)
		}
	case given:
		if o.Wrapper, err = lineWrapper(line); err != nil {
			return fmt.Errorf("%s cannot be used: %w; set it to the one line that `counterfoil key generate` prints", EnvWrap, err)
		}
	}
	return nil
}

func ephemeral(o Options) (*Ring, error) {
	r, err := Generate(o.Now, o.Random)
	if err != nil {
		return nil, err
	}
	r.source.Kind = SourceEphemeral
	return r, nil
}

func fromVariable(line string) (*Ring, error) {
	k, err := ParseKey(line)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w; set it to the one line that `counterfoil key generate` prints (a whole key file goes into a file that %s names)", EnvKey, err, EnvKeyFile)
	}
	r := &Ring{source: Source{Kind: SourceEnvironment}}
	r.now.Store(singleSnapshot(k))
	return r, nil
}

func fromNamed(path string, w Wrapper) (*Ring, error) {
	s, err := loadNamed(path, w)
	if err != nil {
		return nil, err
	}
	r := &Ring{source: Source{Kind: SourceFile, Path: path}}
	r.now.Store(s)
	return r, nil
}

func loadNamed(path string, w Wrapper) (*snapshot, error) {
	data, err := readNamed(path)
	var s *snapshot
	if err == nil {
		s, err = parse(data, w)
	}
	if err != nil {
		return nil, fmt.Errorf("%s (%q) cannot be used: %w; name a file that holds a key file or the line that `counterfoil key generate` prints", EnvKeyFile, path, err)
	}
	return s, nil
}

func fromOwn(o Options) (*Ring, error) {
	r := &Ring{source: Source{Kind: SourceOwn, Path: o.OwnPath}}
	s, err := loadOwn(o.OwnPath, o.Wrapper)
	if isMissing(err) {
		if s, err = createOwn(o); err == nil && s == nil { // another process was faster
			s, err = loadOwn(o.OwnPath, o.Wrapper)
		} else {
			r.source.Kind = SourceGenerated
		}
	}
	if err != nil {
		return nil, err
	}
	r.now.Store(s)
	return r, nil
}

// loadOwn reads our own file. If that is missing, isMissing reports it of the error.
func loadOwn(path string, w Wrapper) (*snapshot, error) {
	if err := checkApart(w, path); err != nil {
		return nil, err
	}
	data, err := readOwn(path)
	if err != nil {
		return nil, fmt.Errorf("key file %s cannot be used: %w; it must be a file that this user owns and alone can read", path, err)
	}
	s, err := parse(data, w)
	if errors.Is(err, ErrWrapped) || errors.Is(err, ErrNotWrapped) {
		return nil, fmt.Errorf("key file %s cannot be decrypted: it is %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("key file %s cannot be used: it is %w; put a good copy there, or move it away: then new keys are made and everybody is signed out", path, err)
	}
	return s, nil
}

// createOwn makes the keys and their file. It returns nil and no error if the file has come to be
// meanwhile.
func createOwn(o Options) (*snapshot, error) {
	fail := func(err error) (*snapshot, error) {
		return nil, fmt.Errorf("key file %s cannot be made: %w; make its folder writable and see that the disk has room, or ask for an ephemeral key (--ephemeral-key)", o.OwnPath, err)
	}
	if err := makeFolder(o.OwnPath); err != nil {
		return fail(err)
	}
	unlock, err := lockFolder(o.OwnPath)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	if _, err := readOwn(o.OwnPath); !isMissing(err) {
		return nil, nil
	}
	fresh, err := Generate(o.Now, o.Random)
	if err != nil {
		return nil, err
	}
	s := fresh.snapshot()
	data, err := s.encode(o.Wrapper, fresh.random)
	if err != nil {
		return nil, err
	}
	s.wrapper = o.Wrapper // nobody else has seen it yet
	err = writeOwn(o.OwnPath, data, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return nil, nil
	}
	if err == nil {
		err = syncFolder(o.OwnPath)
	}
	if err != nil {
		return fail(err)
	}
	return s, nil
}
