// Package relay runs go-waku's 11/WAKU2-RELAY (gossipsub) for a fixed set of shards, and puts the
// node's rules and its message archive in the path of every message.
package relay

import (
	"context"
	"fmt"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/prometheus/client_golang/prometheus"
	waku "github.com/waku-org/go-waku/waku/v2/protocol"
	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"github.com/waku-org/go-waku/waku/v2/protocol/relay"
	"github.com/waku-org/go-waku/waku/v2/timesource"
	"go.uber.org/zap"

	"waku-node/internal/rules"
	"waku-node/internal/shard"
)

// Queue lengths. gossipsub drops what does not fit (its defaults start at 32), so they have room for
// the bursts of a load test; dropLog reports what is lost all the same.
const (
	validateQueue = 8192
	outboundQueue = 8192
	deliveryQueue = 8192
)

// Archive keeps messages before they are delivered.
type Archive interface {
	Put(ctx context.Context, pubsubTopic string, message *pb.WakuMessage) error
}

// Relay is a running relay.
type Relay struct {
	waku        *relay.WakuRelay
	broadcaster relay.Broadcaster
}

// Start joins the shards on a host.
//
// Checking and archiving happen in gossipsub's validators, which is what keeps the archive complete:
// a validator runs once for each message, of this node or of a peer, before it is delivered or passed
// on, and it may block. A subscriber of the broadcaster would come after queues that drop.
func Start(ctx context.Context, h host.Host, shards shard.Set, checks rules.Rules, proofs rules.Proofs, archive Archive, logger *zap.Logger) (*Relay, error) {
	r := &Relay{broadcaster: relay.NewBroadcaster(deliveryQueue)}
	if err := r.broadcaster.Start(ctx); err != nil {
		return nil, fmt.Errorf("starting the broadcaster: %w", err)
	}
	r.waku = relay.NewWakuRelay(r.broadcaster, 0, timesource.NewDefaultClock(), prometheus.NewRegistry(), logger,
		relay.WithMaxMsgSize(rules.MaxMessageSize),
		relay.WithPubSubOptions([]pubsub.Option{
			pubsub.WithValidateQueueSize(validateQueue),
			pubsub.WithPeerOutboundQueueSize(outboundQueue),
			pubsub.WithRawTracer(dropLog{logger}),
		}))
	r.waku.RegisterDefaultValidator(func(_ context.Context, message *pb.WakuMessage, topic string) bool {
		err := checks.Check(message)
		if err != nil {
			logger.Info("message refused", zap.Stringer("hash", message.Hash(topic)), zap.Error(err))
		}
		return err == nil
	})
	r.waku.RegisterDefaultValidator(func(_ context.Context, message *pb.WakuMessage, topic string) bool {
		return proofs.Check(topic, message) == nil // it logs what it refuses
	})
	r.waku.RegisterDefaultValidator(func(ctx context.Context, message *pb.WakuMessage, topic string) bool {
		// A failing disk is not the sender's fault: the message is still passed on.
		if err := archive.Put(ctx, topic, message); err != nil {
			logger.Error("relayed message not stored", zap.Stringer("hash", message.Hash(topic)), zap.Error(err))
		}
		return true
	})
	r.waku.SetHost(h)
	if err := r.waku.Start(ctx); err != nil {
		r.broadcaster.Stop()
		return nil, fmt.Errorf("starting the relay: %w", err)
	}
	for _, topic := range shards.Topics() {
		if _, err := r.waku.Subscribe(ctx, waku.NewContentFilter(topic), relay.WithoutConsumer()); err != nil {
			r.Stop()
			return nil, fmt.Errorf("subscribing to %s: %w", topic, err)
		}
	}
	return r, nil
}

// Messages returns every message that passed the rules, once. The channel closes when the relay stops.
func (r *Relay) Messages() <-chan *waku.Envelope {
	return r.broadcaster.RegisterForAll(relay.WithBufferSize(deliveryQueue)).Ch
}

// Publish sends a message to the mesh and to the subscribers of this node.
func (r *Relay) Publish(ctx context.Context, pubsubTopic string, message *pb.WakuMessage) error {
	if _, err := r.waku.Publish(ctx, message, relay.WithPubSubTopic(pubsubTopic)); err != nil {
		return fmt.Errorf("publishing on %s: %w", pubsubTopic, err)
	}
	return nil
}

// Peers is the number of connected peers that relay a pubsub topic.
func (r *Relay) Peers(pubsubTopic string) int {
	return len(r.waku.PubSub().ListPeers(pubsubTopic))
}

// Stop leaves the mesh. The broadcaster goes last: go-waku's relay panics when it delivers to one that
// has stopped.
func (r *Relay) Stop() {
	r.waku.Stop()
	r.broadcaster.Stop()
}
