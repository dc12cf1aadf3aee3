package keys_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/zalando/go-keyring"
	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/keys"
)

func argon2id(change func(*abi.Argon2Id)) *abi.KeyDerivation {
	parameters := &abi.Argon2Id{Salt: make([]byte, 16), MemoryKib: 64, Passes: 1, Lanes: 1}
	for i := range parameters.Salt {
		parameters.Salt[i] = byte(i)
	}
	change(parameters)
	return &abi.KeyDerivation{Derivation: &abi.KeyDerivation_Argon2Id{Argon2Id: parameters}}
}

func derive(t *testing.T, key keys.Key, derivation *abi.KeyDerivation) string {
	t.Helper()
	bytes, err := key.Derive(t.Context(), derivation)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(bytes)
}

func wantCode(t *testing.T, err error, code abi.ErrorCode, texts ...string) {
	t.Helper()
	var failure *abi.Error
	if !errors.As(err, &failure) || failure.Code != code {
		t.Fatalf("got %v, want %v", err, code)
	}
	for _, text := range texts {
		if !strings.Contains(failure.Error(), text) {
			t.Errorf("%q is not in %q", text, failure)
		}
	}
}

// The vector of docs/database.md.
func TestS2_ThePassphraseGivesTheKeyOfTheOtherLanguages(t *testing.T) {
	derivation := argon2id(func(p *abi.Argon2Id) { p.MemoryKib, p.Passes, p.Lanes = 65_536, 3, 4 })
	got := derive(t, keys.Passphrase("correct horse battery staple"), derivation)
	if want := "853b272a44db1421c02962669a55eb0994f3cab385ed1c4c79253eee19bab49e"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestS2_APassphraseIsTheSameHoweverItsLettersAreComposed(t *testing.T) {
	derivation := argon2id(func(*abi.Argon2Id) {})
	if derive(t, keys.Passphrase("caf\u00e9"), derivation) != derive(t, keys.Passphrase("cafe\u0301"), derivation) {
		t.Error("composed and decomposed differ")
	}
	if derive(t, keys.Passphrase("cafe"), derivation) == derive(t, keys.Passphrase("caf\u00e9"), derivation) {
		t.Error("the accent does not count")
	}
}

func TestS2_AKeyServesMoreThanOnce(t *testing.T) {
	raw := &abi.KeyDerivation{Derivation: &abi.KeyDerivation_RawKey{RawKey: &abi.RawKey{}}}
	passphrase := argon2id(func(*abi.Argon2Id) {})
	for _, one := range []struct {
		key        keys.Key
		derivation *abi.KeyDerivation
	}{
		{keys.Passphrase("secret"), passphrase},
		{keys.Passphrase("Z\u00fcrich"), passphrase},
		{keys.Raw([]byte(strings.Repeat("k", 32))), raw},
	} {
		first, err := one.key.Derive(t.Context(), one.derivation)
		if err != nil {
			t.Fatal(err)
		}
		want := hex.EncodeToString(first)
		// As its user does.
		clear(first)
		if again := derive(t, one.key, one.derivation); again != want {
			t.Errorf("the second key is %s, the first %s", again, want)
		}
	}
}

func TestS2_AFileCannotAskForUnboundedWork(t *testing.T) {
	for name, change := range map[string]func(*abi.Argon2Id){
		"salt":       func(p *abi.Argon2Id) { p.Salt = p.Salt[1:] },
		"lanes":      func(p *abi.Argon2Id) { p.Lanes = 17 },
		"passes":     func(p *abi.Argon2Id) { p.Passes = 1 << 31 },
		"memory_kib": func(p *abi.Argon2Id) { p.MemoryKib = 1<<20 + 1 },
	} {
		_, err := keys.Passphrase("x").Derive(t.Context(), argon2id(change))
		wantCode(t, err, abi.ErrorCode_DATABASE_CORRUPT, name, "restore a backup")
	}
	for name, change := range map[string]func(*abi.Argon2Id){
		"lanes": func(p *abi.Argon2Id) { p.Lanes = 0 }, "passes": func(p *abi.Argon2Id) { p.Passes = 0 },
		"memory_kib": func(p *abi.Argon2Id) { p.MemoryKib, p.Lanes = 31, 4 },
	} {
		_, err := keys.Passphrase("x").Derive(t.Context(), argon2id(change))
		wantCode(t, err, abi.ErrorCode_DATABASE_CORRUPT, name)
	}
}

func TestS2_MalformedKeysAreNamed(t *testing.T) {
	for field, key := range map[string]keys.Key{
		"StorageKey: missing":         {},
		"StorageKey: keys.Passphrase": keys.Passphrase(""),
		"StorageKey: keys.Raw":        keys.Raw(make([]byte, 31)),
		"StorageKey: keys.Keyring":    keys.Keyring("app", ""),
	} {
		_, err := key.NewDerivation(t.Context())
		wantCode(t, err, abi.ErrorCode_INVALID_ARGUMENT, field)
	}
	_, err := keys.Passphrase("half \xed\xa0\x80 pair").NewDerivation(t.Context())
	wantCode(t, err, abi.ErrorCode_INVALID_ARGUMENT, "StorageKey: keys.Passphrase")
}

func TestS2_AKeyOfAnotherKindIsWrong(t *testing.T) {
	for _, needed := range []keys.Key{keys.Unprotected(), keys.Passphrase("p"), keys.Raw(make([]byte, 32))} {
		derivation, err := needed.NewDerivation(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, given := range []keys.Key{keys.Unprotected(), keys.Passphrase("p"), keys.Raw(make([]byte, 32))} {
			if fmt.Sprint(given) == fmt.Sprint(needed) {
				continue
			}
			_, err := given.Derive(t.Context(), derivation)
			wantCode(t, err, abi.ErrorCode_WRONG_KEY, "this database")
		}
	}
	_, err := keys.Unprotected().Derive(t.Context(), &abi.KeyDerivation{})
	wantCode(t, err, abi.ErrorCode_UNSUPPORTED_VERSION)
}

func TestS2_TheKeyringKeepsARandomKey(t *testing.T) {
	keyring.MockInit()
	key := keys.Keyring("app", "database")
	first, err := key.NewDerivation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one := derive(t, key, first)
	second, err := key.NewDerivation(t.Context())
	if err != nil || !proto.Equal(first, second) || derive(t, key, second) != one {
		t.Errorf("a second database took the first one's key away: %v", err)
	}
	if one == strings.Repeat("0", 64) {
		t.Error("the key is not random")
	}
	_, err = keys.Keyring("app", "other").Derive(t.Context(), first)
	wantCode(t, err, abi.ErrorCode_WRONG_KEY, "other", "database")
	if err := keyring.Set("app", "database", "hunter2"); err != nil {
		t.Fatal(err)
	}
	_, err = key.Derive(t.Context(), first)
	wantCode(t, err, abi.ErrorCode_WRONG_KEY, "something other")
	if strings.Contains(fmt.Sprintf("%+v", err), "hunter2") {
		t.Error("the error holds what the keyring holds")
	}
	if err := keyring.Delete("app", "database"); err != nil {
		t.Fatal(err)
	}
	_, err = key.Derive(t.Context(), first)
	wantCode(t, err, abi.ErrorCode_WRONG_KEY, "has no")
}

func TestS2_WithoutAKeyringTheErrorSaysSo(t *testing.T) {
	keyring.MockInitWithError(errors.New("no bus"))
	_, err := keys.Keyring("app", "database").NewDerivation(t.Context())
	wantCode(t, err, abi.ErrorCode_KEYRING_UNAVAILABLE, "give a passphrase")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = keys.Keyring("app", "database").NewDerivation(ctx)
	wantCode(t, err, abi.ErrorCode_ABORTED)
}

// brief is a context that ends once it was asked, so that what comes after finds it ended.
type brief struct {
	context.Context
	left int
}

func (b *brief) Err() error {
	if b.left--; b.left >= 0 {
		return nil
	}
	return context.Canceled
}

func (b *brief) Done() <-chan struct{} {
	ended := make(chan struct{})
	close(ended)
	return ended
}

func TestS2_AWaitForTheKeyringThatIsGivenUpIsNoFailureOfTheKeyring(t *testing.T) {
	keyring.MockInitWithError(errors.New("no bus"))
	// Which of the two comes first is chance.
	for range 200 {
		_, err := keys.Keyring("app", "database").NewDerivation(&brief{t.Context(), 1})
		if errors.Is(err, context.Canceled) {
			wantCode(t, err, abi.ErrorCode_ABORTED)
			return
		}
		wantCode(t, err, abi.ErrorCode_KEYRING_UNAVAILABLE)
	}
	t.Error("the end of the context changed nothing")
}

func TestS2_APassphraseIsNotWaitedForOnceTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	slow := argon2id(func(p *abi.Argon2Id) { p.MemoryKib, p.Passes = 65_536, 16 })
	_, err := keys.Passphrase("x").Derive(ctx, slow)
	wantCode(t, err, abi.ErrorCode_ABORTED)
	_, err = keys.Unprotected().Derive(ctx, &abi.KeyDerivation{Derivation: &abi.KeyDerivation_Unprotected{}})
	wantCode(t, err, abi.ErrorCode_ABORTED)
	//nolint:staticcheck // What is not allowed is what is tested.
	_, err = keys.Unprotected().NewDerivation(nil)
	wantCode(t, err, abi.ErrorCode_INVALID_ARGUMENT, "ctx: ")
}

func TestS3_AKeyNeverPrintsItsSecret(t *testing.T) {
	raw := []byte(strings.Repeat("s3cr3t!!", 4))
	for _, key := range []keys.Key{keys.Passphrase("s3cr3t!!"), keys.Raw(raw)} {
		options := struct{ StorageKey keys.Key }{key}
		encoded, err := json.Marshal(options)
		if err != nil {
			t.Fatal(err)
		}
		var logged strings.Builder
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("opening", "options", options, "key", key)
		for _, text := range []string{
			fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s %x %q", key, key, key, key, key, key),
			fmt.Sprintf("%v %+v %#v %x", options, options, options, options), string(encoded), logged.String(),
		} {
			if strings.Contains(text, "s3cr3t") || strings.Contains(text, hex.EncodeToString(raw[:4])) || strings.Contains(text, "115 51") {
				t.Errorf("%s", text)
			}
		}
	}
}
