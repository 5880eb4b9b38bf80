package counterfoil

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Key is a typed value of a session. Make keys once, as package variables; they hold no state. T is
// encoded with encoding/json; strings, byte slices, integers, booleans and times directly. The zero Key
// is none: it has no name, and nothing is found or kept under it.
//
//	var Cart = counterfoil.NewKey[[]Item]("shop.cart")
type Key[T any] struct{ name string }

// AnyKey is any [Key].
type AnyKey interface{ keyName() string }

// NewKey returns the key of that name: 1 to 64 of a-z, 0-9, dot, hyphen and underscore. It panics on
// any other: the name is part of the program. Two keys of one name are the same value; if their
// types differ, reading is an error.
func NewKey[T any](name string) Key[T] {
	if name == "" || len(name) > 64 {
		panic("counterfoil: a key's name has 1 to 64 characters: " + name)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			panic("counterfoil: a key's name is of a-z, 0-9, '.', '-' and '_': " + name)
		}
	}
	return Key[T]{name}
}

var errNoName = errors.New("counterfoil: a key without a name; make keys with NewKey")

func (k Key[T]) keyName() string { return k.name }

// Get returns the value, or T's zero value if there is none. Each call decodes anew: what it returns
// is the caller's own. An error means that the value could not be read (ErrUnavailable, ErrEnded, or
// another type stored under this name), never that it is absent.
func (k Key[T]) Get(s *Session) (T, error) {
	var v T
	data, err := s.value(k.name)
	if err != nil || data == nil {
		return v, err
	}
	return v, k.decode(data, &v)
}

func (k Key[T]) decode(data []byte, v *T) error {
	if err := decodeValue(data, v); err != nil {
		return fmt.Errorf("counterfoil: value %q cannot be read as %T: %w", k.name, *v, err)
	}
	return nil
}

// Set stores v; it is written with the answer, or by [Session.Commit]. The last writer of a key
// wins, other keys are untouched. On a visitor without a session it starts an anonymous one.
// ErrTooLarge leaves the old value; ErrTooLate after the answer has begun; ErrReadOnly after Hijack. A
// write that others overtake again and again is ErrConflict, and a refusal: nothing was written.
func (k Key[T]) Set(s *Session, v T) error {
	if k.name == "" {
		return errNoName
	}
	data, err := encodeValue(v)
	if err != nil {
		return fmt.Errorf("counterfoil: value %q: %w", k.name, err)
	}
	return s.edit(k.name, data)
}

// Delete removes the value; errors are those of Set.
func (k Key[T]) Delete(s *Session) error { return s.edit(k.name, nil) }

// Update sets what f makes of the stored value and writes it at once; f is called again if another
// request changed the session meanwhile, and if that is so 32 times the error is ErrConflict. Pending
// values of other keys are not written. On a visitor without a session it is Get and Set. An error of f
// is returned as it is, and nothing is changed. f may read and set other values of s; one that updates s
// begins f anew, and in the end is an error.
func (k Key[T]) Update(s *Session, f func(T) (T, error)) error {
	if k.name == "" {
		return errNoName
	}
	return s.update(k.name, func(old []byte) ([]byte, error) {
		var v T
		if old != nil {
			if err := k.decode(old, &v); err != nil {
				return nil, err
			}
		}
		v, err := f(v)
		if err != nil {
			return nil, err
		}
		return encodeValue(v)
	})
}

// The first byte of an encoded value says how the rest is encoded, so that a key whose type changed
// is an error and not garbage.
const (
	tagJSON   = 'j'
	tagString = 's'
	tagBytes  = 'b'
	tagInt    = 'i'
	tagUint   = 'u'
	tagBool   = 't'
	tagTime   = 'd'
)

var errValueType = errors.New("it was stored with another type")

func encodeValue(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return append([]byte{tagString}, v...), nil
	case []byte:
		return append([]byte{tagBytes}, v...), nil
	case int:
		return binary.AppendVarint([]byte{tagInt}, int64(v)), nil
	case int64:
		return binary.AppendVarint([]byte{tagInt}, v), nil
	case uint64:
		return binary.AppendUvarint([]byte{tagUint}, v), nil
	case bool:
		return []byte{tagBool, flag(v)}, nil
	case time.Time:
		text, err := v.MarshalBinary()
		return append([]byte{tagTime}, text...), err
	}
	text, err := json.Marshal(v)
	return append([]byte{tagJSON}, text...), err
}

// decodeValue reads data into v, a pointer to the type it was stored with.
func decodeValue(data []byte, v any) error {
	if len(data) == 0 {
		return errValueType
	}
	tag, data := data[0], data[1:]
	switch v := v.(type) {
	case *string:
		if tag != tagString {
			return errValueType
		}
		*v = string(data)
		return nil
	case *[]byte:
		if tag != tagBytes {
			return errValueType
		}
		*v = append([]byte{}, data...)
		return nil
	case *int:
		var n int64
		err := decodeInt(tag, data, &n)
		*v = int(n)
		return err
	case *int64:
		return decodeInt(tag, data, v)
	case *uint64:
		n, size := binary.Uvarint(data)
		if tag != tagUint || size != len(data) {
			return errValueType
		}
		*v = n
		return nil
	case *bool:
		if tag != tagBool || len(data) != 1 {
			return errValueType
		}
		*v = data[0] == 1
		return nil
	case *time.Time:
		if tag != tagTime {
			return errValueType
		}
		return v.UnmarshalBinary(data)
	}
	if tag != tagJSON {
		return errValueType
	}
	return json.Unmarshal(data, v)
}

func decodeInt(tag byte, data []byte, v *int64) error {
	n, size := binary.Varint(data)
	if tag != tagInt || size != len(data) {
		return errValueType
	}
	*v = n
	return nil
}
