package filter

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	waku "github.com/waku-org/go-waku/waku/v2/protocol"
	"github.com/waku-org/go-waku/waku/v2/protocol/filter/pb"
	wpb "github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/shard"
	"waku-node/internal/testpeer"
)

const (
	pubsubTopic  = "/waku/2/rs/42/0"
	contentTopic = "/test/1/filter/proto"
)

type fixture struct {
	t      *testing.T
	host   host.Host
	server *Server
}

func newFixture(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	options := Options{
		Shards:             shard.Set{Cluster: 42, Count: 8},
		IdleTimeout:        time.Hour,
		UnreachableTimeout: time.Hour,
		SweepInterval:      20 * time.Millisecond,
		Logger:             zap.NewNop(),
	}
	if change != nil {
		change(&options)
	}
	h := testpeer.NewHost(t)
	return &fixture{t: t, host: h, server: Mount(t.Context(), h, options)}
}

func (f *fixture) deliver(text string) {
	message := &wpb.WakuMessage{Payload: []byte(text), ContentTopic: contentTopic}
	f.server.Deliver(waku.NewEnvelope(message, 0, pubsubTopic))
}

func (f *fixture) subscribers() int { return len(f.server.subscriptions.all()) }

// client is a filter client written for these tests, that treats push streams as told.
type client struct {
	host host.Host
	mu   sync.Mutex
	got  []string
	// open counts push streams that are open; a push beyond limit is refused, as js-libp2p does.
	open, limit, mostOpen int
}

// behaviour is what a client does with a push stream after the first message.
type behaviour int

const (
	closes  behaviour = iota // as go-waku: reads one message and closes
	readsOn                  // as js-waku: reads further messages and never closes
	stalls                   // reads nothing
)

func (f *fixture) connect(b behaviour) *client {
	f.t.Helper()
	c := &client{host: testpeer.NewHost(f.t), limit: 100}
	c.host.SetStreamHandler(PushProtocolID, func(stream network.Stream) { c.handle(stream, b) })
	testpeer.Connect(f.t, c.host, testpeer.Address(f.host))
	return c
}

func (c *client) handle(stream network.Stream, b behaviour) {
	c.mu.Lock()
	if c.open == c.limit {
		c.mu.Unlock()
		_ = stream.Reset()
		return
	}
	c.open++
	c.mostOpen = max(c.mostOpen, c.open)
	c.mu.Unlock()
	if b == stalls {
		return
	}
	reader := bufio.NewReader(stream)
	for {
		push := new(pb.MessagePush)
		if err := protodelim.UnmarshalFrom(reader, push); err != nil {
			break
		}
		c.mu.Lock()
		c.got = append(c.got, string(push.WakuMessage.Payload))
		c.mu.Unlock()
		if b == closes {
			break
		}
	}
	if b == closes {
		_ = stream.Close()
		c.mu.Lock()
		c.open--
		c.mu.Unlock()
	}
}

func (c *client) received() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

func (f *fixture) request(c *client, kind pb.FilterSubscribeRequest_FilterSubscribeType, topic string, contentTopics ...string) uint32 {
	f.t.Helper()
	request := &pb.FilterSubscribeRequest{RequestId: "id", FilterSubscribeType: kind, ContentTopics: contentTopics}
	if topic != "" {
		request.PubsubTopic = proto.String(topic)
	}
	response := new(pb.FilterSubscribeResponse)
	testpeer.Call(f.t, c.host, f.host.ID(), SubscribeProtocolID, request, response)
	if response.RequestId != "id" || response.GetStatusDesc() == "" {
		f.t.Errorf("response %v", response)
	}
	return response.StatusCode
}

func (f *fixture) subscribe(c *client) {
	f.t.Helper()
	if code := f.request(c, pb.FilterSubscribeRequest_SUBSCRIBE, pubsubTopic, contentTopic); code != 200 {
		f.t.Fatalf("subscribe: status %d", code)
	}
}

