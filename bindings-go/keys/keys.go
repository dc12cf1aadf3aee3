// Package keys makes the 32 bytes that protect a database (S2): from a passphrase, from raw bytes, or kept by the operating system.
//
// There is no default: leaving a database open is a decision ([Unprotected]). Losing the key loses the database; there is no recovery.
package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// Length of every key, in bytes.
const Length = 32

// Key is what opens a database: made by [Passphrase], [Raw], [Keyring] or [Unprotected]. It prints as its kind alone.
type Key struct {
	kind kind
	// secret is behind a function: fmt asks no value in a field that is not exported how it prints, but calls no function either.
	secret func() []byte
	entry  entry
}

type kind string

const (
	passphrase  kind = "passphrase"
	rawKey      kind = "rawKey"
	keyringKey  kind = "keyring"
	unprotected kind = "unprotected"
)

// Passphrase is a text the user knows; any Unicode, not empty. It is as strong as it is hard to guess.
func Passphrase(text string) Key { return Key{kind: passphrase, secret: keep([]byte(text))} }

// Raw is 32 bytes of full entropy that the application keeps. They are copied.
func Raw(key []byte) Key { return Key{kind: rawKey, secret: keep(bytes.Clone(key))} }

func keep(secret []byte) func() []byte { return func() []byte { return secret } }

// Keyring is a random key kept by the operating system under these names: Secret Service, Keychain, Credential Manager. service names the
// application, account the database within it.
func Keyring(service, account string) Key {
	return Key{kind: keyringKey, entry: entry{service, account}}
}

// Unprotected is no protection: whoever can read the file reads keys and messages, and any SQLite tool shows the messages.
func Unprotected() Key { return Key{kind: unprotected} }

// IsUnprotected tells whether this is [Unprotected].
func (k Key) IsUnprotected() bool { return k.kind == unprotected }

// Format prints the kind, whatever the verb.
func (k Key) Format(state fmt.State, _ rune) {
	// A writer of fmt does not fail.
	_, _ = fmt.Fprintf(state, "key(%s)", string(k.kind))
}

// LogValue logs the kind.
func (k Key) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

// MarshalText gives the kind, so that no encoder writes the secret.
func (k Key) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(k)), nil }

// Wipe overwrites the key; it is of no use afterwards.
func (k Key) Wipe() {
	if k.secret != nil {
		clear(k.secret())
	}
}

// NewDerivation says how the key of a new database will be made: with a fresh salt for a passphrase; for a keyring, its entry gets a random
// key if it has none. It fails with INVALID_ARGUMENT for a malformed key, KEYRING_UNAVAILABLE if the system has no keyring, ABORTED once the context
// has ended.
func (k Key) NewDerivation(ctx context.Context) (*abi.KeyDerivation, error) {
	if err := fault.OfContext(ctx); err != nil {
		return nil, err
	}
	if err := k.check(); err != nil {
		return nil, err
	}
	switch k.kind {
	case rawKey:
		return &abi.KeyDerivation{Derivation: &abi.KeyDerivation_RawKey{RawKey: &abi.RawKey{}}}, nil
	case passphrase:
		argon2id := proposed()
		argon2id.Salt = make([]byte, saltLength)
		// Never fails.
		_, _ = rand.Read(argon2id.Salt)
		return &abi.KeyDerivation{Derivation: &abi.KeyDerivation_Argon2Id{Argon2Id: argon2id}}, nil
	case keyringKey:
		if err := k.entry.ensure(ctx); err != nil {
			return nil, err
		}
		names := &abi.Keyring{Service: k.entry.service, Account: k.entry.account}
		return &abi.KeyDerivation{Derivation: &abi.KeyDerivation_Keyring{Keyring: names}}, nil
	default:
		return &abi.KeyDerivation{Derivation: &abi.KeyDerivation_Unprotected{Unprotected: &abi.Unprotected{}}}, nil
	}
}

