package chatsdk_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/internal/localnet"
)

func TestF2_WhatNeverReachesTheCoreIsTooLargeBeforeItIsCopied(t *testing.T) {
	client := join(t, options(t, localnet.New(), filepath.Join(t.TempDir(), "chat.db")))
	ctx, large := t.Context(), strings.Repeat("x", abi.MaximumLength+1)
	payload := []byte(large)
	for _, test := range []struct {
		what    string
		content chatsdk.Sendable
	}{
		{"a text", chatsdk.Text(large)},
		{"a reply", chatsdk.Reply{MessageID: "m", Text: large}},
		{"a reaction", chatsdk.Reaction{MessageID: "m", Reaction: large}},
		{"an attachment", chatsdk.AttachmentReference{Name: large[:len(large)/2], URL: large[:len(large)/2]}},
		{"bytes", chatsdk.Content{Domain: 9, Tag: 1, Version: 1, Payload: payload}},
		{"bytes that leave no room for the rest of the call", chatsdk.Content{Domain: 9, Tag: 1, Version: 1, Payload: payload[:abi.MaximumLength-60]}},
		{"an own type", chatsdk.ContentType[string]{
			Domain: 9, Tag: 1, Version: 1, Encode: func(string) ([]byte, error) { return payload, nil },
		}.Of("value")},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, sent := client.Send(ctx, "nope", test.content)
		_, accepted := client.AcceptInvite(ctx, client.me.ID, "link", test.content)
		runtime.ReadMemStats(&after)
		for _, err := range []error{sent, accepted} {
			wantMessage(t, err, chatsdk.ErrContentTooLarge, "content: 67108")
		}
		if copied := after.TotalAlloc - before.TotalAlloc; copied > 1<<20 {
			t.Errorf("%s: %d bytes were copied", test.what, copied)
		}
	}
	_, err := client.InspectInvite(ctx, large)
	wantMessage(t, err, chatsdk.ErrInvalidArgument, "link: 67108865 bytes")
	_, err = client.AcceptInvite(ctx, client.me.ID, large, chatsdk.Text("x"))
	wantMessage(t, err, chatsdk.ErrInvalidArgument, "link: 67108865 bytes")
	// The core says what is too large of all else.
	_, err = client.Send(ctx, "nope", chatsdk.Text(large[:1<<20]))
	wantMessage(t, err, chatsdk.ErrConversationNotFound, "conversationID: ")
}

func TestS1_AContentThatIsNoneIsRefused(t *testing.T) {
	client := join(t, options(t, localnet.New(), filepath.Join(t.TempDir(), "chat.db")))
	var none *chatsdk.Content
	var incomplete chatsdk.ContentType[int]
	for message, content := range map[string]chatsdk.Sendable{"content: missing": none, "Encode: missing": incomplete.Of(3)} {
		_, err := client.Send(t.Context(), "nope", content)
		wantMessage(t, err, chatsdk.ErrInvalidArgument, message)
		_, err = client.AcceptInvite(t.Context(), client.me.ID, "link", content)
		wantMessage(t, err, chatsdk.ErrInvalidArgument, message)
	}
	if _, ok := incomplete.Read(chatsdk.Content{}); ok {
		t.Error("read without a Decode")
	}
}
