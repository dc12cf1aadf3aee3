package relay

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"

	"waku-node/internal/rules"
	"waku-node/internal/shard"
	"waku-node/internal/testpeer"
)

const (
	pubsubTopic  = "/waku/2/rs/42/0"
	contentTopic = "/test/1/relay/proto"
)

// archive notes what it is given, and may fail.
type archive struct {
	stored chan string
	err    error
}

func (a archive) Put(_ context.Context, _ string, message *pb.WakuMessage) error {
	a.stored <- string(message.Payload)
	return a.err
}

func startRelay(t *testing.T, a archive) *Relay {
	t.Helper()
	checks := rules.Rules{MaxClockSkew: 20 * time.Second, Now: time.Now}
	r, err := Start(t.Context(), testpeer.NewHost(t), shard.Set{Cluster: 42, Count: 2}, checks, rules.AnyAuthor{}, a, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// A message is in the archive before anyone gets it, and a failing archive does not stop it.
func TestArchivedBeforeDelivered(t *testing.T) {
	for name, failure := range map[string]error{"": nil, "failing": errors.New("disk is full")} {
		a := archive{stored: make(chan string, 1), err: failure}
		r := startRelay(t, a)
		messages := r.Messages()
		if err := r.Publish(t.Context(), pubsubTopic, testpeer.Message(contentTopic, "x")); err != nil {
			t.Fatal(err)
		}
		select {
		case envelope := <-messages:
			if string(envelope.Message().Payload) != "x" || envelope.PubsubTopic() != pubsubTopic {
				t.Errorf("%s: delivered %v", name, envelope)
			}
		case <-time.After(testpeer.Patience):
			t.Fatalf("%s: nothing was delivered", name)
		}
		select {
		case <-a.stored:
		default:
			t.Errorf("%s: delivered before it was archived", name)
		}
	}
}

func TestRefusesUnknownTopicsAndBrokenRules(t *testing.T) {
	a := archive{stored: make(chan string, 1)}
	r := startRelay(t, a)
	if err := r.Publish(t.Context(), "/waku/2/rs/42/2", testpeer.Message(contentTopic, "x")); err == nil {
		t.Error("published on a shard that the relay has not joined")
	}
	old := testpeer.Message(contentTopic, "x")
	*old.Timestamp -= int64(time.Minute)
	if err := r.Publish(t.Context(), pubsubTopic, old); err == nil {
		t.Error("published a message that breaks the rules")
	}
	if len(a.stored) != 0 {
		t.Error("a refused message was archived")
	}
}

// Stop ends the stream of messages, and may be called with messages still queued.
func TestStop(t *testing.T) {
	a := archive{stored: make(chan string, 100)}
	r := startRelay(t, a)
	messages := r.Messages()
	for range 100 {
		if err := r.Publish(t.Context(), pubsubTopic, testpeer.Message(contentTopic, "x")); err != nil {
			t.Fatal(err)
		}
	}
	r.Stop()
	testpeer.Eventually(t, "the channel closes", func() bool {
		select {
		case _, open := <-messages:
			return !open
		default:
			return false
		}
	})
}
