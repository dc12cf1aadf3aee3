package node

import (
	"fmt"
	"math"

	"github.com/libp2p/go-libp2p"
	mplex "github.com/libp2p/go-libp2p-mplex"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	"github.com/waku-org/go-waku/waku/v2/peerstore"
)

// newHost makes a libp2p host that does not listen yet, so that no peer meets it before its protocols
// are mounted.
//
// It has what Waku needs on a local network and no more: TCP and websockets, noise, and both muxers
// (go and Rust clients prefer yamux, @waku/sdk may have only mplex). There is no peer discovery, NAT
// traversal or circuit relay, and no limit on connections and streams: all of a test's clients share
// one address.
func newHost(key crypto.PrivKey) (host.Host, error) {
	peers, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, fmt.Errorf("creating the peer store: %w", err)
	}
	unlimited := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 0, ConnCount: math.MaxInt}}
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(rcmgr.InfiniteLimits),
		rcmgr.WithLimitPerSubnet(unlimited, unlimited))
	if err != nil {
		return nil, fmt.Errorf("creating the resource manager: %w", err)
	}
	h, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.UserAgent("waku-node (go-waku 0.10.0)"),
		libp2p.NoListenAddrs,
		// Without reuseport a port that is taken is an error; with it, two nodes would share it.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(websocket.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.Muxer("/mplex/6.7.0", mplex.DefaultTransport),
		libp2p.Peerstore(peerstore.NewWakuPeerstore(peers)), // go-waku's relay casts to its own type
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.ForceReachabilityPublic(), // no AutoNAT probes
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableMetrics(),
	)
	if err != nil {
		return nil, fmt.Errorf("creating the libp2p host: %w", err)
	}
	return h, nil
}