func TestRequests(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect(closes)
	const (
		ping        = pb.FilterSubscribeRequest_SUBSCRIBER_PING
		subscribe   = pb.FilterSubscribeRequest_SUBSCRIBE
		unsubscribe = pb.FilterSubscribeRequest_UNSUBSCRIBE
		unsubAll    = pb.FilterSubscribeRequest_UNSUBSCRIBE_ALL
	)
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf("/test/1/%d/proto", i))
	}
	for i, step := range []struct {
		kind   pb.FilterSubscribeRequest_FilterSubscribeType
		topic  string
		topics []string
		want   uint32
	}{
		{ping, "", nil, 404},
		{unsubscribe, pubsubTopic, []string{contentTopic}, 404},
		{unsubAll, "", nil, 404},
		{subscribe, "", []string{contentTopic}, 400},
		{subscribe, pubsubTopic, nil, 400},
		{subscribe, pubsubTopic, []string{""}, 400},
		{subscribe, pubsubTopic, many, 400},
		{subscribe, "/waku/2/rs/42/8", []string{contentTopic}, 400},
		{99, pubsubTopic, []string{contentTopic}, 400},
		{ping, "", nil, 404},
		{subscribe, pubsubTopic, []string{contentTopic, "/test/1/b/proto"}, 200},
		{subscribe, pubsubTopic, []string{contentTopic}, 200},
		{ping, "", nil, 200},
		{unsubscribe, pubsubTopic, []string{contentTopic}, 200},
		{ping, "", nil, 200},
		{unsubscribe, pubsubTopic, []string{"/test/1/b/proto"}, 200},
		{ping, "", nil, 404},
		{subscribe, pubsubTopic, many[:100], 200},
		{unsubAll, "", nil, 200},
		{ping, "", nil, 404},
	} {
		if got := f.request(c, step.kind, step.topic, step.topics...); got != step.want {
			t.Errorf("step %d: status %d, want %d", i, got, step.want)
		}
	}
	if n := len(f.server.subscriptions.byTopic); n != 0 {
		t.Errorf("%d topics left in the index", n)
	}
}

func TestCriteriaLimit(t *testing.T) {
	r := newRegistry()
	start := func(*subscriber) {}
	topics := func(from int) (list []string) {
		for i := range 100 {
			list = append(list, fmt.Sprintf("/test/1/%d/proto", from+i))
		}
		return list
	}
	for i := range maxCriteria / 100 {
		if err := r.subscribe("peer", pubsubTopic, topics(i*100), start); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.subscribe("peer", pubsubTopic, topics(0), start); err != nil {
		t.Errorf("refreshing known criteria: %v", err)
	}
	if err := r.subscribe("peer", pubsubTopic, topics(maxCriteria), start); err != errTooManyCriteria {
		t.Errorf("one criterion too many: %v", err)
	}
}

// Both kinds of client get every message in order, far beyond js-libp2p's limit of 100 push streams.
func TestPushesInOrder(t *testing.T) {
	for name, b := range map[string]behaviour{"client closes streams": closes, "client reads on": readsOn} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			c := f.connect(b)
			f.subscribe(c)
			var want []string
			for i := range 1000 {
				text := fmt.Sprint(i)
				want = append(want, text)
				f.deliver(text)
			}
			testpeer.Eventually(t, "1000 messages arrive", func() bool { return len(c.received()) == len(want) })
			got := c.received()
			if b == closes {
				slices.Sort(got) // streams of one message each may overtake each other in the client
				slices.Sort(want)
			}
			if b == readsOn {
				got, want = got[maxOpen+1:], want[maxOpen+1:] // those on a stream of their own
			}
			if !slices.Equal(got, want) {
				t.Error("messages are missing, doubled or out of order")
			}
			if c.mostOpen > maxOpen+1 {
				t.Errorf("%d push streams were open at once", c.mostOpen)
			}
		})
	}
}

