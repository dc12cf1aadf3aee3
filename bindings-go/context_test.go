package chatsdk_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/internal/localnet"
	"chatsdk/keys"
	"chatsdk/storage/sqlite"
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
		"Conversation": func(ctx context.Context) error {
			_, err := client.Conversation(ctx, "c")
			return err
		},
		"Conversations": func(ctx context.Context) error {
			_, err := client.Conversations(ctx, "")
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
		"Message": func(ctx context.Context) error {
			_, err := client.Message(ctx, "c", "m")
			return err
		},
		"Messages": func(ctx context.Context) error {
			_, err := client.Messages(ctx, "c", chatsdk.Page{})
			return err
		},
		"Search": func(ctx context.Context) error {
			_, err := client.Search(ctx, "x", "", chatsdk.Page{})
			return err
		},
		"UnreadCount": func(ctx context.Context) error {
			_, err := client.UnreadCount(ctx, "c")
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

func TestS4_NoCallBeginsOnceItsContextHasEnded(t *testing.T) {
	for name, key := range map[string]keys.Key{"protected": keys.Raw(make([]byte, 32)), "unprotected": keys.Unprotected()} {
		settings := options(t, localnet.New(), filepath.Join(t.TempDir(), "chat.db"))
		settings.StorageKey = key
		client := join(t, settings)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for call, run := range calls(client.Client) {
			if err := run(ctx); !errors.Is(err, chatsdk.ErrAborted) || !errors.Is(err, context.Canceled) {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	settings := options(t, localnet.New(), filepath.Join(t.TempDir(), "chat.db"))
	_, err := chatsdk.Open(ctx, settings)
	wantError(t, err, chatsdk.ErrAborted)
	if _, err := os.Stat(settings.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
}

// endingStorage ends a context at one of its calls.
type endingStorage struct {
	abi.Storage
	end   func()
	after int
}

func (s *endingStorage) called() {
	if s.after--; s.after == 0 {
		s.end()
	}
}

// GetHeader counts.
func (s *endingStorage) GetHeader(ctx context.Context) (*abi.StoredHeader, error) {
	s.called()
	return s.Storage.GetHeader(ctx)
}

// PutHeader counts.
func (s *endingStorage) PutHeader(ctx context.Context, header *abi.VaultHeader) error {
	s.called()
	return s.Storage.PutHeader(ctx, header)
}

// Read counts.
func (s *endingStorage) Read(ctx context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	s.called()
	return s.Storage.Read(ctx, read)
}

// Commit counts.
func (s *endingStorage) Commit(ctx context.Context, changes *abi.ChangeBatch) error {
	s.called()
	return s.Storage.Commit(ctx, changes)
}

func TestS2_AnOpeningThatIsAbortedBindsANewDatabaseToNoKey(t *testing.T) {
	aborted := 0
	for after := 1; ; after++ {
		path := filepath.Join(t.TempDir(), "chat.db")
		file, err := sqlite.Open(path, sqlite.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		storage := &endingStorage{file, cancel, after}
		settings := options(t, localnet.New(), "")
		settings.Storage, settings.StorageKey = storage, keys.Raw([]byte("the first key of thirty-two byte"))
		client, err := chatsdk.Open(ctx, settings)
		cancel()
		if err == nil {
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
			if storage.after > 0 {
				break
			}
			continue
		}
		aborted++
		wantError(t, err, chatsdk.ErrAborted)
		// All zeros.
		join(t, options(t, localnet.New(), path)).close()
	}
	if aborted == 0 {
		t.Error("nothing was aborted")
	}
}