// Derive makes the 32 bytes that open a database whose header names derivation; zeros if it is unprotected. They are the caller's to wipe.
// It fails with
//
//   - INVALID_ARGUMENT: the key is malformed;
//   - WRONG_KEY: the database needs a key of another kind, which the message names, or the keyring has lost it;
//   - KEYRING_UNAVAILABLE: the system has no keyring, or it stays locked;
//   - DATABASE_CORRUPT: the header asks for more work than any database of this SDK;
//   - UNSUPPORTED_VERSION: a kind this version does not know;
//   - ABORTED: the context has ended.
func (k Key) Derive(ctx context.Context, derivation *abi.KeyDerivation) ([]byte, error) {
	if err := fault.OfContext(ctx); err != nil {
		return nil, err
	}
	if err := k.check(); err != nil {
		return nil, err
	}
	switch needed := derivation.GetDerivation().(type) {
	case *abi.KeyDerivation_Unprotected:
		if k.kind != unprotected {
			return nil, k.wrongKind("is not protected: open it with keys.Unprotected()")
		}
		return make([]byte, Length), nil
	case *abi.KeyDerivation_RawKey:
		if k.kind != rawKey {
			return nil, k.wrongKind("needs a raw key: give keys.Raw")
		}
		return bytes.Clone(k.secret()), nil
	case *abi.KeyDerivation_Argon2Id:
		if k.kind != passphrase {
			return nil, k.wrongKind("needs a passphrase: give keys.Passphrase")
		}
		return fromPassphrase(ctx, normalized(k.secret()), needed.Argon2Id)
	case *abi.KeyDerivation_Keyring:
		named := entry{needed.Keyring.GetService(), needed.Keyring.GetAccount()}
		if k.kind != keyringKey {
			return nil, k.wrongKind(fmt.Sprintf("needs a key of the keyring: give keys.Keyring with %v", named))
		}
		return k.fromKeyring(ctx, named)
	default:
		return nil, fault.New(abi.ErrorCode_UNSUPPORTED_VERSION,
			"derivation: the database uses a kind of key this version does not know; update the SDK")
	}
}

func (k Key) fromKeyring(ctx context.Context, named entry) ([]byte, error) {
	// The caller's names are read, not the file's: a foreign file must not choose the entry.
	if k.entry != named {
		return nil, fault.New(abi.ErrorCode_WRONG_KEY,
			"StorageKey: %v is not the entry of this database, which is %v; name that one", k.entry, named)
	}
	key, err := k.entry.read(ctx)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, fault.New(abi.ErrorCode_WRONG_KEY,
			"StorageKey: the keyring has no %v; restore the entry, or open the database where it was made", k.entry)
	}
	return key, nil
}

// check never repeats what was given.
func (k Key) check() error {
	switch k.kind {
	case unprotected:
		return nil
	case rawKey:
		if len(k.secret()) != Length {
			return invalid("keys.Raw of %d bytes; give exactly %d", len(k.secret()), Length)
		}
		return nil
	case passphrase:
		switch {
		case len(k.secret()) == 0:
			return invalid("keys.Passphrase of an empty text; for no protection give keys.Unprotected()")
		case !utf8.Valid(k.secret()):
			return invalid("keys.Passphrase of a text that is no UTF-8; give valid Unicode")
		}
		return nil
	case keyringKey:
		if k.entry.service == "" || k.entry.account == "" {
			return invalid("keys.Keyring without a service or an account; name both")
		}
		return nil
	default:
		return invalid("missing; give keys.Passphrase, keys.Raw, keys.Keyring or keys.Unprotected")
	}
}

// normalized is a copy, which is wiped after use: keyboards write the same letter in different ways (RFC 8265 section 4.2 also demands NFC).
func normalized(text []byte) []byte { return norm.NFC.Append(nil, text...) }

func (k Key) wrongKind(needed string) error {
	return fault.New(abi.ErrorCode_WRONG_KEY, "StorageKey: it is of the kind %s, and this database %s", string(k.kind), needed)
}

func invalid(format string, arguments ...any) error {
	return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "StorageKey: "+format, arguments...)
}
