package chatsdk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/internal/localnet"
	"chatsdk/keys"
)

// person is a client with a loop that collects its events.
type person struct {
	*chatsdk.Client
	t       *testing.T
	me      chatsdk.Account
	mu      sync.Mutex
	changed sync.Cond
	events  []chatsdk.Event
	looped  sync.WaitGroup
}

// quick settings make acknowledgements fast.
func quick() *abi.Config { return &abi.Config{AckDelayMs: 20, AckIntervalMs: 20, ResendAfterMs: 1000} }

func options(t *testing.T, network *localnet.Network, path string) chatsdk.Options {
	return chatsdk.Options{
		Path: path, StorageKey: keys.Raw(make([]byte, 32)), Transport: network.Transport(), Protocol: quick(), CacheFolder: cacheFolder(t),
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// cacheFolder is one for all tests of a run: compiling takes half a second.
func cacheFolder(t *testing.T) string {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", filepath.Join(os.TempDir(), "chatsdk-test-state"))
	return filepath.Join(os.TempDir(), "chatsdk-test-cache")
}

func join(t *testing.T, options chatsdk.Options) *person {
	t.Helper()
	client, err := chatsdk.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{Client: client, t: t}
	p.changed.L = &p.mu
	t.Cleanup(p.close)
	if p.me, err = client.DefaultAccount(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.looped.Go(func() {
		for event, err := range client.Events(context.Background()) {
			if err != nil {
				t.Error(err)
				return
			}
			p.mu.Lock()
			p.events = append(p.events, event)
			p.changed.Broadcast()
			p.mu.Unlock()
		}
	})
	return p
}

func (p *person) close() {
	if err := p.Close(); err != nil {
		p.t.Error(err)
	}
	p.looped.Wait()
}

// await returns the first event that matches, however long ago.
func await[E chatsdk.Event](p *person, what string, matches func(E) bool) E {
	p.t.Helper()
	timeout := time.AfterFunc(20*time.Second, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer timeout.Stop()
	deadline := time.Now().Add(20 * time.Second)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for _, event := range p.events {
			if event, ok := event.(E); ok && matches(event) {
				return event
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s did not come; events: %v", what, p.events)
		}
		p.changed.Wait()
	}
}

func (p *person) hears(text string) chatsdk.Message {
	p.t.Helper()
	return await(p, text, func(event chatsdk.MessageReceived) bool { return event.Message.Text == text }).Message
}

func (p *person) gets(messageID string, status chatsdk.DeliveryStatus) {
	p.t.Helper()
	await(p, string(status), func(event chatsdk.MessageStatusChanged) bool {
		return event.MessageID == messageID && event.Status == status
	})
}

func (p *person) says(conversationID, text string) chatsdk.Message {
	p.t.Helper()
	message, err := p.Send(p.t.Context(), conversationID, chatsdk.Text(text))
	if err != nil {
		p.t.Fatal(err)
	}
	return message
}

// meet has bob accept a link of alice's.
func meet(alice, bob *person) chatsdk.Conversation {
	alice.t.Helper()
	invite, err := alice.CreateInvite(alice.t.Context(), alice.me.ID, chatsdk.InviteOptions{})
	if err != nil {
		alice.t.Fatal(err)
	}
	conversation, err := bob.AcceptInvite(bob.t.Context(), bob.me.ID, invite.Link, chatsdk.Text("Hello!"))
	if err != nil {
		bob.t.Fatal(err)
	}
	alice.hears("Hello!")
	return conversation
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func TestF2_TwoClientsChat(t *testing.T) {
	network := localnet.New()
	folder := t.TempDir()
	alice := join(t, options(t, network, filepath.Join(folder, "alice.db")))
	bob := join(t, options(t, network, filepath.Join(folder, "bob.db")))
	conversation := meet(alice, bob)
	first := alice.says(conversation.ID, "Hello Bob")
	received := bob.hears("Hello Bob")
	if received.ID != first.ID || received.Outgoing || !first.Outgoing || first.Status != chatsdk.StatusQueued {
		t.Errorf("%+v\n%+v", first, received)
	}
	alice.gets(first.ID, chatsdk.StatusDelivered)
	if unread, err := bob.UnreadCount(t.Context(), conversation.ID); unread != 1 || err != nil {
		t.Errorf("unread: %d, %v", unread, err)
	}
	if err := bob.MarkRead(t.Context(), conversation.ID, received.ID); err != nil {
		t.Fatal(err)
	}
	alice.gets(first.ID, chatsdk.StatusRead)
	if unread, err := bob.UnreadCount(t.Context(), conversation.ID); unread != 0 || err != nil {
		t.Errorf("unread: %d, %v", unread, err)
	}
	ours, err := alice.SafetyNumber(t.Context(), conversation.ID)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := bob.SafetyNumber(t.Context(), conversation.ID); err != nil || theirs != ours || len(ours) != 71 {
		t.Errorf("%q, %q, %v", ours, theirs, err)
	}
	if err := alice.SetVerified(t.Context(), conversation.ID, true); err != nil {
		t.Fatal(err)
	}
	if again, err := alice.Conversation(t.Context(), conversation.ID); err != nil || !again.Verified || again.Session != chatsdk.SessionEstablished {
		t.Errorf("%+v, %v", again, err)
	}
	for _, payload := range network.Envelopes() {
		if slices.Contains([]string{"Hello!", "Hello Bob"}, string(payload)) {
			t.Error("plaintext on the network")
		}
	}
}

func TestF5_ContentTypesArriveAsTheyWereSent(t *testing.T) {
	type move struct{ From, To string }
	moves := chatsdk.ContentType[move]{
		Domain: 0x63686573, Tag: 1, Version: 1,
		Encode: func(m move) ([]byte, error) { return []byte(m.From + m.To), nil },
		Decode: func(payload []byte, _ uint32) (move, error) {
			if len(payload) != 4 {
				return move{}, errors.New("not a move")
			}
			return move{string(payload[:2]), string(payload[2:])}, nil
		},
	}
	network := localnet.New()
	folder := t.TempDir()
	alice := join(t, options(t, network, filepath.Join(folder, "alice.db")))
	bob := join(t, options(t, network, filepath.Join(folder, "bob.db")))
	conversation := meet(alice, bob)
	reference := chatsdk.AttachmentReference{
		URL: "https://files.example/1", MediaType: "image/png", Size: 1 << 40, Digest: make([]byte, 32), Key: make([]byte, 32), Nonce: make([]byte, 12),
		Name: "cat.png",
	}
	hello := alice.hears("Hello!")
	for _, content := range []chatsdk.Sendable{
		chatsdk.Reply{MessageID: hello.ID, Text: "an answer"}, chatsdk.Reaction{MessageID: hello.ID, Reaction: "👍"}, reference,
		moves.Of(move{"e2", "e4"}), chatsdk.Content{Domain: 7, Tag: 8, Version: 9, Payload: []byte{1, 2}},
	} {
		if _, err := alice.Send(t.Context(), conversation.ID, content); err != nil {
			t.Fatal(err)
		}
	}
	last := await(bob, "raw content", func(event chatsdk.MessageReceived) bool { return event.Message.Content.Domain == 7 })
	if last.Message.Content.Tag != 8 || last.Message.Content.Version != 9 || string(last.Message.Content.Payload) != "\x01\x02" {
		t.Errorf("%+v", last.Message.Content)
	}
	await(bob, "reply", func(event chatsdk.MessageReceived) bool {
		reply, ok := chatsdk.ReplyType.Read(event.Message.Content)
		return ok && reply == chatsdk.Reply{MessageID: hello.ID, Text: "an answer"} && event.Message.RefersTo == hello.ID
	})
	await(bob, "reaction", func(event chatsdk.MessageReceived) bool {
		reaction, ok := chatsdk.ReactionType.Read(event.Message.Content)
		return ok && reaction.Reaction == "👍"
	})
	await(bob, "attachment", func(event chatsdk.MessageReceived) bool {
		got, ok := chatsdk.AttachmentReferenceType.Read(event.Message.Content)
		return ok && fmt.Sprint(got) == fmt.Sprint(reference)
	})
	await(bob, "move", func(event chatsdk.MessageReceived) bool {
		got, ok := moves.Read(event.Message.Content)
		return ok && got == move{"e2", "e4"}
	})
	_, err := alice.Send(t.Context(), conversation.ID, chatsdk.Text(""))
	wantError(t, err, chatsdk.ErrInvalidArgument)
	_, err = alice.Send(t.Context(), conversation.ID, nil)
	wantError(t, err, chatsdk.ErrInvalidArgument)
	_, err = alice.Send(t.Context(), "nowhere", chatsdk.Text("x"))
	wantError(t, err, chatsdk.ErrConversationNotFound)
}

func TestF6_ALongConversationPagesAndSearchesInBothKindsOfDatabase(t *testing.T) {
	for name, key := range map[string]keys.Key{"protected": keys.Raw(make([]byte, 32)), "unprotected": keys.Unprotected()} {
		t.Run(name, func(t *testing.T) {
			network := localnet.New()
			folder := t.TempDir()
			alice := join(t, options(t, network, filepath.Join(folder, "alice.db")))
			settings := options(t, network, filepath.Join(folder, "bob.db"))
			settings.StorageKey = key
			bob := join(t, settings)
			conversation := meet(alice, bob)
			for i := range 60 {
				alice.says(conversation.ID, fmt.Sprintf("Crème number %d", i))
			}
			bob.hears("Crème number 59")
			var texts []string
			page := chatsdk.Page{Limit: 25}
			for {
				messages, err := bob.Messages(t.Context(), conversation.ID, page)
				if err != nil {
					t.Fatal(err)
				}
				if len(messages) == 0 {
					break
				}
				for _, message := range messages {
					texts = append(texts, message.Text)
				}
				last := messages[len(messages)-1].Position()
				page.Before = &last
			}
			if len(texts) != 61 || texts[0] != "Crème number 59" || texts[60] != "Hello!" {
				t.Errorf("%d: %q", len(texts), texts)
			}
			for _, conversationID := range []string{"", conversation.ID} {
				found, err := bob.Search(t.Context(), "CREME 4", conversationID, chatsdk.Page{Limit: 5})
				if err != nil || len(found) != 5 || found[0].Text != "Crème number 49" {
					t.Errorf("%v, %v", found, err)
				}
			}
			_, err := bob.Messages(t.Context(), conversation.ID, chatsdk.Page{Limit: 1001})
			wantError(t, err, chatsdk.ErrInvalidArgument)
			_, err = bob.Message(t.Context(), conversation.ID, "unknown")
			wantError(t, err, chatsdk.ErrMessageNotFound)
		})
	}
}

func TestF3_WhatWasSentWhileAPersonWasAwayArrivesAfterARestart(t *testing.T) {
	network := localnet.New()
	folder := t.TempDir()
	alice := join(t, options(t, network, filepath.Join(folder, "alice.db")))
	path := filepath.Join(folder, "bob.db")
	bob := join(t, options(t, network, path))
	conversation := meet(alice, bob)
	bob.close()
	message := alice.says(conversation.ID, "Are you there?")
	alice.gets(message.ID, chatsdk.StatusSent)
	again := join(t, options(t, network, path))
	again.hears("Are you there?")
	alice.gets(message.ID, chatsdk.StatusDelivered)
	if conversations, err := again.Conversations(t.Context(), again.me.ID); err != nil || len(conversations) != 1 || conversations[0].ID != conversation.ID {
		t.Errorf("%v, %v", conversations, err)
	}
}

func TestS2_AWrongKeyOpensNothingAndChangesNothing(t *testing.T) {
	network := localnet.New()
	path := filepath.Join(t.TempDir(), "chat.db")
	settings := options(t, network, path)
	join(t, settings).close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []keys.Key{keys.Raw([]byte("another key of thirty-two bytes!")), keys.Passphrase("x"), keys.Unprotected()} {
		settings := options(t, network, path)
		settings.StorageKey = key
		_, err := chatsdk.Open(t.Context(), settings)
		wantError(t, err, chatsdk.ErrWrongKey)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(before) != string(after) {
		t.Errorf("the file was changed: %v", err)
	}
	join(t, options(t, network, path))
}

func TestS2_TheStorageKeyCanBeChanged(t *testing.T) {
	network := localnet.New()
	path := filepath.Join(t.TempDir(), "chat.db")
	first := join(t, options(t, network, path))
	old, next := keys.Raw(make([]byte, 32)), keys.Raw([]byte("the next key is of 32 bytes too!"))
	wantError(t, first.ChangeStorageKey(t.Context(), next, old), chatsdk.ErrWrongKey)
	wantError(t, first.ChangeStorageKey(t.Context(), old, keys.Unprotected()), chatsdk.ErrInvalidArgument)
	if err := first.ChangeStorageKey(t.Context(), old, next); err != nil {
		t.Fatal(err)
	}
	if _, err := first.CreateAccount(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.close()
	_, err := chatsdk.Open(t.Context(), options(t, network, path))
	wantError(t, err, chatsdk.ErrWrongKey)
	settings := options(t, network, path)
	settings.StorageKey = next
	if accounts, err := join(t, settings).Accounts(t.Context()); err != nil || len(accounts) != 2 {
		t.Errorf("%v, %v", accounts, err)
	}
}

func TestS3_AnOldCopyIsRefusedUntilTheApplicationAcceptsIt(t *testing.T) {
	network := localnet.New()
	folder := t.TempDir()
	path := filepath.Join(folder, "bob.db")
	alice := join(t, options(t, network, filepath.Join(folder, "alice.db")))
	bob := join(t, options(t, network, path))
	conversation := meet(alice, bob)
	alice.gets(alice.says(conversation.ID, "an answer").ID, chatsdk.StatusDelivered)
	bob.close()
	copied, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again := join(t, options(t, network, path))
	again.says(conversation.ID, "one more")
	alice.hears("one more")
	again.close()
	if err := os.WriteFile(path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = chatsdk.Open(t.Context(), options(t, network, path))
	wantError(t, err, chatsdk.ErrStateRolledBack)
	settings := options(t, network, path)
	settings.AcceptRollback = true
	old := join(t, settings)
	if lost, err := old.Conversation(t.Context(), conversation.ID); err != nil || lost.Session != chatsdk.SessionLost {
		t.Errorf("%+v, %v", lost, err)
	}
	_, err = old.Send(t.Context(), conversation.ID, chatsdk.Text("x"))
	wantError(t, err, chatsdk.ErrSessionLost)
	if err := old.RepairConversation(t.Context(), conversation.ID); err != nil {
		t.Fatal(err)
	}
	await(alice, "repair", func(event chatsdk.SessionStateChanged) bool { return event.Session == chatsdk.SessionRepairRequested })
	if err := alice.AcceptRepair(t.Context(), conversation.ID); err != nil {
		t.Fatal(err)
	}
	await(old, "repaired", func(event chatsdk.SessionStateChanged) bool { return event.Session == chatsdk.SessionEstablished })
	old.says(conversation.ID, "repaired")
	alice.hears("repaired")
}

func TestS1_AClosedClientSaysSoAndClosesTwice(t *testing.T) {
	network := localnet.New()
	client := join(t, options(t, network, filepath.Join(t.TempDir(), "chat.db")))
	for deadline := time.Now().Add(20 * time.Second); !client.Online() || !client.Stats().Online; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not online")
		}
	}
	client.close()
	if client.Online() || client.Stats().Online {
		t.Error("online after Close")
	}
	_, err := client.CreateAccount(t.Context())
	wantError(t, err, chatsdk.ErrClosed)
	_, err = client.Conversations(t.Context(), "")
	wantError(t, err, chatsdk.ErrClosed)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	for range client.Events(t.Context()) {
		t.Error("an event of a closed client")
	}
}

func TestS1_BadOptionsAreNamed(t *testing.T) {
	network := localnet.New()
	for want, change := range map[string]func(*chatsdk.Options){
		"Path: missing":          func(o *chatsdk.Options) { o.Path = "" },
		"StorageKey: missing":    func(o *chatsdk.Options) { o.StorageKey = keys.Key{} },
		"Peers[0]":               func(o *chatsdk.Options) { o.Transport, o.Peers = nil, []string{"node.example:8000"} },
		"Protocol.AppName: give": func(o *chatsdk.Options) { o.Protocol = &abi.Config{AppName: "NOT A NAME"} },
	} {
		settings := options(t, network, filepath.Join(t.TempDir(), "chat.db"))
		change(&settings)
		_, err := chatsdk.Open(t.Context(), settings)
		var failure *chatsdk.Error
		if !errors.As(err, &failure) || !strings.Contains(failure.Message, want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
