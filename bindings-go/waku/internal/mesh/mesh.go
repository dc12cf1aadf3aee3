// Package mesh is where a relay takes the place of light push and filter in the transport of package waku.
package mesh

import (
	"context"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"

	"chatsdk/waku/internal/wire"
)

// Protocol is 11/WAKU2-RELAY.
const Protocol protocol.ID = "/vac/waku/relay/2.0.0"

// Relay takes part in the relay of some shards.
type Relay interface {
	// HostOptions are what the relay needs of its libp2p host.
	HostOptions() ([]libp2p.Option, error)
	// Start joins. onChange is called when Ready may have changed.
	Start(ctx context.Context, h host.Host, receive func(pubsubTopic string, message *wire.WakuMessage), onChange func()) error
	// Subscribe receives from exactly these pubsub topics from now on.
	Subscribe(ctx context.Context, pubsubTopics []string) error
	// Publish fails if no peer relays the topic.
	Publish(ctx context.Context, pubsubTopic string, message *wire.WakuMessage) error
	// Ready tells whether at least one peer relays every topic subscribed to.
	Ready() bool
	// Stop leaves; before the host closes.
	Stop()
}
