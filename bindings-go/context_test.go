package chatsdk_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"chatsdk"
	"chatsdk/internal/localnet"
	"chatsdk/keys"
)

// calls are all that a client does with a context, apart from its loops of events.
func calls(client *chatsdk.Client) map[string]func(ctx context.Context) error {
	key := keys.Raw(make([]byte, 32))
	return map[string]func(ctx context.Context) error{
		"AcceptInvite": func(ctx context.Context) error {
			_, err := client.AcceptInvite(ctx, "a", "link", chatsdk.Text("x"))
			return err
		},
		"AcceptRepair": func(ctx context.Context) error { return client.AcceptRepair(ctx, "c") },
		"Accounts": func(ctx context.Context) error {
			_, err := client.Accounts(ctx)
			return err
		},
		"Cancel":           func(ctx context.Context) error { return client.Cancel(ctx, "c", "m") },
		"ChangeStorageKey": func(ctx context.Context) error { return client.ChangeStorageKey(ctx, key, key) },
		"CreateAccount": func(ctx context.Context) error {
			_, err := client.CreateAccount(ctx)
			return err
		},
		"CreateInvite": func(ctx context.Context) error {
			_, err := client.CreateInvite(ctx, "a", chatsdk.InviteOptions{})
			return err
		},
		"DefaultAccount": func(ctx context.Context) error {
			_, err := client.DefaultAccount(ctx)
			return err
		},
		"DeleteAccount":      func(ctx context.Context) error { return client.DeleteAccount(ctx, "a") },
		"DeleteConversation": func(ctx context.Context) error { return client.DeleteConversation(ctx, "c") },
		"InspectInvite": func(ctx context.Context) error {
			_, err := client.InspectInvite(ctx, "link")
			return err
		},
		"Invites": func(ctx context.Context) error {
			_, err := client.Invites(ctx, "a")
			return err
		},
		"MarkRead":         func(ctx context.Context) error { return client.MarkRead(ctx, "c", "m") },
		"MarkReadSilently": func(ctx context.Context) error { return client.MarkReadSilently(ctx, "c", "m") },
		"Quota": func(ctx context.Context) error {
			_, err := client.Quota(ctx)
			return err
		},
		"RepairConversation": func(ctx context.Context) error { return client.RepairConversation(ctx, "c") },
		"RevokeInvite":       func(ctx context.Context) error { return client.RevokeInvite(ctx, "i") },
		"SafetyNumber": func(ctx context.Context) error {
			_, err := client.SafetyNumber(ctx, "c")
			return err
		},
		"Send": func(ctx context.Context) error {
			_, err := client.Send(ctx, "c", chatsdk.Text("x"))
			return err
		},
		"SetVerified": func(ctx context.Context) error { return client.SetVerified(ctx, "c", true) },
	}
}

func TestS4_ANilContextIsRefusedAndTheProgramGoesOn(t *testing.T) {
	network := localnet.New()
	folder := t.TempDir()
	client := join(t, options(t, network, filepath.Join(folder, "chat.db")))
	//nolint:staticcheck // What is not allowed is what is tested.
	var none context.Context
	refused := func(what string, err error) {
		t.Helper()
		var failure *chatsdk.Error
		if !errors.As(err, &failure) || !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.HasPrefix(failure.Message, "ctx: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for name, call := range calls(client.Client) {
		refused(name, call(none))
	}
	for event, err := range client.Events(none) {
		if event != nil {
			t.Errorf("an event: %v", event)
		}
		refused("Events", err)
	}
	_, err := chatsdk.Open(none, options(t, network, filepath.Join(folder, "other.db")))
	refused("Open", err)
	if accounts, err := client.Accounts(t.Context()); err != nil || len(accounts) != 1 {
		t.Errorf("%v, %v", accounts, err)
	}
}
