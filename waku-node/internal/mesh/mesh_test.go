package mesh

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"

	"waku-node/internal/testpeer"
)

// The peer is down at first, comes, goes away, and comes again.
func TestLinkComesBack(t *testing.T) {
	key, _, err := crypto.GenerateKeyPair(crypto.Secp256k1, 0)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", freePort(t))
	h := testpeer.NewHost(t)
	info := peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(address)}}
	if err := Keep(t.Context(), h, []peer.AddrInfo{info}, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		other := testpeer.NewHost(t, libp2p.Identity(key), libp2p.NoListenAddrs)
		testpeer.Eventually(t, "the port is free", func() bool { return other.Network().Listen(info.Addrs[0]) == nil })
		testpeer.Eventually(t, fmt.Sprintf("round %d: the link is up", round), func() bool { return linked(h, id) })
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		testpeer.Eventually(t, fmt.Sprintf("round %d: the link is down", round), func() bool { return !linked(h, id) })
	}
}

// A connection that only breaks is made again as well.
func TestBrokenConnection(t *testing.T) {
	a, b := testpeer.NewHost(t), testpeer.NewHost(t)
	if err := Keep(t.Context(), a, []peer.AddrInfo{{ID: b.ID(), Addrs: b.Addrs()}}, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		testpeer.Eventually(t, "the link is up", func() bool { return linked(a, b.ID()) })
		if err := b.Network().ClosePeer(a.ID()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusesItself(t *testing.T) {
	h := testpeer.NewHost(t)
	if err := Keep(context.Background(), h, []peer.AddrInfo{{ID: h.ID(), Addrs: h.Addrs()}}, zap.NewNop()); err == nil {
		t.Error("a node was linked to itself")
	}
}

func linked(h host.Host, id peer.ID) bool { return h.Network().Connectedness(id) == network.Connected }

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}
