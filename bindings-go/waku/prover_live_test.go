package waku

import (
	"bytes"
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/servicenode"
	"chatsdk/waku/internal/wire"
)

// signer makes proofs that only this test can tell from others.
type signer struct{ proof []byte }

func (s signer) Prove(context.Context, ProofRequest) ([]byte, error) { return s.proof, nil }

func TestS1_TheProofReachesTheNodeInField21(t *testing.T) {
	const topic = "/chatsdk/2/proof/proto"
	proof := bytes.Repeat([]byte{0xa5}, 335)
	transport, err := New(Options{Peers: []string{servicenode.Start(t).TCP}, Prover: signer{proof}})
	if err != nil {
		t.Fatal(err)
	}
	events := transport.Start(t.Context())
	defer func() {
		if err := transport.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	for event, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		if event.GetConnection().GetOnline() {
			break
		}
	}
	if err := transport.Publish(t.Context(), &abi.Publish{Topic: topic, Payload: []byte("x"), Slot: &abi.RateSlot{Epoch: 1}}); err != nil {
		t.Fatal(err)
	}
	pubsubTopic, err := transport.network.PubsubTopic(topic)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.storeNodes()[0](t.Context(), &wire.StoreRequest{
		IncludeData: true, PubsubTopic: &pubsubTopic, ContentTopics: []string{topic}, TimeStart: proto.Int64(time.Now().Add(-time.Minute).UnixNano()),
		PaginationForward: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if stored := answer.GetMessages(); len(stored) != 1 || !bytes.Equal(stored[0].GetMessage().GetRateLimitProof(), proof) {
		t.Errorf("stored: %v", stored)
	}
}
