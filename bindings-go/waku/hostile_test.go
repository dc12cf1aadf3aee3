package waku_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio/pbio"
	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/waku"
	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

// pusher is a service node that says yes to everything and pushes what a test wants.
type pusher struct {
	host.Host
	address string
	client  chan peer.ID
}

func newPusher(t *testing.T) *pusher {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &pusher{h, fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID()), make(chan peer.ID, 1)}
	h.SetStreamHandler(wire.LightPush, func(stream network.Stream) {
		answer(t, stream, &wire.LightPushRequest{}, &wire.LightPushResponse{StatusCode: 200})
	})
	h.SetStreamHandler(wire.FilterSubscribe, func(stream network.Stream) {
		request := &wire.FilterRequest{}
		answer(t, stream, request, &wire.FilterResponse{StatusCode: 200})
		if request.GetAction() == wire.FilterAction_SUBSCRIBE {
			p.client <- stream.Conn().RemotePeer()
		}
	})
	return p
}

func answer(t *testing.T, stream network.Stream, request, response proto.Message) {
	defer func() { _ = stream.Close() }()
	if err := pbio.NewDelimitedReader(stream, 1<<20).ReadMsg(request); err != nil {
		t.Log("request:", err)
	} else if err := pbio.NewDelimitedWriter(stream).WriteMsg(response); err != nil {
		t.Log("response:", err)
	}
}

func frame(t *testing.T, payload string) []byte {
	t.Helper()
	network := shards.Network{ClusterID: 42, ShardCount: 8}
	pubsubTopic, err := network.PubsubTopic(topic)
	if err != nil {
		t.Fatal(err)
	}
	push := &wire.MessagePush{PubsubTopic: &pubsubTopic, Message: &wire.WakuMessage{Payload: []byte(payload), ContentTopic: topic}}
	encoded, err := proto.Marshal(push)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.AppendUvarint(nil, uint64(len(encoded))), encoded...)
}

// push opens a stream to the client, which has room for it or resets it, and writes to it.
func (p *pusher) push(ctx context.Context, client peer.ID, bytes []byte) (network.Stream, error) {
	stream, err := p.NewStream(network.WithNoDial(ctx, "test"), client, wire.FilterPush)
	if err != nil {
		return nil, err
	}
	_, err = stream.Write(bytes)
	return stream, err
}

// silent opens a stream and does not say for what.
func (p *pusher) silent(ctx context.Context, client peer.ID) (network.Stream, error) {
	stream, err := p.Network().NewStream(network.WithNoDial(ctx, "test"), client)
	if err != nil {
		return nil, err
	}
	// Which protocol would come next.
	_, err = stream.Write([]byte("\x13/multistream/1.0.0\n"))
	return stream, err
}

