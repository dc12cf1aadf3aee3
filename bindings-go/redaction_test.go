package chatsdk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/internal/localnet"
	"chatsdk/internal/redactiontest"
	"chatsdk/keys"
)

const secret = redactiontest.Secret

// printed tells how, and what it gives.
func printed(value any) map[string]string {
	texts := map[string]string{"Println": fmt.Sprintln(value), "Errorf": fmt.Errorf("it is %v", value).Error()}
	held := map[string]any{
		"itself": value, "a list": []any{value}, "a pointer": &value, "a map": map[string]any{"it": value}, "a struct": struct{ Field any }{value},
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%t", "%10.3v"} {
		for where, holder := range held {
			texts[verb+" of "+where] = fmt.Sprintf(verb, holder)
		}
	}
	texts["slog's text"] = logged(value, textHandler)
	texts["slog's text of a list"] = logged([]any{value}, textHandler)
	return texts
}

func textHandler(log *bytes.Buffer) slog.Handler { return slog.NewTextHandler(log, nil) }

func jsonHandler(log *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(log, nil) }

func logged(value any, handler func(*bytes.Buffer) slog.Handler) string {
	var log bytes.Buffer
	slog.New(handler(&log)).Info("it is", "value", value)
	return log.String()
}

func TestS3_NothingPrintsTheTextsLinksAndKeysThatItHolds(t *testing.T) {
	content := chatsdk.Content{Domain: 9, Tag: 1, Version: 1, Payload: []byte(secret)}
	message := chatsdk.Message{ID: "m", ConversationID: "c", Content: content, Text: secret}
	invite := chatsdk.Invite{ID: "i", Link: secret}
	for _, value := range []any{
		content, chatsdk.Text(secret), chatsdk.Reply{MessageID: "m", Text: secret}, chatsdk.Reaction{MessageID: "m", Reaction: secret},
		chatsdk.AttachmentReference{
			URL: "https://" + secret, Name: secret, MediaType: secret, Digest: []byte(secret), Key: []byte(secret), Nonce: []byte(secret),
		},
		message, &message, []chatsdk.Message{message}, invite, &invite, []chatsdk.Invite{invite}, chatsdk.MessageReceived{Message: message},
		[]chatsdk.Event{chatsdk.MessageReceived{Message: message}}, struct{ Last *chatsdk.Message }{&message},
		chatsdk.Options{StorageKey: keys.Passphrase(secret), Protocol: &abi.Config{RateLimit: &abi.RateLimit{Credentials: []byte(secret)}}},
		struct{ key keys.Key }{keys.Passphrase(secret)}, struct{ options chatsdk.Options }{chatsdk.Options{StorageKey: keys.Raw([]byte(secret))}},
	} {
		for how, text := range printed(value) {
			if redactiontest.IsShown(text) {
				t.Errorf("%T by %s: %s", value, how, text)
			}
		}
	}
	for _, value := range []any{message, &message, invite, &invite, content, chatsdk.MessageReceived{Message: message}} {
		if text := logged(value, jsonHandler); redactiontest.IsShown(text) {
			t.Errorf("%T by slog's JSON: %s", value, text)
		}
	}
	if text := fmt.Sprintln(message, invite, chatsdk.Text("four")); text != "message m of conversation c invite i text of 4 bytes\n" {
		t.Error(text)
	}
	if string(chatsdk.Text(secret)) != secret || message.Text != secret || invite.Link != secret {
		t.Error("the values are lost")
	}
	// An application's own type may hold what it sends.
	encoded, err := json.Marshal([]any{content, chatsdk.Text("a"), chatsdk.Reply{Text: "b"}, chatsdk.AttachmentReference{Key: []byte(secret)}})
	if err != nil || strings.Count(string(encoded), "aGlkZGVu") != 2 || !strings.Contains(string(encoded), `"a",{"MessageID":"","Text":"b"}`) {
		t.Errorf("%s, %v", encoded, err)
	}
}

func TestS3_AClientPrintsNeitherItsKeyNorTheEventsThatWait(t *testing.T) {
	network := localnet.New()
	folder := t.TempDir()
	settings := options(t, network, filepath.Join(folder, "alice.db"))
	settings.StorageKey = keys.Passphrase(secret)
	alice, err := chatsdk.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := alice.Close(); err != nil {
			t.Error(err)
		}
	}()
	for how, text := range printed(alice) {
		if redactiontest.IsShown(text) {
			t.Errorf("%s: %s", how, text)
		}
	}
	if got := fmt.Sprint(alice); got != "client of "+settings.Path {
		t.Error(got)
	}
}