// A client that reads nothing, and one that is gone, delay nobody else.
func TestStalledAndDeadClientsDelayNobody(t *testing.T) {
	f := newFixture(t, nil)
	stalled, dead, healthy := f.connect(stalls), f.connect(closes), f.connect(closes)
	for _, c := range []*client{stalled, dead, healthy} {
		f.subscribe(c)
	}
	if err := dead.host.Close(); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, 100_000)
	start := time.Now()
	for range 200 {
		f.deliver(string(payload))
	}
	testpeer.Eventually(t, "the healthy client has all messages", func() bool { return len(healthy.received()) == 200 })
	if elapsed := time.Since(start); elapsed > 8*time.Second {
		t.Errorf("it took %s", elapsed)
	}
}

func TestUnreachableClientIsDropped(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.UnreachableTimeout = 300 * time.Millisecond })
	gone, quiet := f.connect(closes), f.connect(closes)
	f.subscribe(gone)
	f.subscribe(quiet)
	if err := gone.host.Close(); err != nil {
		t.Fatal(err)
	}
	f.deliver("for nobody") // the pusher waits for the client
	testpeer.Eventually(t, "the client that is gone is dropped", func() bool { return f.subscribers() == 1 })
	time.Sleep(600 * time.Millisecond)
	if f.subscribers() != 1 {
		t.Error("a connected client without messages was dropped")
	}
}

func TestIdleClientIsDropped(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.IdleTimeout = 400 * time.Millisecond })
	silent, pinging := f.connect(closes), f.connect(closes)
	f.subscribe(silent)
	f.subscribe(pinging)
	for deadline := time.Now().Add(1200 * time.Millisecond); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if code := f.request(pinging, pb.FilterSubscribeRequest_SUBSCRIBER_PING, ""); code != 200 {
			t.Fatalf("ping: status %d", code)
		}
	}
	if code := f.request(silent, pb.FilterSubscribeRequest_SUBSCRIBER_PING, ""); code != 404 {
		t.Errorf("the silent client's ping: status %d, want 404", code)
	}
}

// A client that loses its connection gets the messages of the meantime when it is back.
func TestReconnectingClientMissesNothing(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect(readsOn)
	f.subscribe(c)
	f.deliver("before")
	testpeer.Eventually(t, "the first message arrives", func() bool { return len(c.received()) == 1 })
	if err := c.host.Network().ClosePeer(f.host.ID()); err != nil {
		t.Fatal(err)
	}
	testpeer.Eventually(t, "the connection is gone", func() bool {
		return f.host.Network().Connectedness(c.host.ID()) != network.Connected
	})
	f.deliver("meanwhile")
	testpeer.Connect(t, c.host, testpeer.Address(f.host))
	f.deliver("after")
	testpeer.Eventually(t, "all messages arrive", func() bool { return len(c.received()) == 3 })
	got := c.received()
	slices.Sort(got)
	if !slices.Equal(got, []string{"after", "before", "meanwhile"}) {
		t.Errorf("got %q", got)
	}
}

// Many clients subscribe, change and leave at once while messages flow.
func TestChurn(t *testing.T) {
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var deliveries sync.WaitGroup
	deliveries.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			f.deliver(fmt.Sprint(i))
			time.Sleep(time.Millisecond)
		}
	})
	var clients sync.WaitGroup
	for range 8 {
		c := f.connect(closes)
		for worker := range 3 {
			clients.Go(func() {
				for i := range 20 {
					topic := fmt.Sprintf("/test/1/%d-%d/proto", worker, i)
					f.subscribe(c)
					f.request(c, pb.FilterSubscribeRequest_SUBSCRIBE, pubsubTopic, topic)
					f.request(c, pb.FilterSubscribeRequest_SUBSCRIBER_PING, "")
					f.request(c, pb.FilterSubscribeRequest_UNSUBSCRIBE, pubsubTopic, topic)
					if i%5 == 0 {
						f.request(c, pb.FilterSubscribeRequest_UNSUBSCRIBE_ALL, "")
					}
				}
			})
		}
	}
	clients.Wait()
	cancel()
	deliveries.Wait()
}
