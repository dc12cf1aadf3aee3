package lightpush

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/rules"
	"waku-node/internal/shard"
	"waku-node/internal/store"
)

// fakes stands for the relay and the archive, and notes what reaches them.
type fakes struct {
	peers      int
	storeErr   error
	publishErr error
	calls      []string
}

func (f *fakes) Put(_ context.Context, topic string, _ *pb.WakuMessage) error {
	f.calls = append(f.calls, "store "+topic)
	return f.storeErr
}

func (f *fakes) Publish(_ context.Context, topic string, _ *pb.WakuMessage) error {
	f.calls = append(f.calls, "relay "+topic)
	return f.publishErr
}

func (f *fakes) Peers(string) int { return f.peers }

func TestPush(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	valid := func() *pb.WakuMessage {
		return &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "/chatsdk/1/x/proto", Timestamp: proto.Int64(now.UnixNano())}
	}
	with := func(change func(*pb.WakuMessage)) *pb.WakuMessage {
		m := valid()
		change(m)
		return m
	}
	const topic = "/waku/2/rs/42/1"
	both := []string{"store " + topic, "relay " + topic}
	for _, test := range []struct {
		name    string
		fakes   fakes
		topic   string
		message *pb.WakuMessage
		want    Outcome
		calls   []string
	}{
		{"a lone node accepts", fakes{}, topic, valid(), Outcome{Status: Success}, both},
		{"with relay peers", fakes{peers: 3}, topic, valid(), Outcome{Status: Success, RelayPeers: 3}, both},
		{"autosharding", fakes{}, "", valid(), Outcome{Status: Success}, []string{"store /waku/2/rs/42/6", "relay /waku/2/rs/42/6"}},
		{"autosharding of a malformed topic", fakes{}, "", with(func(m *pb.WakuMessage) { m.ContentTopic = "x" }), Outcome{Status: BadRequest}, nil},
		{"no message", fakes{}, topic, nil, Outcome{Status: BadRequest}, nil},
		{"no payload", fakes{}, topic, with(func(m *pb.WakuMessage) { m.Payload = nil }), Outcome{Status: BadRequest}, nil},
		{"too large", fakes{}, topic, with(func(m *pb.WakuMessage) { m.Payload = make([]byte, rules.MaxMessageSize) }), Outcome{Status: PayloadTooLarge}, nil},
		{"old", fakes{}, topic, with(func(m *pb.WakuMessage) { m.Timestamp = proto.Int64(now.Add(-time.Minute).UnixNano()) }), Outcome{Status: InvalidMessage}, nil},
		{"foreign cluster", fakes{}, "/waku/2/rs/1/1", valid(), Outcome{Status: UnsupportedTopic}, nil},
		{"foreign shard", fakes{}, "/waku/2/rs/42/8", valid(), Outcome{Status: UnsupportedTopic}, nil},
		{"store fails", fakes{storeErr: errors.New("disk is full")}, topic, valid(), Outcome{Status: InternalError}, both[:1]},
		{"relay fails", fakes{publishErr: errors.New("broken")}, topic, valid(), Outcome{Status: InternalError}, both},
		{"store closed", fakes{storeErr: fmt.Errorf("x: %w", store.ErrClosed)}, topic, valid(), Outcome{Status: Unavailable}, both[:1]},
		{"stopping", fakes{publishErr: fmt.Errorf("x: %w", context.Canceled)}, topic, valid(), Outcome{Status: Unavailable}, both},
	} {
		p := Publisher{
			Shards:  shard.Set{Cluster: 42, Count: 8},
			Rules:   rules.Rules{MaxClockSkew: 20 * time.Second, Now: func() time.Time { return now }},
			Proofs:  rules.AnyAuthor{},
			Archive: &test.fakes,
			Relay:   &test.fakes,
			Logger:  zap.NewNop(),
		}
		got := p.Push(context.Background(), test.topic, test.message)
		if got.Status != test.want.Status || got.RelayPeers != test.want.RelayPeers || got.Description == "" {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
		if fmt.Sprint(test.fakes.calls) != fmt.Sprint(test.calls) {
			t.Errorf("%s: calls %q, want %q", test.name, test.fakes.calls, test.calls)
		}
	}
}

func TestMinRelayPeers(t *testing.T) {
	for peers, want := range map[int]Status{0: NoPeers, 1: NoPeers, 2: Success} {
		f := &fakes{peers: peers}
		p := Publisher{Shards: shard.Set{Cluster: 42, Count: 8}, Proofs: rules.AnyAuthor{}, Archive: f, Relay: f, MinRelayPeers: 2, Logger: zap.NewNop()}
		if got := p.Push(context.Background(), "/waku/2/rs/42/0", &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "/a/1/b/proto"}); got.Status != want {
			t.Errorf("%d peers: %+v, want %d", peers, got, want)
		}
	}
}
