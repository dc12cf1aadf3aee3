package relay

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"chatsdk/waku/internal/wire"
)

func TestS1_AMessageKeepsItsProofAndEveryOtherFieldOnItsWayThroughGoWaku(t *testing.T) {
	message := &wire.WakuMessage{
		Payload: []byte("payload"), ContentTopic: "/chatsdk/2/relay/proto", Version: proto.Uint32(1), Timestamp: proto.Int64(2), Meta: []byte("meta"),
		RateLimitProof: []byte("proof"), Ephemeral: proto.Bool(true),
	}
	want, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	there := toGoWaku(message)
	for name, converted := range map[string]proto.Message{"there": there, "and back": fromGoWaku(there)} {
		if got, err := proto.Marshal(converted); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x, %v", name, got, want, err)
		}
	}
}
