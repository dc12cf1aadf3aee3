//go:build rln && cgo

package rln_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatsdk"
	"chatsdk/internal/servicenode"
	"chatsdk/keys"
	"chatsdk/waku/rln"
)

// person is a client whose events wait until a test looks at them.
type person struct {
	*chatsdk.Client
	me     chatsdk.Account
	events chan chatsdk.Event
}

func settings(t *testing.T, path, node string, membership *rln.Membership) chatsdk.Options {
	t.Helper()
	file, err := chatsdk.NewFileAnchor(filepath.Join(t.TempDir(), "anchor"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return chatsdk.Options{
		Path: path, StorageKey: keys.Raw(make([]byte, keys.Length)), Peers: []string{node}, RLN: membership, Anchor: file,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func join(t *testing.T, path, node string, membership *rln.Membership) *person {
	t.Helper()
	client, err := chatsdk.Open(t.Context(), settings(t, path, node, membership))
	if err != nil {
		t.Fatal(err)
	}
	p := &person{Client: client, events: make(chan chatsdk.Event, 1000)}
	t.Cleanup(func() { p.close(t) })
	go func() {
		defer close(p.events)
		for event, err := range client.Events(context.Background()) {
			if err != nil {
				t.Error(err)
				return
			}
			p.events <- event
		}
	}()
	if p.me, err = client.DefaultAccount(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// close waits for the loop, so that every event shown is acknowledged.
func (p *person) close(t *testing.T) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for range p.events {
	}
}

// until looks at the events, one after the other, until one is the last.
func (p *person) until(t *testing.T, what string, patience time.Duration, isLast func(chatsdk.Event) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case event, more := <-p.events:
			if !more {
				t.Fatalf("%s: the client was closed", what)
			}
			if isLast(event) {
				return
			}
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func (p *person) hears(t *testing.T, text string) {
	t.Helper()
	p.until(t, text, 30*time.Second, func(event chatsdk.Event) bool {
		received, ok := event.(chatsdk.MessageReceived)
		return ok && received.Message.Text == text
	})
}

func (p *person) says(t *testing.T, conversationID, text string) chatsdk.Message {
	t.Helper()
	message, err := p.Send(t.Context(), conversationID, chatsdk.Text(text))
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func meet(t *testing.T, alice, bob *person) chatsdk.Conversation {
	t.Helper()
	invite, err := alice.CreateInvite(t.Context(), alice.me.ID, chatsdk.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conversation, err := bob.AcceptInvite(t.Context(), bob.me.ID, invite.Link, chatsdk.Text("Hello!"))
	if err != nil {
		t.Fatal(err)
	}
	alice.hears(t, "Hello!")
	return conversation
}

// onlyAccepted reads the tally that the node leaves in its log when it stops.
func onlyAccepted(t *testing.T, log string, atLeast int) {
	t.Helper()
	if strings.Contains(log, "spam refused") {
		t.Errorf("the node refused: %s", log)
	}
	_, end, found := strings.Cut(log, "RLN is off\t")
	line, _, _ := strings.Cut(end, "\n")
	tally := map[string]int{}
	if err := json.Unmarshal([]byte(line), &tally); err != nil || !found {
		t.Fatalf("no tally in the log (%v): %s", err, log)
	}
	if tally["accepted"] < atLeast || len(tally) != 7 {
		t.Errorf("at least %d should have been accepted, of 7 kinds: %v", atLeast, tally)
	}
	delete(tally, "accepted")
	for kind, refused := range tally {
		if refused != 0 {
			t.Errorf("%d messages were refused: %s", refused, kind)
		}
	}
}

func TestS1_CredentialsGivenOnceServeAfterARestart(t *testing.T) {
	t.Parallel()
	c := newClub(t, 600, 100)
	var log bytes.Buffer
	node := servicenode.StartRLN(t, c.groupFile(), &log)
	folder := t.TempDir()
	path := filepath.Join(folder, "bob.db")
	alice := join(t, filepath.Join(folder, "alice.db"), node.TCP, membership(t, c, c.member(t, 0)))
	bob := join(t, path, node.Websocket, membership(t, c, c.member(t, 1)))
	conversation := meet(t, alice, bob)
	bob.close(t)

	other := newClub(t, 600, 100)
	for name, made := range map[string]*rln.Membership{
		"another group":             membership(t, other, nil),
		"another group's member":    membership(t, c, other.member(t, 1)),
		"another, in its own group": membership(t, other, c.member(t, 1)),
	} {
		_, err := chatsdk.Open(t.Context(), settings(t, path, node.TCP, made))
		if !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.Contains(err.Error(), "rln.credentials") {
			t.Errorf("%s: %v", name, err)
		}
	}

	again := join(t, path, node.TCP, membership(t, c, nil))
	again.says(t, conversation.ID, "after the restart")
	alice.hears(t, "after the restart")
	alice.says(t, conversation.ID, "an answer")
	again.hears(t, "an answer")
	if quota, err := again.Quota(t.Context()); err != nil || quota.Limit != 100 || quota.Remaining > 98 {
		t.Errorf("%+v, %v", quota, err)
	}
	again.close(t)
	alice.close(t)
	node.Stop()
	onlyAccepted(t, log.String(), 3)
}

func TestS1_WhatIsOverTheQuotaWaitsAndIsDeliveredInOrderInTheNextEpochs(t *testing.T) {
	t.Parallel()
	const epochSeconds, limit, count = 30, 10, 25
	c := newClub(t, epochSeconds, limit)
	var log bytes.Buffer
	node := servicenode.StartRLN(t, c.groupFile(), &log)
	folder := t.TempDir()
	alice := join(t, filepath.Join(folder, "alice.db"), node.TCP, membership(t, c, c.member(t, 0)))
	bob := join(t, filepath.Join(folder, "bob.db"), node.Websocket, membership(t, c, c.member(t, 1)))
	conversation := meet(t, alice, bob)

	waiting := map[string]bool{}
	start := time.Now()
	for i := range count {
		waiting[alice.says(t, conversation.ID, fmt.Sprint("message ", i)).ID] = true
	}
	if quota, err := alice.Quota(t.Context()); err != nil || quota.Limit != limit || quota.Waiting == 0 {
		t.Errorf("%+v, %v", quota, err)
	}
	for i := range count {
		want := fmt.Sprint("message ", i)
		bob.until(t, want, 3*epochSeconds*time.Second, func(event chatsdk.Event) bool {
			received, ok := event.(chatsdk.MessageReceived)
			if ok && received.Message.Text != want {
				t.Errorf("got %q, want %q", received.Message.Text, want)
			}
			return ok
		})
	}
	var exhausted, renewed bool
	alice.until(t, "all delivered, none waiting", 6*epochSeconds*time.Second, func(event chatsdk.Event) bool {
		switch event := event.(type) {
		case chatsdk.QuotaChanged:
			exhausted = exhausted || event.Exhausted
			renewed = exhausted && !event.Exhausted
			if event.RenewsAt.Unix()%epochSeconds != 0 || event.RenewsAt.Before(start) {
				t.Errorf("renews at %v", event.RenewsAt)
			}
		case chatsdk.MessageStatusChanged:
			if event.Status == chatsdk.StatusFailed {
				t.Errorf("%s failed: %s", event.MessageID, event.FailureReason)
			}
			if event.Status == chatsdk.StatusDelivered {
				delete(waiting, event.MessageID)
			}
		}
		return renewed && len(waiting) == 0
	})
	t.Logf("%d messages were delivered in %v", count, time.Since(start).Round(time.Second))
	if quota, err := alice.Quota(t.Context()); err != nil || quota.Waiting != 0 {
		t.Errorf("%+v, %v", quota, err)
	}
	bob.close(t)
	alice.close(t)
	node.Stop()
	onlyAccepted(t, log.String(), count+1)
}
