package waku_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/servicenode"
	"chatsdk/waku"
)

// listener is a started transport whose events go to channels.
type listener struct {
	*waku.Transport
	envelopes chan *abi.EnvelopeReceived
	online    chan bool
}

func listen(t *testing.T, options waku.Options) *listener {
	t.Helper()
	transport, err := waku.New(options)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{transport, make(chan *abi.EnvelopeReceived, 1000), make(chan bool, 100)}
	ended := make(chan struct{})
	events := transport.Start(context.Background())
	go func() {
		defer close(ended)
		for event, err := range events {
			switch event := event.GetEvent().(type) {
			case *abi.TransportEvent_Envelope:
				l.envelopes <- event.Envelope
			case *abi.TransportEvent_Connection:
				l.online <- event.Connection.GetOnline()
			default:
				t.Errorf("%v, %v", event, err)
			}
		}
	}()
	t.Cleanup(func() {
		l.stop(t)
		<-ended
	})
	return l
}

func (l *listener) stop(t *testing.T) {
	t.Helper()
	if err := l.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// awaitOnline passes over the report that a node which has just started, and does not say yet what it offers, is of no use: it is tried again.
func (l *listener) awaitOnline(t *testing.T) {
	t.Helper()
	for !next(t, l.online) {
	}
}

func (l *listener) subscribe(t *testing.T, topics ...string) {
	t.Helper()
	if err := l.Subscribe(t.Context(), &abi.Subscribe{Topics: topics}); err != nil {
		t.Fatal(err)
	}
}

func (l *listener) publish(t *testing.T, topic, payload string) {
	t.Helper()
	if err := l.Publish(t.Context(), &abi.Publish{Topic: topic, Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
}

func next[T any](t *testing.T, channel chan T) T {
	t.Helper()
	select {
	case value := <-channel:
		return value
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func (l *listener) history(t *testing.T, topics ...string) []string {
	t.Helper()
	now := uint64(time.Now().UnixMilli())
	var payloads []string
	for batch, err := range l.QueryHistory(t.Context(), &abi.QueryHistory{Topics: topics, StartMs: now - 3_600_000, EndMs: now + 60_000}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, envelope := range batch.GetEnvelopes() {
			payloads = append(payloads, string(envelope.GetPayload()))
		}
	}
	return payloads
}

const topic = "/chatsdk/2/live/proto"

func TestF3_MessagesPassBetweenTwoTransportsOverTCPAndWebsockets(t *testing.T) {
	node := servicenode.Start(t)
	alice := listen(t, waku.Options{Peers: []string{node.TCP}})
	bob := listen(t, waku.Options{Peers: []string{node.Websocket}})
	bob.subscribe(t, topic)
	alice.awaitOnline(t)
	bob.awaitOnline(t)
	for i := range 50 {
		alice.publish(t, topic, fmt.Sprint("message ", i))
	}
	// In any order: a node pushes each on a stream of its own.
	heard := map[string]bool{}
	for len(heard) < 50 {
		got := next(t, bob.envelopes)
		if heard[string(got.GetPayload())] || got.GetTopic() != topic {
			t.Fatalf("%q on %s", got.GetPayload(), got.GetTopic())
		}
		heard[string(got.GetPayload())] = true
	}
	bob.subscribe(t, "/chatsdk/2/another/proto")
	alice.publish(t, topic, "unheard")
	alice.publish(t, "/chatsdk/2/another/proto", "heard")
	if got := next(t, bob.envelopes); string(got.GetPayload()) != "heard" {
		t.Errorf("got %q", got.GetPayload())
	}
}

func TestF4_HistoryHasWhatWasSentWhileNobodyListened(t *testing.T) {
	node := servicenode.Start(t)
	alice := listen(t, waku.Options{Peers: []string{node.TCP}, HistoryPageSize: 7})
	alice.awaitOnline(t)
	for i := range 30 {
		alice.publish(t, topic, fmt.Sprint("message ", i))
	}
	got := alice.history(t, topic)
	if len(got) != 30 || got[0] != "message 0" || got[29] != "message 29" {
		t.Errorf("%d: %q", len(got), got)
	}
	if other := alice.history(t, "/chatsdk/2/another/proto"); len(other) != 0 {
		t.Errorf("%q", other)
	}
}

func TestF3_TheTransportComesBackAndSubscribesAgain(t *testing.T) {
	key := "1122334455667788990011223344556677889900112233445566778899001122"
	first := servicenode.Start(t, "--node-key", key)
	alice := listen(t, waku.Options{Peers: []string{first.TCP}})
	alice.subscribe(t, topic)
	alice.awaitOnline(t)
	var port int
	if _, err := fmt.Sscanf(first.TCP, "/ip4/127.0.0.1/tcp/%d/", &port); err != nil {
		t.Fatal(err)
	}
	first.Stop()
	if next(t, alice.online) {
		t.Fatal("still online without a node")
	}
	if err := alice.Publish(t.Context(), &abi.Publish{Topic: topic, Payload: []byte("x")}); err == nil {
		t.Error("published without a node")
	}
	servicenode.Start(t, "--node-key", key, "--tcp-port", fmt.Sprint(port))
	alice.awaitOnline(t)
	alice.publish(t, topic, "after the restart")
	if got := next(t, alice.envelopes); string(got.GetPayload()) != "after the restart" {
		t.Errorf("got %q", got.GetPayload())
	}
}

func TestF3_ANodeThatPushesAllTheTimeKeepsTheSubscription(t *testing.T) {
	node := servicenode.Start(t, "--filter-idle-timeout", "4s")
	bob := listen(t, waku.Options{Peers: []string{node.TCP}, WatchdogInterval: 300 * time.Millisecond})
	alice := listen(t, waku.Options{Peers: []string{node.TCP}})
	bob.subscribe(t, topic)
	alice.awaitOnline(t)
	bob.awaitOnline(t)
	sent := 0
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		alice.publish(t, topic, fmt.Sprint(sent))
		sent++
	}
	for range sent {
		next(t, bob.envelopes)
	}
	if len(bob.online) > 0 {
		t.Errorf("online: %v, so the subscription was lost", <-bob.online)
	}
}

func TestF3_AnAddressWithoutAPeerIDWorks(t *testing.T) {
	node := servicenode.Start(t)
	for _, address := range []string{node.TCP, node.Websocket} {
		bare, _, _ := strings.Cut(address, "/p2p/")
		alice := listen(t, waku.Options{Peers: []string{bare}})
		alice.subscribe(t, topic)
		alice.awaitOnline(t)
		alice.publish(t, topic, address)
		if got := next(t, alice.envelopes); string(got.GetPayload()) != address {
			t.Errorf("got %q", got.GetPayload())
		}
		alice.stop(t)
	}
}

func TestF3_ThreeThousandMessagesPushedAtOnceAllArrive(t *testing.T) {
	const clients, each = 5, 600
	node := servicenode.Start(t)
	bob := listen(t, waku.Options{Peers: []string{node.TCP}})
	bob.subscribe(t, topic)
	bob.awaitOnline(t)
	var publishing sync.WaitGroup
	for c := range clients {
		alice := listen(t, waku.Options{Peers: []string{node.TCP}, PublishConcurrency: 60})
		alice.awaitOnline(t)
		for i := range each {
			publishing.Go(func() {
				payload := fmt.Appendf(nil, "client %d, message %d", c, i)
				if err := alice.Publish(context.Background(), &abi.Publish{Topic: topic, Payload: payload}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	heard := map[string]bool{}
	for range clients * each {
		heard[string(next(t, bob.envelopes).GetPayload())] = true
	}
	publishing.Wait()
	if len(heard) != clients*each {
		t.Errorf("%d of %d messages", len(heard), clients*each)
	}
}
