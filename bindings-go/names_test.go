package chatsdk_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/internal/localnet"
	"chatsdk/keys"
)

// wantMessage is an error of this code whose message begins so.
func wantMessage(t *testing.T, err, want error, message string) {
	t.Helper()
	var failure *chatsdk.Error
	if !errors.Is(err, want) || !errors.As(err, &failure) || !strings.HasPrefix(failure.Message, message) {
		t.Errorf("got %v, want %q", err, message)
	}
}

func TestS1_ErrorsOfCallsNameWhatTheCallerWrote(t *testing.T) {
	client := join(t, options(t, localnet.New(), filepath.Join(t.TempDir(), "chat.db")))
	ctx, wrong := t.Context(), "no\xff"
	for _, test := range []struct {
		want    error
		message string
		call    func() error
	}{
		{chatsdk.ErrConversationNotFound, "conversationID: no conversation", func() error {
			_, err := client.Send(ctx, "nope", chatsdk.Text("x"))
			return err
		}},
		{chatsdk.ErrConversationNotFound, "conversationID: no conversation", func() error {
			_, err := client.Conversation(ctx, "nope")
			return err
		}},
		{chatsdk.ErrMessageNotFound, "messageID: no message", func() error {
			_, err := client.Message(ctx, "nope", "nope")
			return err
		}},
		{chatsdk.ErrAccountNotFound, "accountID: no account", func() error { return client.DeleteAccount(ctx, "nope") }},
		{chatsdk.ErrInviteNotFound, "inviteID: no invite", func() error { return client.RevokeInvite(ctx, "nope") }},
		{chatsdk.ErrInvalidArgument, "ValidFor: more than a year", func() error {
			_, err := client.CreateInvite(ctx, client.me.ID, chatsdk.InviteOptions{ValidFor: 1 << 62})
			return err
		}},
		{chatsdk.ErrInvalidArgument, "ValidFor: -1ns", func() error {
			_, err := client.CreateInvite(ctx, client.me.ID, chatsdk.InviteOptions{ValidFor: -time.Nanosecond})
			return err
		}},
		{chatsdk.ErrInvalidInvite, "link: ", func() error {
			_, err := client.InspectInvite(ctx, "nope")
			return err
		}},
		{chatsdk.ErrInvalidArgument, "link: is no UTF-8", func() error {
			_, err := client.InspectInvite(ctx, wrong)
			return err
		}},
		{chatsdk.ErrInvalidArgument, "content: missing", func() error {
			_, err := client.AcceptInvite(ctx, client.me.ID, "link", nil)
			return err
		}},
		{chatsdk.ErrInvalidArgument, "conversationID: is no UTF-8", func() error {
			_, err := client.Send(ctx, wrong, chatsdk.Text("x"))
			return err
		}},
		{chatsdk.ErrInvalidArgument, "messageID: is no UTF-8", func() error { return client.Cancel(ctx, "nope", wrong) }},
		{chatsdk.ErrInvalidArgument, "accountID: is no UTF-8", func() error { return client.DeleteAccount(ctx, wrong) }},
	} {
		wantMessage(t, test.call(), test.want, test.message)
	}
	for _, limit := range []int{-1, 1001, 1 << 40} {
		message := fmt.Sprintf("Limit: %d, must be from 1 to 1000", limit)
		_, err := client.Messages(ctx, "nope", chatsdk.Page{Limit: limit})
		wantMessage(t, err, chatsdk.ErrInvalidArgument, message)
		_, err = client.Search(ctx, "x", "", chatsdk.Page{Limit: limit})
		wantMessage(t, err, chatsdk.ErrInvalidArgument, message)
	}
	right, other := keys.Raw(make([]byte, 32)), keys.Passphrase("other")
	for _, test := range []struct {
		oldKey, newKey keys.Key
		want           error
		message        string
	}{
		{keys.Raw([]byte("another key of thirty-two bytes!")), right, chatsdk.ErrWrongKey, "oldKey: it does not open"},
		{other, right, chatsdk.ErrWrongKey, "oldKey: it is of the kind passphrase, and this database needs a raw key"},
		{keys.Key{}, right, chatsdk.ErrInvalidArgument, "oldKey: missing"},
		{keys.Unprotected(), right, chatsdk.ErrInvalidArgument, "oldKey: protection"},
		{right, keys.Unprotected(), chatsdk.ErrInvalidArgument, "newKey: protection"},
		{right, keys.Key{}, chatsdk.ErrInvalidArgument, "newKey: missing"},
		{right, keys.Raw(nil), chatsdk.ErrInvalidArgument, "newKey: keys.Raw of 0 bytes"},
	} {
		wantMessage(t, client.ChangeStorageKey(ctx, test.oldKey, test.newKey), test.want, test.message)
	}
}

func TestS1_ErrorsOfOpeningNameOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	join(t, options(t, localnet.New(), path)).close()
	for _, test := range []struct {
		want    error
		message string
		change  func(*chatsdk.Options)
	}{
		{chatsdk.ErrWrongKey, "StorageKey: it does not open", func(o *chatsdk.Options) {
			o.StorageKey = keys.Raw([]byte("another key of thirty-two bytes!"))
		}},
		{chatsdk.ErrWrongKey, "StorageKey: it is of the kind unprotected", func(o *chatsdk.Options) { o.StorageKey = keys.Unprotected() }},
		{chatsdk.ErrInvalidArgument, "Path: missing", func(o *chatsdk.Options) { o.Path = "" }},
		{chatsdk.ErrInvalidArgument, "Path: must name a file", func(o *chatsdk.Options) { o.Path = "a\x00b" }},
		{chatsdk.ErrInvalidArgument, "Path " + filepath.Dir(path) + ": is not a regular file", func(o *chatsdk.Options) { o.Path = filepath.Dir(path) }},
		{chatsdk.ErrInvalidArgument, "ShardCount: give", func(o *chatsdk.Options) { o.ShardCount = 2000 }},
		{chatsdk.ErrInvalidArgument, "Protocol.BucketCount: give", func(o *chatsdk.Options) { o.Protocol = &abi.Config{BucketCount: 1 << 20} }},
		{chatsdk.ErrInvalidArgument, "Protocol.MinimumSuite, MaximumSuite: give", func(o *chatsdk.Options) { o.Protocol = &abi.Config{MaximumSuite: 9} }},
		{chatsdk.ErrInvalidArgument, "Protocol.RateLimit.EpochSeconds: give", func(o *chatsdk.Options) {
			o.Protocol = &abi.Config{RateLimit: &abi.RateLimit{EpochSeconds: 86_401}}
		}},
		{chatsdk.ErrInvalidArgument, "RLN.EpochSeconds: give", func(o *chatsdk.Options) {
			m := &member{given: memberCredentials}
			m.onOpen = func() { m.limit.EpochSeconds = 86_401 }
			o.RLN = m
		}},
		{chatsdk.ErrInvalidArgument, "Anchor: 18446744073709551615 is more", func(o *chatsdk.Options) {
			o.Anchor, o.AcceptRollback = &notedAnchor{seen: math.MaxUint64}, true
		}},
	} {
		settings := options(t, localnet.New(), path)
		test.change(&settings)
		_, err := chatsdk.Open(t.Context(), settings)
		wantMessage(t, err, test.want, test.message)
	}
}

func TestS1_ErrorsQuoteTheBeginningOfWhatIsLong(t *testing.T) {
	client := join(t, options(t, localnet.New(), filepath.Join(t.TempDir(), "chat.db")))
	ctx, long := t.Context(), strings.Repeat("x", 1<<20)
	_, conversation := client.Conversation(ctx, long)
	_, message := client.Message(ctx, "nope", long)
	derivation := &abi.KeyDerivation{Derivation: &abi.KeyDerivation_Keyring{Keyring: &abi.Keyring{Service: long, Account: long}}}
	_, entry := keys.Keyring(long, "other").Derive(ctx, derivation)
	_, kind := keys.Passphrase("x").Derive(ctx, derivation)
	for want, err := range map[error]error{
		chatsdk.ErrConversationNotFound: conversation, chatsdk.ErrMessageNotFound: message, chatsdk.ErrWrongKey: errors.Join(entry, kind),
	} {
		if text := fmt.Sprint(err); !errors.Is(err, want) || len(text) > 1000 || !strings.Contains(text, "(1048576 bytes)") {
			t.Errorf("%v: %d bytes: %.200s", want, len(text), text)
		}
	}
}
