// Package testpeer makes libp2p hosts and Waku clients for this module's tests. The clients are
// go-waku's own wherever it has one, so that the node is not only tested against itself.
package testpeer

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-msgio/pbio"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/waku-org/go-waku/waku/v2/onlinechecker"
	"github.com/waku-org/go-waku/waku/v2/peerstore"
	waku "github.com/waku-org/go-waku/waku/v2/protocol"
	"github.com/waku-org/go-waku/waku/v2/protocol/filter"
	"github.com/waku-org/go-waku/waku/v2/protocol/lightpush"
	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"github.com/waku-org/go-waku/waku/v2/protocol/relay"
	"github.com/waku-org/go-waku/waku/v2/protocol/store"
	"github.com/waku-org/go-waku/waku/v2/timesource"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/metadata"
	"waku-node/internal/shard"
)

// Patience is how long tests wait for something that should happen.
const Patience = 30 * time.Second

// NewHost makes a host on loopback that ends with the test.
func NewHost(t testing.TB, options ...libp2p.Option) host.Host {
	t.Helper()
	peers, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Peerstore(peerstore.NewWakuPeerstore(peers)),
		libp2p.ResourceManager(&network.NullResourceManager{}),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// Address is the first address of a host, with its peer id.
func Address(h host.Host) string {
	return h.Addrs()[0].String() + "/p2p/" + h.ID().String()
}

// Connect connects a host to an address that ends in /p2p/ID.
func Connect(t testing.TB, h host.Host, address string) peer.ID {
	t.Helper()
	info, err := peer.AddrInfoFromString(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := h.Connect(ctx, *info); err != nil {
		t.Fatal(err)
	}
	return info.ID
}

// Call makes one request of a unary protocol.
func Call(t testing.TB, h host.Host, to peer.ID, id protocol.ID, request, response proto.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	stream, err := h.NewStream(ctx, to, id)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	if err := stream.SetDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	if err := pbio.NewDelimitedWriter(stream).WriteMsg(request); err != nil {
		t.Fatal(err)
	}
	if err := pbio.NewDelimitedReader(stream, 64<<20).ReadMsg(response); err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", Patience, what)
		}
	}
}

// Message makes a message of now.
func Message(contentTopic, text string) *pb.WakuMessage {
	return &pb.WakuMessage{Payload: []byte(text), ContentTopic: contentTopic, Timestamp: proto.Int64(time.Now().UnixNano())}
}

// Client is a light client made of go-waku's protocols, connected to one node.
type Client struct {
	t         testing.TB
	Host      host.Host
	Node      peer.ID
	filter    *filter.WakuFilterLightNode
	lightpush *lightpush.WakuLightPush
	store     *store.WakuStore

	mu       sync.Mutex
	received []*pb.WakuMessage
}

// NewClient connects a client to a node's address.
func NewClient(t testing.TB, shards shard.Set, address string) *Client {
	t.Helper()
	logger := zap.NewNop()
	clock := timesource.NewDefaultClock()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	broadcaster := relay.NewBroadcaster(1024)
	if err := broadcaster.Start(ctx); err != nil {
		t.Fatal(err)
	}
	c := &Client{
		t:    t,
		Host: NewHost(t),
		filter: filter.NewWakuFilterLightNode(broadcaster, nil, clock, onlinechecker.NewDefaultOnlineChecker(true), prometheus.NewRegistry(), logger,
			filter.WithLightNodeRateLimiter(rate.Inf, 1)),
		lightpush: lightpush.NewWakuLightPush(nil, nil, prometheus.NewRegistry(), logger),
		store:     store.NewWakuStore(nil, clock, logger, rate.Inf),
	}
	if err := metadata.Mount(ctx, c.Host, shards, logger); err != nil {
		t.Fatal(err)
	}
	c.filter.SetHost(c.Host)
	c.lightpush.SetHost(c.Host)
	c.store.SetHost(c.Host)
	if err := c.filter.Start(ctx); err != nil {
		t.Fatal(err)
	}
	c.Node = Connect(t, c.Host, address)
	return c
}

// Subscribe starts to collect messages of a content topic.
func (c *Client) Subscribe(pubsubTopic, contentTopic string) {
	c.t.Helper()
	subscriptions, err := c.filter.Subscribe(context.Background(), waku.NewContentFilter(pubsubTopic, contentTopic), filter.WithPeer(c.Node))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, subscription := range subscriptions {
		go func() {
			for envelope := range subscription.C {
				c.mu.Lock()
				c.received = append(c.received, envelope.Message())
				c.mu.Unlock()
			}
		}()
	}
}

// Received lists the payloads that came by filter so far.
func (c *Client) Received() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	texts := make([]string, len(c.received))
	for i, message := range c.received {
		texts[i] = string(message.Payload)
	}
	return texts
}

// PushLegacy publishes by legacy light push.
func (c *Client) PushLegacy(pubsubTopic string, message *pb.WakuMessage) error {
	_, err := c.lightpush.Publish(context.Background(), message, lightpush.WithPeer(c.Node), lightpush.WithPubSubTopic(pubsubTopic))
	return err
}

// Stored lists the payloads of a content topic in the node's store, page by page.
func (c *Client) Stored(pubsubTopic, contentTopic string) ([]string, error) {
	result, err := c.store.Query(context.Background(),
		store.FilterCriteria{ContentFilter: waku.NewContentFilter(pubsubTopic, contentTopic)},
		store.WithPeer(c.Node), store.WithPaging(true, 7), store.IncludeData(true))
	if err != nil {
		return nil, fmt.Errorf("first page: %w", err)
	}
	var texts []string
	for {
		for _, entry := range result.Messages() {
			texts = append(texts, string(entry.Message.Payload))
		}
		if len(result.Cursor()) == 0 {
			return texts, nil
		}
		if err := result.Next(context.Background()); err != nil {
			return nil, fmt.Errorf("next page: %w", err)
		}
	}
}