func (p *pusher) expectHeard(t *testing.T, client peer.ID, l *listener, payload string) {
	t.Helper()
	if _, err := p.push(t.Context(), client, frame(t, payload)); err != nil {
		t.Fatal(err)
	}
	if got := string(next(t, l.envelopes).GetPayload()); got != payload {
		t.Errorf("got %q, want %q", got, payload)
	}
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestS3_ANodeThatOpensManyStreamsTakesNeitherTheMemoryNorTheOtherNode(t *testing.T) {
	const streams, most, mostHeap = 2000, 512, 160 << 20
	begun := append(binary.AppendUvarint(nil, 190<<10), make([]byte, 150<<10)...)
	for name, openStream := range map[string]func(p *pusher, ctx context.Context, client peer.ID) (network.Stream, error){
		"begin a push": func(p *pusher, ctx context.Context, client peer.ID) (network.Stream, error) {
			return p.push(ctx, client, begun)
		},
		"say nothing": (*pusher).silent,
	} {
		t.Run(name, func(t *testing.T) {
			hostile, sound := newPusher(t), newPusher(t)
			bob := listen(t, waku.Options{Peers: []string{hostile.address, sound.address}, WatchdogInterval: time.Second})
			bob.subscribe(t, topic)
			client := next(t, hostile.client)
			if next(t, sound.client) != client {
				t.Fatal("two clients")
			}
			bob.awaitOnline(t)
			connection := hostile.Network().ConnsToPeer(client)[0]
			before := heap()
			var held crowd
			var opening sync.WaitGroup
			for range streams {
				opening.Go(func() { held.add(openStream(hostile, t.Context(), client)) })
			}
			for i := range 20 {
				sound.expectHeard(t, client, bob, fmt.Sprint("during ", i))
				bob.publish(t, topic, "out")
			}
			opening.Wait()
			until(t, func() bool { return held.size() <= most })
			if grown := heap() - before; grown > mostHeap {
				t.Errorf("%d MiB more", grown>>20)
			}
			sound.expectHeard(t, client, bob, "after it")
			held.reset()
			// Once the client has noticed that there is room again.
			until(t, func() bool {
				_, err := hostile.push(t.Context(), client, frame(t, "of the same node"))
				time.Sleep(50 * time.Millisecond)
				return err == nil && len(bob.envelopes) > 0
			})
			if len(bob.online) > 0 || connection.IsClosed() {
				t.Error("a connection was lost")
			}
		})
	}
}

func TestS3_APushOfMoreThanTheNetworkTakesEndsItsStreamAlone(t *testing.T) {
	hostile := newPusher(t)
	bob := listen(t, waku.Options{Peers: []string{hostile.address}})
	bob.subscribe(t, topic)
	client := next(t, hostile.client)
	before := heap()
	for i, length := range []uint64{200<<10 + 1, 1 << 40, math.MaxUint64} {
		stream, err := hostile.push(t.Context(), client, append(binary.AppendUvarint(nil, length), make([]byte, 100)...))
		if err != nil {
			t.Fatal(err)
		}
		expectReset(t, stream, 5*time.Second)
		hostile.expectHeard(t, client, bob, fmt.Sprint("after it ", i))
	}
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("%d MiB more", grown>>20)
	}
}

func TestS3_APushThatStopsHalfWayHoldsUpNoOtherAndEndsInTime(t *testing.T) {
	t.Parallel()
	hostile := newPusher(t)
	bob := listen(t, waku.Options{Peers: []string{hostile.address}})
	bob.subscribe(t, topic)
	client := next(t, hostile.client)
	whole := frame(t, "whole")
	begun := time.Now()
	stream, err := hostile.push(t.Context(), client, whole[:len(whole)/2])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		hostile.expectHeard(t, client, bob, fmt.Sprint("meanwhile ", i))
	}
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("the others waited: %v", took)
	}
	expectReset(t, stream, 20*time.Second)
	hostile.expectHeard(t, client, bob, "after it")
}

func TestF3_ABurstOfPublicationsFindsRoomAtANodeThatDoesNotEndItsStreams(t *testing.T) {
	slack := newPusher(t)
	slack.SetStreamHandler(wire.LightPush, func(stream network.Stream) {
		if err := pbio.NewDelimitedReader(stream, 1<<20).ReadMsg(&wire.LightPushRequest{}); err != nil {
			t.Error(err)
		} else if err := pbio.NewDelimitedWriter(stream).WriteMsg(&wire.LightPushResponse{StatusCode: 200}); err != nil {
			t.Error(err)
		}
	})
	bob := listen(t, waku.Options{Peers: []string{slack.address}, PublishConcurrency: 300})
	bob.subscribe(t, topic)
	bob.awaitOnline(t)
	var publishing sync.WaitGroup
	for i := range 3000 {
		publishing.Go(func() {
			if err := bob.Publish(t.Context(), &abi.Publish{Topic: topic, Payload: fmt.Append(nil, i)}); err != nil {
				t.Error(err)
			}
		})
	}
	publishing.Wait()
}

func expectReset(t *testing.T, stream network.Stream, within time.Duration) {
	t.Helper()
	if err := stream.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
		t.Errorf("the stream ended with %v", err)
	}
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come about")
		}
	}
}

// crowd is streams that the other end has not reset.
type crowd struct {
	mu   sync.Mutex
	open map[network.Stream]bool
}

func (c *crowd) add(stream network.Stream, err error) {
	if err != nil {
		// Refused at once.
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[network.Stream]bool{}
	}
	c.open[stream] = true
	go func() {
		// It ends, sooner or later.
		_, _ = io.Copy(io.Discard, stream)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, stream)
	}()
}

func (c *crowd) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

func (c *crowd) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for stream := range c.open {
		_ = stream.Reset()
	}
}
