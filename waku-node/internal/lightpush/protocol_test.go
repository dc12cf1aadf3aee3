package lightpush

import (
	"context"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	legacy "github.com/waku-org/go-waku/waku/v2/protocol/lightpush/pb"
	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	v3 "waku-node/internal/lightpush/lightpushpb"
	"waku-node/internal/rules"
	"waku-node/internal/shard"
	"waku-node/internal/testpeer"
	"waku-node/internal/unary"
)

// mount serves both versions and returns a client that is connected to them.
func mount(t *testing.T, f *fakes, limiter *unary.Limiter) (client, server host.Host) {
	t.Helper()
	server, client = testpeer.NewHost(t), testpeer.NewHost(t)
	publisher := Publisher{Shards: shard.Set{Cluster: 42, Count: 8}, Rules: rules.Rules{}, Proofs: rules.AnyAuthor{}, Archive: f, Relay: f, Logger: zap.NewNop()}
	Mount(t.Context(), server, publisher, limiter)
	MountLegacy(t.Context(), server, publisher, limiter)
	testpeer.Connect(t, client, testpeer.Address(server))
	return client, server
}

func request(payload int) *v3.LightPushRequest {
	return &v3.LightPushRequest{
		RequestId:   "id",
		PubsubTopic: proto.String("/waku/2/rs/42/0"),
		Message:     &pb.WakuMessage{Payload: make([]byte, payload), ContentTopic: "/a/1/b/proto"},
	}
}

func TestVersion3(t *testing.T) {
	client, server := mount(t, &fakes{peers: 2}, nil)
	for _, test := range []struct {
		name    string
		request proto.Message
		id      string
		status  Status
		peers   uint32
	}{
		{"accepted", request(10), "id", Success, 2},
		{"too large", request(rules.MaxMessageSize), "id", PayloadTooLarge, 0},
		{"far too large", request(2 << 20), unary.UnknownRequestID, PayloadTooLarge, 0},
		{"no message", &v3.LightPushRequest{RequestId: "id"}, "id", BadRequest, 0},
		{"no request id", &v3.LightPushRequest{Message: request(1).Message}, "", BadRequest, 0},
		// Field 21 of a request is the message; here it is a byte that is no message.
		{"not a request", &pb.WakuMessage{RateLimitProof: []byte{0xff}}, unary.UnknownRequestID, BadRequest, 0},
	} {
		response := new(v3.LightPushResponse)
		testpeer.Call(t, client, server.ID(), ProtocolID, test.request, response)
		if response.RequestId != test.id || response.StatusCode != uint32(test.status) || response.GetRelayPeerCount() != test.peers || response.GetStatusDesc() == "" {
			t.Errorf("%s: %v", test.name, response)
		}
	}
}

func TestLegacy(t *testing.T) {
	client, server := mount(t, &fakes{}, nil)
	for _, test := range []struct {
		name    string
		payload int
		topic   string
		success bool
	}{
		{"accepted", 10, "/waku/2/rs/42/0", true},
		{"too large", rules.MaxMessageSize, "/waku/2/rs/42/0", false},
		{"far too large", 2 << 20, "/waku/2/rs/42/0", false},
		{"foreign shard", 10, "/waku/2/rs/42/9", false},
		{"no topic", 10, "", false},
		{"no payload", 0, "/waku/2/rs/42/0", false},
	} {
		response := new(legacy.PushRpc)
		testpeer.Call(t, client, server.ID(), LegacyProtocolID, &legacy.PushRpc{RequestId: "id", Request: &legacy.PushRequest{
			PubsubTopic: test.topic, Message: request(test.payload).Message,
		}}, response)
		if response.Response.GetIsSuccess() != test.success || response.Response.GetInfo() == "" {
			t.Errorf("%s: %v", test.name, response)
		}
	}
}

func TestRateLimit(t *testing.T) {
	client, server := mount(t, &fakes{}, unary.NewLimiter(1))
	counts := map[uint32]int{}
	for range 10 {
		response := new(v3.LightPushResponse)
		testpeer.Call(t, client, server.ID(), ProtocolID, request(1), response)
		counts[response.StatusCode]++
	}
	if counts[uint32(Success)] < 2 || counts[uint32(TooManyRequests)] < 5 {
		t.Errorf("statuses: %v", counts)
	}
}

// A client that dies in the middle of a request costs nothing but its stream.
func TestHalfARequest(t *testing.T) {
	client, server := mount(t, &fakes{}, nil)
	for range 50 {
		stream, err := client.NewStream(context.Background(), server.ID(), ProtocolID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Write([]byte{200, 1, 10, 2}); err != nil {
			t.Fatal(err)
		}
		_ = stream.Reset()
	}
	response := new(v3.LightPushResponse)
	testpeer.Call(t, client, server.ID(), ProtocolID, request(1), response)
	if response.StatusCode != uint32(Success) {
		t.Errorf("got %v", response)
	}
}
