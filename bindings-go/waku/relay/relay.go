// Package relay is a transport that takes part in Waku's relay (11/WAKU2-RELAY, gossipsub) with go-waku: it publishes to and receives from the mesh,
// and asks store nodes for history. Compared with the default transport, no service node learns which content topics a client is interested
// in, and no single one can hold a message back; it costs the traffic of whole shards, and is for devices that stay online.
//
// It is a module of its own, because it needs what the SDK does without:
//
//   - cgo, for libsecp256k1 in go-waku's relay;
//   - go-waku's go-libp2p-pubsub, in the go.mod of your program, which does not inherit it;
//   - the build tag gowaku_no_rln, which keeps go-waku's old RLN library out.
//
// Your go.mod needs the lines, the first two until the modules have a home,
//
//	replace chatsdk => ../chat-sdk/bindings-go
//	replace chatsdk/waku/relay => ../chat-sdk/bindings-go/waku/relay
//	replace github.com/libp2p/go-libp2p-pubsub v0.13.1 => github.com/waku-org/go-libp2p-pubsub v0.13.1-gowaku
//
// A relay learns nothing about what becomes of a message: a node that drops it (too old, too large, without a proof where one is asked for) does
// not say so. The SDK's own acknowledgements notice, and send it again.
package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/waku-org/go-waku/waku/v2/peerstore"
	protocol "github.com/waku-org/go-waku/waku/v2/protocol"
	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"github.com/waku-org/go-waku/waku/v2/protocol/relay"
	"github.com/waku-org/go-waku/waku/v2/timesource"
	"go.uber.org/zap"

	"chatsdk/waku"
	"chatsdk/waku/internal/wire"
)

const (
	// gossipsub drops what does not fit its queues, which hold 32 by default.
	queueLength = 8192
	// maximumMessage is the network's largest size.
	maximumMessage = 150 << 10
	// lookInterval: gossipsub tells nobody when a peer joins or leaves a topic.
	lookInterval = 200 * time.Millisecond
)

// New makes a transport that relays. Options that concern light push and filter have no effect. Those that can
// never work are INVALID_ARGUMENT, which names the option and the remedy.
func New(options waku.Options) (*waku.Transport, error) {
	return waku.NewRelaying(options, &goWaku{subscriptions: map[string]*relay.Subscription{}})
}

// goWaku is go-waku's relay. Its node around it is not used: that also runs peer discovery, and a peer manager which closes connections to relay
// peers whose shards its own metadata exchange has not recorded.
type goWaku struct {
	relay       *relay.WakuRelay
	broadcaster relay.Broadcaster
	receive     func(pubsubTopic string, message *wire.WakuMessage)
	looking     context.CancelFunc
	background  sync.WaitGroup

	mu            sync.Mutex
	subscriptions map[string]*relay.Subscription
}

// HostOptions: go-waku's relay casts the peer store to its own type.
func (g *goWaku) HostOptions() ([]libp2p.Option, error) {
	peers, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, err
	}
	return []libp2p.Option{libp2p.Peerstore(peerstore.NewWakuPeerstore(peers))}, nil
}

// Start starts the relay on the host, subscribed to nothing.
func (g *goWaku) Start(ctx context.Context, h host.Host, receive func(string, *wire.WakuMessage), onChange func()) error {
	g.receive = receive
	g.broadcaster = relay.NewBroadcaster(queueLength)
	// Not ctx: it ends before Stop, and go-waku's relay panics when it delivers to a broadcaster that has stopped.
	ctx, g.looking = context.WithCancel(context.WithoutCancel(ctx))
	if err := g.broadcaster.Start(ctx); err != nil {
		return fmt.Errorf("starting the broadcaster: %w", err)
	}
	g.relay = relay.NewWakuRelay(g.broadcaster, 0, timesource.NewDefaultClock(), prometheus.NewRegistry(), zap.NewNop(),
		relay.WithMaxMsgSize(maximumMessage),
		relay.WithPubSubOptions([]pubsub.Option{
			pubsub.WithValidateQueueSize(queueLength), pubsub.WithPeerOutboundQueueSize(queueLength),
		}))
	g.relay.SetHost(h)
	if err := g.relay.Start(ctx); err != nil {
		g.broadcaster.Stop()
		return fmt.Errorf("starting the relay: %w", err)
	}
	g.background.Go(func() { g.look(ctx, onChange) })
	return nil
}

// look reports when peers join or leave the topics.
func (g *goWaku) look(ctx context.Context, onChange func()) {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for ready := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := g.Ready(); now != ready {
			ready = now
			onChange()
		}
	}
}

// Subscribe joins and leaves topics until exactly these are left.
func (g *goWaku) Subscribe(ctx context.Context, pubsubTopics []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic := range g.subscriptions {
		if slices.Contains(pubsubTopics, topic) {
			continue
		}
		if err := g.relay.Unsubscribe(ctx, protocol.NewContentFilter(topic)); err != nil {
			return fmt.Errorf("leaving %s: %w", topic, err)
		}
		delete(g.subscriptions, topic)
	}
	for _, topic := range pubsubTopics {
		if g.subscriptions[topic] != nil {
			continue
		}
		// The subscription outlives the call.
		made, err := g.relay.Subscribe(context.WithoutCancel(ctx), protocol.NewContentFilter(topic))
		if err != nil {
			return fmt.Errorf("joining %s: %w", topic, err)
		}
		g.subscriptions[topic] = made[0]
		g.background.Go(func() {
			for envelope := range made[0].Ch {
				g.receive(envelope.PubsubTopic(), fromGoWaku(envelope.Message()))
			}
		})
	}
	return nil
}

// Publish hands a message to the peers of its topic.
func (g *goWaku) Publish(ctx context.Context, pubsubTopic string, message *wire.WakuMessage) error {
	if len(g.relay.PubSub().ListPeers(pubsubTopic)) == 0 {
		return errors.New("no peer relays " + pubsubTopic)
	}
	_, err := g.relay.Publish(ctx, toGoWaku(message), relay.WithPubSubTopic(pubsubTopic))
	return err
}

// Ready tells whether at least one peer relays every topic subscribed to.
func (g *goWaku) Ready() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic := range g.subscriptions {
		if len(g.relay.PubSub().ListPeers(topic)) == 0 {
			return false
		}
	}
	return len(g.subscriptions) > 0
}

// Stop leaves the mesh.
func (g *goWaku) Stop() {
	g.relay.Stop()
	g.broadcaster.Stop()
	g.looking()
	g.background.Wait()
}

func toGoWaku(message *wire.WakuMessage) *pb.WakuMessage {
	return &pb.WakuMessage{
		Payload: message.GetPayload(), ContentTopic: message.GetContentTopic(), Version: message.Version, Timestamp: message.Timestamp,
		Meta: message.GetMeta(), RateLimitProof: message.GetRateLimitProof(), Ephemeral: message.Ephemeral,
	}
}

func fromGoWaku(message *pb.WakuMessage) *wire.WakuMessage {
	return &wire.WakuMessage{
		Payload: message.GetPayload(), ContentTopic: message.GetContentTopic(), Version: message.Version, Timestamp: message.Timestamp,
		Meta: message.GetMeta(), RateLimitProof: message.GetRateLimitProof(), Ephemeral: message.Ephemeral,
	}
}
