package metadata_test

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/waku-org/go-waku/waku/v2/protocol/metadata/pb"
	"go.uber.org/zap"

	"waku-node/internal/metadata"
	"waku-node/internal/shard"
	"waku-node/internal/testpeer"
)

func TestBothShardFields(t *testing.T) {
	server, client := newPair(t, shard.Set{Cluster: 42, Count: 3}, shard.Set{Cluster: 42, Count: 1})
	response := new(pb.WakuMetadataResponse)
	testpeer.Call(t, client, server.ID(), metadata.ProtocolID, new(pb.WakuMetadataRequest), response)
	want := []uint32{0, 1, 2}
	if response.GetClusterId() != 42 || !slices.Equal(response.Shards, want) || !slices.Equal(response.ShardsDeprecated, want) {
		t.Errorf("got %v", response)
	}
}

func TestPeersOfOneClusterStay(t *testing.T) {
	server, client := newPair(t, shard.Set{Cluster: 42, Count: 8}, shard.Set{Cluster: 42, Count: 1})
	time.Sleep(500 * time.Millisecond)
	if !connected(server, client) || !connected(client, server) {
		t.Error("the peers parted")
	}
}

func TestOtherClusterIsDisconnected(t *testing.T) {
	server, client := newPair(t, shard.Set{Cluster: 42, Count: 8}, shard.Set{Cluster: 1, Count: 8})
	testpeer.Eventually(t, "the peers part", func() bool { return !connected(server, client) })
}

func TestPeerWithoutMetadataIsDisconnected(t *testing.T) {
	server, stranger := testpeer.NewHost(t), testpeer.NewHost(t)
	if err := metadata.Mount(t.Context(), server, shard.Set{Cluster: 42, Count: 8}, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	testpeer.Connect(t, stranger, testpeer.Address(server))
	testpeer.Eventually(t, "the peers part", func() bool { return !connected(server, stranger) })
}

// A client that mounts its protocols after it has connected is given time.
func TestLateMetadata(t *testing.T) {
	server, late := testpeer.NewHost(t), testpeer.NewHost(t)
	shards := shard.Set{Cluster: 42, Count: 8}
	if err := metadata.Mount(t.Context(), server, shards, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	testpeer.Connect(t, late, testpeer.Address(server))
	time.Sleep(700 * time.Millisecond)
	if err := metadata.Mount(t.Context(), late, shards, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if !connected(server, late) {
		t.Error("the peers parted")
	}
}

func connected(a, b host.Host) bool { return a.Network().Connectedness(b.ID()) == network.Connected }

// newPair makes two connected hosts with metadata.
func newPair(t *testing.T, server, client shard.Set) (host.Host, host.Host) {
	t.Helper()
	a, b := testpeer.NewHost(t), testpeer.NewHost(t)
	if err := metadata.Mount(t.Context(), a, server, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	if err := metadata.Mount(t.Context(), b, client, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	testpeer.Connect(t, b, testpeer.Address(a))
	return a, b
}
