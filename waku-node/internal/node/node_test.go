package node

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/config"
	"waku-node/internal/lightpush"
	"waku-node/internal/lightpush/lightpushpb"
	"waku-node/internal/testpeer"
)

const (
	pubsubTopic  = "/waku/2/rs/42/3"
	contentTopic = "/test/1/node/proto"
)

// start runs a node that stops with the test, or before.
func start(t *testing.T, change func(*config.Config)) *Node {
	t.Helper()
	cfg := config.Default()
	if change != nil {
		change(&cfg)
	}
	n, err := Start(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func ready(t *testing.T, n *Node) Ready {
	t.Helper()
	r, err := n.Ready()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func client(t *testing.T, n *Node) *testpeer.Client {
	t.Helper()
	return testpeer.NewClient(t, n.config.Shards, ready(t, n).TCP)
}

// linkTo configures --peer.
func linkTo(t *testing.T, n *Node) func(*config.Config) {
	t.Helper()
	info, err := peer.AddrInfoFromString(ready(t, n).TCP)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *config.Config) { c.Peers = append(c.Peers, *info) }
}

// push publishes by light push version 3.
func push(t *testing.T, c *testpeer.Client, message *pb.WakuMessage) *lightpushpb.LightPushResponse {
	t.Helper()
	response := new(lightpushpb.LightPushResponse)
	testpeer.Call(t, c.Host, c.Node, lightpush.ProtocolID,
		&lightpushpb.LightPushRequest{RequestId: "id", PubsubTopic: proto.String(pubsubTopic), Message: message}, response)
	return response
}

func mustPush(t *testing.T, c *testpeer.Client, text string) {
	t.Helper()
	if response := push(t, c, testpeer.Message(contentTopic, text)); response.StatusCode != uint32(lightpush.Success) {
		t.Fatalf("push: %v", response)
	}
}

func stored(t *testing.T, c *testpeer.Client) []string {
	t.Helper()
	texts, err := c.Stored(pubsubTopic, contentTopic)
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestAddressesAreReal(t *testing.T) {
	n := start(t, nil)
	r := ready(t, n)
	if r.PeerID != n.host.ID().String() || r.ClusterID != 42 || r.Shards != 8 || len(r.Multiaddrs) != 2 {
		t.Errorf("%+v", r)
	}
	for _, address := range []string{r.TCP, r.Websocket} {
		if !slices.Contains(r.Multiaddrs, address) || strings.Contains(address, "/tcp/0/") || !strings.HasSuffix(address, "/p2p/"+r.PeerID) {
			t.Errorf("address %q", address)
		}
		c := testpeer.NewClient(t, n.config.Shards, address)
		mustPush(t, c, "by "+address)
	}
	if !strings.Contains(r.Websocket, "/ws/p2p/") {
		t.Errorf("websocket %q", r.Websocket)
	}
}

func TestNodeKey(t *testing.T) {
	key, _, err := crypto.GenerateKeyPair(crypto.Secp256k1, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, func(c *config.Config) { c.NodeKey = key })
	if id, err := peer.IDFromPrivateKey(key); err != nil || id.String() != ready(t, n).PeerID {
		t.Errorf("peer id %s is not that of the key: %v", ready(t, n).PeerID, err)
	}
}

func TestTakenPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	for name, change := range map[string]func(*config.Config){
		"tcp": func(c *config.Config) { c.TCPPort = port },
		"ws":  func(c *config.Config) { c.WebsocketPort = port },
	} {
		cfg := config.Default()
		change(&cfg)
		if _, err := Start(cfg, zap.NewNop()); err == nil {
			t.Errorf("%s: started on a port that is taken", name)
		}
	}
	// A port of another node is taken as well; reuseport would share it.
	first := start(t, nil)
	info, err := peer.AddrInfoFromString(ready(t, first).TCP)
	if err != nil {
		t.Fatal(err)
	}
	var second uint16
	if _, err := fmt.Sscanf(info.Addrs[0].String(), "/ip4/127.0.0.1/tcp/%d", &second); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.TCPPort = second
	if _, err := Start(cfg, zap.NewNop()); err == nil {
		t.Error("two nodes share a port")
	}
}

// Both versions of light push reach go-waku's filter client and store client.
func TestServices(t *testing.T) {
	n := start(t, nil)
	alice, bob := client(t, n), client(t, n)
	bob.Subscribe(pubsubTopic, contentTopic)
	mustPush(t, alice, "version 3")
	if err := alice.PushLegacy(pubsubTopic, testpeer.Message(contentTopic, "legacy")); err != nil {
		t.Fatal(err)
	}
	want := []string{"version 3", "legacy"}
	if got := stored(t, alice); !slices.Equal(got, want) {
		t.Errorf("stored %q", got)
	}
	testpeer.Eventually(t, "bob has both messages", func() bool { return len(bob.Received()) == 2 })
}

func TestEphemeralIsDeliveredAndNotStored(t *testing.T) {
	n := start(t, nil)
	c := client(t, n)
	c.Subscribe(pubsubTopic, contentTopic)
	message := testpeer.Message(contentTopic, "fleeting")
	message.Ephemeral = proto.Bool(true)
	if response := push(t, c, message); response.StatusCode != 200 {
		t.Fatal(response)
	}
	testpeer.Eventually(t, "the message arrives", func() bool { return len(c.Received()) == 1 })
	if got := stored(t, c); len(got) != 0 {
		t.Errorf("stored %q", got)
	}
}

// A refused message stays refused when a client tries again; gossipsub's memory of seen messages does
// not turn it into a success.
func TestRefusedMessageStaysRefused(t *testing.T) {
	n := start(t, nil)
	c := client(t, n)
	old := testpeer.Message(contentTopic, "old")
	old.Timestamp = proto.Int64(time.Now().Add(-time.Minute).UnixNano())
	for range 3 {
		if response := push(t, c, old); response.StatusCode != uint32(lightpush.InvalidMessage) || !strings.Contains(response.GetStatusDesc(), "timestamp") {
			t.Errorf("version 3: %v", response)
		}
		if err := c.PushLegacy(pubsubTopic, old); err == nil || !strings.Contains(err.Error(), "timestamp") {
			t.Errorf("legacy: %v", err)
		}
	}
	if got := stored(t, c); len(got) != 0 {
		t.Errorf("stored %q", got)
	}
}

// The same message pushed twice is stored and delivered once.
func TestRepetition(t *testing.T) {
	n := start(t, nil)
	c := client(t, n)
	c.Subscribe(pubsubTopic, contentTopic)
	message := testpeer.Message(contentTopic, "once")
	for range 2 {
		if response := push(t, c, message); response.StatusCode != 200 {
			t.Fatal(response)
		}
	}
	mustPush(t, c, "after")
	testpeer.Eventually(t, "the later message arrives", func() bool { return slices.Contains(c.Received(), "after") })
	if got := c.Received(); len(got) != 2 {
		t.Errorf("received %q", got)
	}
	if got := stored(t, c); !slices.Equal(got, []string{"once", "after"}) {
		t.Errorf("stored %q", got)
	}
}

func TestMessagesCrossTheMesh(t *testing.T) {
	first := start(t, nil)
	second := start(t, linkTo(t, first))
	alice, bob := client(t, first), client(t, second)
	bob.Subscribe(pubsubTopic, contentTopic)
	alice.Subscribe(pubsubTopic, contentTopic)
	awaitRelayPeers(t, first, 1)
	awaitRelayPeers(t, second, 1)

	response := push(t, alice, testpeer.Message(contentTopic, "from the first"))
	if response.StatusCode != 200 || response.GetRelayPeerCount() != 1 {
		t.Fatal(response)
	}
	mustPush(t, bob, "from the second")
	for name, c := range map[string]*testpeer.Client{"first": alice, "second": bob} {
		testpeer.Eventually(t, "subscribers of the "+name+" node have both messages", func() bool { return len(c.Received()) == 2 })
		testpeer.Eventually(t, "the store of the "+name+" node has both messages", func() bool { return len(stored(t, c)) == 2 })
	}
}

// A line of three nodes: the one in the middle passes on what it gets.
func TestMessagesCrossANodeInTheMiddle(t *testing.T) {
	first := start(t, nil)
	middle := start(t, linkTo(t, first))
	last := start(t, linkTo(t, middle))
	awaitRelayPeers(t, middle, 2)
	alice, bob := client(t, first), client(t, last)
	bob.Subscribe(pubsubTopic, contentTopic)
	// A node forwards to its mesh, which gossipsub builds at its next heartbeat, within a second.
	testpeer.Eventually(t, "the mesh is built", func() bool {
		mustPush(t, alice, "probe")
		return len(bob.Received()) > 0
	})
	for i := range 20 {
		mustPush(t, alice, fmt.Sprint(i))
	}
	arrived := func(texts []string) bool {
		for i := range 20 {
			if !slices.Contains(texts, fmt.Sprint(i)) {
				return false
			}
		}
		return true
	}
	testpeer.Eventually(t, "20 messages arrive", func() bool { return arrived(bob.Received()) })
	testpeer.Eventually(t, "20 messages are stored", func() bool { return arrived(stored(t, bob)) })
}

// No message of a burst is lost between the relay and the other node's store.
func TestBurstAcrossTheMesh(t *testing.T) {
	first := start(t, nil)
	second := start(t, linkTo(t, first))
	awaitRelayPeers(t, first, 1)
	const clients, each = 4, 500
	var pushing sync.WaitGroup
	for i := range clients {
		c := client(t, first)
		pushing.Go(func() {
			for j := range each {
				mustPush(t, c, fmt.Sprintf("%d/%d", i, j))
			}
		})
	}
	pushing.Wait()
	for name, n := range map[string]*Node{"first": first, "second": second} {
		c := client(t, n)
		testpeer.Eventually(t, fmt.Sprintf("%d messages in the store of the %s node", clients*each, name), func() bool {
			return len(stored(t, c)) == clients*each
		})
	}
}

// The relay applies the rules to messages of other nodes: here of one that has no clock check.
func TestRulesHoldOnTheRelay(t *testing.T) {
	strict := start(t, nil)
	lax := start(t, func(c *config.Config) {
		linkTo(t, strict)(c)
		c.MaxClockSkew = 0
	})
	awaitRelayPeers(t, lax, 1)
	atLax, atStrict := client(t, lax), client(t, strict)
	old := testpeer.Message(contentTopic, "old")
	old.Timestamp = proto.Int64(time.Now().Add(-time.Hour).UnixNano())
	if response := push(t, atLax, old); response.StatusCode != 200 {
		t.Fatal(response)
	}
	mustPush(t, atLax, "new")
	testpeer.Eventually(t, "the new message crosses", func() bool { return slices.Contains(stored(t, atStrict), "new") })
	if got := stored(t, atStrict); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
	if got := stored(t, atLax); len(got) != 2 {
		t.Errorf("stored %q at the node without clock check", got)
	}
}

// A link heals when the other node restarts, and each node starts without the other.
func TestLinkedNodeRestarts(t *testing.T) {
	key, _, err := crypto.GenerateKeyPair(crypto.Secp256k1, 0)
	if err != nil {
		t.Fatal(err)
	}
	first := start(t, func(c *config.Config) { c.NodeKey = key })
	again := first.config
	if _, err := fmt.Sscanf(ready(t, first).TCP, "/ip4/127.0.0.1/tcp/%d", &again.TCPPort); err != nil {
		t.Fatal(err)
	}
	link := linkTo(t, first)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}

	second := start(t, link) // its peer is down
	alice := client(t, second)
	mustPush(t, alice, "alone")
	for round := range 2 {
		first = start(t, func(c *config.Config) { *c = again })
		awaitRelayPeers(t, second, 1)
		awaitRelayPeers(t, first, 1)
		bob := client(t, first)
		text := fmt.Sprintf("round %d", round)
		mustPush(t, alice, text)
		testpeer.Eventually(t, text+" crosses", func() bool { return slices.Contains(stored(t, bob), text) })
		if err := first.Stop(); err != nil {
			t.Fatal(err)
		}
		testpeer.Eventually(t, "the link is down", func() bool { return second.relay.Peers(pubsubTopic) == 0 })
	}
}

func TestRetention(t *testing.T) {
	n := start(t, func(c *config.Config) { c.StoreRetention = 2 * time.Second })
	c := client(t, n)
	mustPush(t, c, "short-lived")
	if got := stored(t, c); len(got) != 1 {
		t.Fatalf("stored %q", got)
	}
	start := time.Now()
	testpeer.Eventually(t, "the message expires", func() bool { return len(stored(t, c)) == 0 })
	if kept := time.Since(start); kept < time.Second {
		t.Errorf("the message was kept for %s only", kept)
	}
	mustPush(t, c, "next")
	if got := stored(t, c); !slices.Equal(got, []string{"next"}) {
		t.Errorf("stored %q", got)
	}
}

func TestRestartKeepsTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	configure := func(c *config.Config) { c.Store = path }
	first := start(t, configure)
	mustPush(t, client(t, first), "before")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, configure)
	c := client(t, second)
	mustPush(t, c, "after")
	if got := stored(t, c); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("stored %q", got)
	}
}

