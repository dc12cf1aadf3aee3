package waku

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	"github.com/multiformats/go-multiaddr"
)

const (
	// maxPushStreams of one node. It opens one stream for each message it pushes, in a burst many at a time. What comes on further ones is left to the
	// history.
	maxPushStreams = 512
	// maxNodes that may have that many at a time.
	maxNodes = 8
	// streamWindow is what yamux sets aside for each stream. Where a limit leaves none it ends the connection, not the stream; so there is some for the
	// streams that we open, and for those that are reset as too many, whatever the machine's memory, on which the library's limits depend.
	streamWindow = 256 << 10
)

// limitsOf is for that many nodes together.
func limitsOf(nodes int) rcmgr.ResourceLimits {
	pushes := rcmgr.LimitVal(nodes * maxPushStreams)
	return rcmgr.ResourceLimits{StreamsInbound: pushes, StreamsOutbound: pushes, Streams: 2 * pushes, Memory: 2 * rcmgr.LimitVal64(pushes) * streamWindow}
}

func streamLimits(further rcmgr.ConcreteLimitConfig) rcmgr.Limiter {
	all, ofNode := limitsOf(maxNodes), limitsOf(1)
	limits := rcmgr.PartialLimitConfig{
		System: all, Transient: all, ProtocolDefault: all, ServiceDefault: all,
		PeerDefault: ofNode, ProtocolPeerDefault: ofNode, ServicePeerDefault: ofNode,
	}
	return rcmgr.NewFixedLimiter(limits.Build(further))
}

// resources tells of streams of others that are refused.
type resources struct {
	network.ResourceManager
	onRefusal func()
}

// OpenStream implements network.ResourceManager.
func (r resources) OpenStream(id peer.ID, direction network.Direction) (network.StreamManagementScope, error) {
	scope, err := r.ResourceManager.OpenStream(id, direction)
	if err != nil && direction == network.DirInbound {
		r.onRefusal()
	}
	return scope, err
}

// newHost makes a libp2p host of a client: it dials, listens nowhere, and has a new identity each time. onRefusal is called for each stream of a node
// that finds no room.
func newHost(onRefusal func(), further ...libp2p.Option) (host.Host, error) {
	// The kind of key that every Waku implementation reads.
	key, _, err := crypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	limited, err := rcmgr.NewResourceManager(streamLimits(rcmgr.DefaultLimits.AutoScale()))
	if err != nil {
		return nil, err
	}
	return libp2p.New(append(further,
		libp2p.Identity(key),
		libp2p.UserAgent("chatsdk-go"),
		libp2p.NoListenAddrs,
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(websocket.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(resources{limited, onRefusal}),
		libp2p.DisableRelay(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableMetrics(),
	)...)
}

// dial connects to a node and waits until it has said which protocols it speaks.
func dial(ctx context.Context, h host.Host, id peer.ID, addresses []multiaddr.Multiaddr) error {
	if network, ok := h.Network().(*swarm.Swarm); ok {
		// The pauses between attempts are ours.
		network.Backoff().Clear(id)
	}
	return h.Connect(ctx, peer.AddrInfo{ID: id, Addrs: addresses})
}

// learnID finds out the id of a node of which only addresses are known: a handshake that expects another id fails, and says who was there.
func learnID(ctx context.Context, h host.Host, addresses []multiaddr.Multiaddr) (peer.ID, error) {
	_, public, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	nobody, err := peer.IDFromPublicKey(public)
	if err != nil {
		return "", err
	}
	defer h.Peerstore().ClearAddrs(nobody)
	h.Peerstore().AddAddrs(nobody, addresses, dialTimeout)
	_, err = h.Network().DialPeer(ctx, nobody)
	var mismatch sec.ErrPeerIDMismatch
	if failure := new(swarm.DialError); errors.As(err, &failure) {
		for _, attempt := range failure.DialErrors {
			if errors.As(attempt.Cause, &mismatch) {
				return mismatch.Actual, nil
			}
		}
	}
	return "", err
}
