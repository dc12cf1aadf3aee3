// Package lightpush serves 19/WAKU2-LIGHTPUSH: clients hand the node a message, and the node relays
// it. Version 3, /vac/waku/lightpush/3.0.0, and the legacy version, /vac/waku/lightpush/2.0.0-beta1,
// share one Publisher.
//
// go-waku 0.10.0 has a server for the legacy version. It is not used: gossipsub remembers a message
// as seen before it validates it and reports a repetition as success, so that server answers "OK" when
// a client tries a refused message again. The Publisher checks and stores before it relays.
package lightpush

import (
	"context"
	"errors"
	"fmt"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"

	"waku-node/internal/rules"
	"waku-node/internal/shard"
	"waku-node/internal/store"
)

// Relay publishes messages.
type Relay interface {
	Publish(ctx context.Context, pubsubTopic string, message *pb.WakuMessage) error
	Peers(pubsubTopic string) int
}

// Archive stores messages.
type Archive interface {
	Put(ctx context.Context, pubsubTopic string, message *pb.WakuMessage) error
}

// Publisher takes the messages of light push clients.
type Publisher struct {
	Shards  shard.Set
	Rules   rules.Rules
	Proofs  rules.Proofs
	Archive Archive
	Relay   Relay
	// MinRelayPeers is how many relay peers a topic needs. With 0, a node on its own accepts messages
	// for its store and its filter subscribers.
	MinRelayPeers int
	Logger        *zap.Logger
}

// Outcome is the answer to a push.
type Outcome struct {
	Status      Status
	Description string
	RelayPeers  int // to which the message was sent
}

// Push checks, stores and relays a message. An empty pubsub topic stands for the one that autosharding
// derives from the content topic.
func (p Publisher) Push(ctx context.Context, pubsubTopic string, message *pb.WakuMessage) Outcome {
	if err := p.Rules.Check(message); err != nil {
		return refusal(err)
	}
	if pubsubTopic == "" {
		derived, err := p.Shards.TopicFor(message.ContentTopic)
		if err != nil {
			return Outcome{Status: BadRequest, Description: err.Error()}
		}
		pubsubTopic = derived
	}
	if !p.Shards.Serves(pubsubTopic) {
		return Outcome{Status: UnsupportedTopic, Description: fmt.Sprintf("this node does not serve pubsub topic %q", pubsubTopic)}
	}
	peers := p.Relay.Peers(pubsubTopic)
	if peers < p.MinRelayPeers {
		return Outcome{Status: NoPeers, Description: fmt.Sprintf("%d relay peers on %s, %d are needed", peers, pubsubTopic, p.MinRelayPeers)}
	}
	if err := p.Proofs.Check(pubsubTopic, message); err != nil {
		return refusal(err)
	}
	// Stored first: once gossipsub has seen the message, a client could not have it relayed again.
	err := p.Archive.Put(ctx, pubsubTopic, message)
	if err == nil {
		err = p.Relay.Publish(ctx, pubsubTopic, message)
	}
	switch {
	case err == nil:
		return Outcome{Status: Success, Description: "OK", RelayPeers: peers}
	case errors.Is(err, store.ErrClosed), errors.Is(err, context.Canceled):
		return Outcome{Status: Unavailable, Description: "the node is shutting down"}
	default:
		p.Logger.Error("message not published", zap.Stringer("hash", message.Hash(pubsubTopic)), zap.Error(err))
		return Outcome{Status: InternalError, Description: err.Error()}
	}
}

func refusal(err error) Outcome {
	status := InvalidMessage
	var violation *rules.Violation
	if errors.Is(err, context.Canceled) {
		status = Unavailable
	} else if errors.As(err, &violation) {
		switch violation.Kind {
		case rules.Malformed:
			status = BadRequest
		case rules.TooLarge:
			status = PayloadTooLarge
		}
	}
	return Outcome{Status: status, Description: err.Error()}
}
