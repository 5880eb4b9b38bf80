// Package keyring finds, makes, keeps, changes and uses the keys of an installation.
//
//	keys, source, err := keyring.Resolve(keyring.Options{
//		Env:     os.LookupEnv,
//		OwnPath: "data/keys",
//		Now:     now,
//	})
//	if err != nil {
//		return err // says what to do; no key was made
//	}
//	slog.Info("keys", "ring", keys, "source", source) // prints a fingerprint, no key
//	id, sealed, err := keys.Seal(keyring.Identity, now, aad, plain)
//
// A [Ring] has one primary key, which seals, any number of enabled ones, which open what they have
// sealed, and two roots that never rotate. Either a ring holds strong keys or there is no ring:
// nothing here pads, cuts, stretches or guesses a key, and nothing falls back to another one.
//
// # What is derived
//
// Everything comes from a key's 32 bytes by HKDF-SHA-256 (RFC 5869) without salt; the info is
// "counterfoil/1 " and
//
//	id                             the first 4 bytes are the KeyID
//	sub PURPOSE                    Derive
//	seal PURPOSE 00 DAY            the AES-256-GCM key of Seal; DAY is 4 bytes, big-endian
//	root index, root audit         the roots, where a single key is all there is
//	fingerprint                    of the index root, for Fingerprint
//
// A sealed text is the version byte 01, DAY (days since 1970, UTC), a random nonce of 12 bytes, and
// the AES-256-GCM ciphertext with its tag of 16 bytes. A sub-key seals for one day, so that random
// nonces stay far below the 2^32 messages that NIST SP 800-38D (8.3) allows a key.
//
// # A key as a line
//
//	cfk1_ base64url(KEY CRC)
//
// with no space between: 53 characters. KEY is 32 bytes, CRC the big-endian CRC-32 (IEEE) of the
// text "cfk1_" and KEY. It is there against typing errors, cuts and things that are no key; it
// finds every single wrong character. Bytes that no random source makes are refused even so.
//
// # A key file
//
//	counterfoil-keys 1
//	wrap none
//	root index cfr1_…
//	root audit cfr1_…
//	key 21f1cd07 disabled 2026-01-02T03:04:05Z -
//	key b5eea98f enabled 2026-06-07T08:09:10Z cfk1_…
//	key be9aa5f7 primary 2026-11-21T12:00:00Z cfk1_…
//	sum SHA-256 of all lines above, 64 hexadecimal digits
//
// Lines end with a newline, words are parted by one space, keys stand oldest first. A root is
// written as a key is, with the prefix cfr1_. "wrap none" says that the keys stand there in the
// clear. A time that is not known, and the bytes of a
// disabled key, are a "-". One content has one text; any other is refused.
//
// # A wrapped key file
//
//	counterfoil-keys 1
//	wrap key:4ed33d98 AQAAAAD8…
//	sealed AQAAAADs…
//	sum …
//
// "wrap" names the [Wrapper] and has, in base64url, what it made of a data key of 32 bytes, which is
// new in each writing of the file. "sealed" is the lines from "root index" to the last key, sealed
// under the data key for the purpose "key file" and day 0, with the two lines before it, newlines and
// all, as associated data. What a [KeyWrapper] makes of the data key is it sealed for the purpose
// "wrap" and day 0, with [WrapPurpose] as associated data.
//
// The folder testdata/vectors holds test vectors of all of this, made by another implementation.
package keyring
