package waku

import (
	libp2p "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"

	"chatsdk/waku/internal/wire"
)

// offers tells what the node has said last: one that has just started may say some of it first, and the rest in the same connection.
func (n *node) offers(id protocol.ID) bool {
	offered, err := n.host.Peerstore().SupportsProtocols(n.id, id)
	return err == nil && len(offered) > 0
}

func (n *node) canPush() bool { return !n.relaying && n.offers(wire.LightPush) }

func (n *node) canStore() bool { return n.offers(wire.Store) }

func (n *node) hasFilter() bool { return !n.relaying && n.offers(wire.FilterSubscribe) }

// followOffers until the transport stops.
func (t *Transport) followOffers(h host.Host) error {
	updates, err := h.EventBus().Subscribe(new(libp2p.EvtPeerProtocolsUpdated))
	if err != nil {
		return err
	}
	t.sessions.Go(func() {
		// Closing it does not fail.
		defer func() { _ = updates.Close() }()
		for {
			select {
			case <-t.running.Done():
				return
			case <-updates.Out():
				t.onNodeChange()
			}
		}
	})
	return nil
}