func TestManySubscribers(t *testing.T) {
	n := start(t, nil)
	var clients []*testpeer.Client
	for range 64 {
		c := client(t, n)
		c.Subscribe(pubsubTopic, contentTopic)
		clients = append(clients, c)
	}
	const messages = 50
	for i := range messages {
		mustPush(t, clients[i], fmt.Sprint(i))
	}
	for i, c := range clients {
		testpeer.Eventually(t, fmt.Sprintf("client %d has all messages", i), func() bool { return len(c.Received()) == messages })
	}
}

// The default limits never throttle a test.
func TestThousandsOfMessages(t *testing.T) {
	n := start(t, nil)
	subscriber := client(t, n)
	subscriber.Subscribe(pubsubTopic, contentTopic)
	const clients, each = 4, 750
	var pushing sync.WaitGroup
	for i := range clients {
		c := client(t, n)
		pushing.Go(func() {
			for j := range each {
				mustPush(t, c, fmt.Sprintf("%d/%d", i, j))
			}
		})
	}
	pushing.Wait()
	testpeer.Eventually(t, "all messages arrive", func() bool { return len(subscriber.Received()) == clients*each })
	if got := len(stored(t, subscriber)); got != clients*each {
		t.Errorf("%d messages stored", got)
	}
}

// A start that fails leaves nothing behind.
func TestFailedStart(t *testing.T) {
	cfg := config.Default()
	cfg.Store = filepath.Join(t.TempDir(), "no", "such", "directory", "store.db")
	n, err := Start(cfg, zap.NewNop())
	if err == nil {
		t.Fatal(errors.Join(errors.New("started without its store"), n.Stop()))
	}
}

func awaitRelayPeers(t *testing.T, n *Node, peers int) {
	t.Helper()
	testpeer.Eventually(t, fmt.Sprintf("%d relay peers", peers), func() bool { return n.relay.Peers(pubsubTopic) == peers })
}
