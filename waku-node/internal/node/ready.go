package node

import (
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Ready is what a node tells its parent once it serves. All addresses end in /p2p/ID.
type Ready struct {
	PeerID     string   `json:"peerId"`
	Multiaddrs []string `json:"multiaddrs"`
	Websocket  string   `json:"websocket"`
	TCP        string   `json:"tcp"`
	ClusterID  uint16   `json:"clusterId"`
	Shards     uint16   `json:"shards"`
	RLN        *RLN     `json:"rln,omitempty"` // absent without RLN
}

// RLN is what a client must share with the node for its proofs to count.
type RLN struct {
	MerkleRoot   string `json:"merkleRoot"` // 64 hex digits
	EpochSeconds int64  `json:"epochSeconds"`
}

// listen opens the node's ports.
func (n *Node) listen() error {
	ip, err := manet.FromIP(n.config.Host.AsSlice())
	if err != nil {
		return fmt.Errorf("listening on %s: %w", n.config.Host, err)
	}
	for _, suffix := range []string{
		fmt.Sprintf("/tcp/%d", n.config.TCPPort),
		fmt.Sprintf("/tcp/%d/ws", n.config.WebsocketPort),
	} {
		address := ip.Encapsulate(multiaddr.StringCast(suffix))
		if err := n.host.Network().Listen(address); err != nil {
			return fmt.Errorf("listening on %s: %w", address, err)
		}
	}
	return nil
}

// Ready describes the node. Its addresses come from the listening sockets, not from the configuration,
// so their ports are real also where port 0 was asked for.
func (n *Node) Ready() (Ready, error) {
	r := Ready{PeerID: n.host.ID().String(), ClusterID: n.config.Shards.Cluster, Shards: n.config.Shards.Count}
	if n.guard != nil {
		r.RLN = &RLN{MerkleRoot: n.guard.Root().String(), EpochSeconds: n.guard.EpochSeconds()}
	}
	listening, err := n.host.Network().InterfaceListenAddresses()
	if err != nil {
		return Ready{}, fmt.Errorf("resolving listen addresses: %w", err)
	}
	// A node on 0.0.0.0 has several addresses of each kind; the loopback one is the one to name.
	slices.SortStableFunc(listening, func(a, b multiaddr.Multiaddr) int { return rank(a) - rank(b) })
	full, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: n.host.ID(), Addrs: listening})
	if err != nil {
		return Ready{}, fmt.Errorf("naming listen addresses: %w", err)
	}
	for _, address := range full {
		r.Multiaddrs = append(r.Multiaddrs, address.String())
		first := &r.TCP
		if _, err := address.ValueForProtocol(multiaddr.P_WS); err == nil {
			first = &r.Websocket
		}
		if *first == "" {
			*first = address.String()
		}
	}
	return r, nil
}

func rank(address multiaddr.Multiaddr) int {
	if manet.IsIPLoopback(address) {
		return 0
	}
	return 1
}
