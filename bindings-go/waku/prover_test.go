package waku_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/waku"
	"chatsdk/waku/internal/wire"
)

// recorder is a relay that keeps what is published.
type recorder struct {
	mu        sync.Mutex
	published []*wire.WakuMessage
}

func (*recorder) HostOptions() ([]libp2p.Option, error) { return nil, nil }

func (*recorder) Start(context.Context, host.Host, func(string, *wire.WakuMessage), func()) error {
	return nil
}

func (*recorder) Subscribe(context.Context, []string) error { return nil }

func (r *recorder) Publish(_ context.Context, _ string, message *wire.WakuMessage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.published = append(r.published, message)
	return nil
}

func (*recorder) Ready() bool { return true }

func (*recorder) Stop() {}

// proving is a prover of a test.
type proving func(ctx context.Context, request waku.ProofRequest) ([]byte, error)

func (p proving) Prove(ctx context.Context, request waku.ProofRequest) ([]byte, error) {
	return p(ctx, request)
}

func recorded(t *testing.T, prover waku.Prover) (*waku.Transport, *recorder) {
	t.Helper()
	relay := &recorder{}
	transport, err := waku.NewRelaying(waku.Options{Prover: prover}, relay)
	if err != nil {
		t.Fatal(err)
	}
	return transport, relay
}

func limited(payload string, epoch uint64, messageID uint32) *abi.Publish {
	return &abi.Publish{Topic: topic, Payload: []byte(payload), Slot: &abi.RateSlot{Epoch: epoch, MessageId: messageID}}
}

func TestS1_TheProofIsInField21OfTheMessageItIsAbout(t *testing.T) {
	var asked waku.ProofRequest
	transport, relay := recorded(t, proving(func(_ context.Context, request waku.ProofRequest) ([]byte, error) {
		asked = request
		return []byte("the proof"), nil
	}))
	before := time.Now().UnixMilli()
	if err := transport.Publish(t.Context(), limited("payload", 7, 3)); err != nil {
		t.Fatal(err)
	}
	message := relay.published[0]
	if asked.Topic != topic || string(asked.Payload) != "payload" || asked.Epoch != 7 || asked.MessageID != 3 {
		t.Errorf("asked for %+v", asked)
	}
	if message.GetTimestamp() != asked.TimestampNs || asked.TimestampNs/int64(time.Millisecond) < before {
		t.Errorf("timestamps %d and %d", message.GetTimestamp(), asked.TimestampNs)
	}
	encoded, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var found []byte
	for len(encoded) > 0 {
		number, kind, tag := protowire.ConsumeTag(encoded)
		length := protowire.ConsumeFieldValue(number, kind, encoded[tag:])
		if length < 0 {
			t.Fatal(protowire.ParseError(length))
		}
		if number == 21 {
			found, _ = protowire.ConsumeBytes(encoded[tag:])
		}
		encoded = encoded[tag+length:]
	}
	if string(found) != "the proof" {
		t.Errorf("field 21: %q", found)
	}
}

func TestS1_WithoutAProverASlotIsOnlyCounted(t *testing.T) {
	transport, relay := recorded(t, nil)
	if err := transport.Publish(t.Context(), limited("payload", 7, 3)); err != nil {
		t.Fatal(err)
	}
	if message := relay.published[0]; message.RateLimitProof != nil || string(message.GetPayload()) != "payload" {
		t.Errorf("published %v", message)
	}
}

func TestS1_WithoutASlotNoProofIsMade(t *testing.T) {
	transport, relay := recorded(t, proving(func(context.Context, waku.ProofRequest) ([]byte, error) {
		t.Error("a proof was made")
		return nil, nil
	}))
	if err := transport.Publish(t.Context(), &abi.Publish{Topic: topic, Payload: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if relay.published[0].RateLimitProof != nil {
		t.Error("a proof")
	}
}

func TestS1_AProofThatFailsOrIsEmptyKeepsItsMessage(t *testing.T) {
	stale := fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln: epoch is 7, but the timestamp is in epoch 8")
	for want, prover := range map[string]waku.Prover{
		"epoch is 7":     proving(func(context.Context, waku.ProofRequest) ([]byte, error) { return nil, stale }),
		"an empty proof": proving(func(context.Context, waku.ProofRequest) ([]byte, error) { return nil, nil }),
	} {
		transport, relay := recorded(t, prover)
		err := transport.Publish(t.Context(), limited("x", 7, 0))
		if !errors.Is(err, abi.ErrTransportFailed) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if len(relay.published) > 0 {
			t.Errorf("%s: published %v", want, relay.published)
		}
	}
}

func TestS1_ProofsAreMadeOneAtATimeEachWithTheTimeOfItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const proofTime = 150 * time.Millisecond
		running := 0
		var requests []waku.ProofRequest
		transport, relay := recorded(t, proving(func(_ context.Context, request waku.ProofRequest) ([]byte, error) {
			if running++; running > 1 {
				t.Errorf("%d proofs at a time", running)
			}
			if age := time.Since(time.Unix(0, request.TimestampNs)); age >= time.Millisecond {
				t.Errorf("the timestamp of message %d is %v old", request.MessageID, age)
			}
			time.Sleep(proofTime)
			requests = append(requests, request)
			running--
			return []byte{1}, nil
		}))
		start := time.Now()
		var all sync.WaitGroup
		for i := range uint32(10) {
			all.Go(func() {
				if err := transport.Publish(t.Context(), limited("x", 1, i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took != 10*proofTime {
			t.Errorf("10 proofs took %v", took)
		}
		ordered := slices.IsSortedFunc(requests, func(a, b waku.ProofRequest) int { return int(a.TimestampNs - b.TimestampNs) })
		if !ordered || len(relay.published) != 10 {
			t.Errorf("%d published, proofs: %+v", len(relay.published), requests)
		}
	})
}

func TestS1_WhoeverStopsWaitingForTheTurnGetsNoProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		proved := 0
		transport, relay := recorded(t, proving(func(context.Context, waku.ProofRequest) ([]byte, error) {
			proved++
			<-release
			return []byte{1}, nil
		}))
		outcomes := make(chan error, 3)
		publish := func(ctx context.Context) { outcomes <- transport.Publish(ctx, limited("x", 1, 0)) }
		go publish(t.Context())
		synctest.Wait()
		cancelled, cancel := context.WithCancel(t.Context())
		go publish(cancelled)
		synctest.Wait()
		cancel()
		if err := <-outcomes; !errors.Is(err, abi.ErrAborted) {
			t.Errorf("cancelled: %v", err)
		}
		go publish(t.Context())
		synctest.Wait()
		if err := transport.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-outcomes; !errors.Is(err, abi.ErrTransportFailed) {
			t.Errorf("stopped: %v", err)
		}
		synctest.Wait()
		close(release)
		// Its proof was under way when the transport stopped.
		if err := <-outcomes; !errors.Is(err, abi.ErrTransportFailed) {
			t.Errorf("the first: %v", err)
		}
		if proved != 1 || len(relay.published) != 0 {
			t.Errorf("%d proofs, %d published", proved, len(relay.published))
		}
	})
}
