package keys

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/zalando/go-keyring"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/internal/patient"
)

// entry is a place in the operating system's keyring. On Linux that is the Secret Service: the kernel's keyring forgets at shutdown.
type entry struct {
	service, account string
}

func (e entry) String() string {
	return fmt.Sprintf("service %s, account %s", fault.Quoted(e.service), fault.Quoted(e.account))
}

// read gives the key of the entry; nil if there is none. The keyring may ask the user: it is waited for until the context ends. It fails with
// WRONG_KEY if the entry holds something else.
func (e entry) read(ctx context.Context) ([]byte, error) {
	text, err := patient.For(ctx, func() (string, error) { return keyring.Get(e.service, e.account) }, nil)
	if errors.Is(err, keyring.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != Length || hex.EncodeToString(key) != text {
		// Not the cause: it quotes the text.
		return nil, fault.New(abi.ErrorCode_WRONG_KEY,
			"StorageKey: %v holds something other than a key of this SDK; name another entry", e)
	}
	return key, nil
}

// ensure makes a random key, unless the entry has one: another database may depend on it. Kept as 64 hexadecimal digits, because keyrings
// hold texts in every language.
func (e entry) ensure(ctx context.Context) error {
	key, err := e.read(ctx)
	if key != nil || err != nil {
		clear(key)
		return err
	}
	key = make([]byte, Length)
	defer clear(key)
	// Never fails.
	_, _ = rand.Read(key)
	text := hex.EncodeToString(key)
	if err := fault.OfContext(ctx); err != nil {
		return err
	}
	set := func() (struct{}, error) { return struct{}{}, keyring.Set(e.service, e.account, text) }
	if _, err := patient.For(ctx, set, nil); err != nil {
		return unavailable(err)
	}
	kept, err := e.read(ctx)
	defer clear(kept)
	if err == nil && string(kept) != string(key) {
		err = unavailable(fmt.Errorf("%v: the key was not kept as written", e))
	}
	return err
}

// unavailable is for what the keyring said; a wait that was given up says so itself.
func unavailable(cause error) error {
	if errors.Is(cause, abi.ErrAborted) {
		return cause
	}
	return fault.Because(abi.ErrorCode_KEYRING_UNAVAILABLE, cause,
		"StorageKey: the system has no usable keyring; unlock it, or give a passphrase or a raw key")
}
