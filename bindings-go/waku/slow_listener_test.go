package waku_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/waku"
	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

// waitingEnvelopes and the pushes that a node may have under way beside them.
const waitingEnvelopes, underWay = 4096, 512

// slow is a listener that takes nothing after the first envelope until resume.
type slow struct {
	*waku.Transport
	resume chan struct{}
	online chan bool
	mu     sync.Mutex
	heard  map[string]bool
}

func listenSlowly(t *testing.T, transport *waku.Transport) *slow {
	t.Helper()
	s := &slow{Transport: transport, resume: make(chan struct{}), online: make(chan bool, 100), heard: map[string]bool{}}
	ended := make(chan struct{})
	events := transport.Start(context.Background())
	go func() {
		defer close(ended)
		for event := range events {
			if change := event.GetConnection(); change != nil {
				s.online <- change.GetOnline()
				continue
			}
			if s.count() == 0 {
				<-s.resume
			}
			s.mu.Lock()
			s.heard[string(event.GetEnvelope().GetPayload())] = true
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		if err := transport.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return s
}

func (s *slow) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.heard)
}

func (s *slow) expectOnline(t *testing.T) {
	t.Helper()
	if !next(t, s.online) {
		t.Error("offline")
	}
}

// pushAll pushes messages 1 to count, each on a stream of its own, and ends the first ones.
func (p *pusher) pushAll(t *testing.T, count, finish int) *crowd {
	t.Helper()
	client := next(t, p.client)
	streams := &crowd{}
	var pushing sync.WaitGroup
	turns := make(chan struct{}, 100)
	for i := range count {
		turns <- struct{}{}
		for i < waitingEnvelopes && streams.size() > underWay/2 {
			// No faster than a busy machine reads them.
			time.Sleep(time.Millisecond)
		}
		pushing.Go(func() {
			defer func() { <-turns }()
			stream, err := p.push(t.Context(), client, frame(t, fmt.Sprint("message ", i)))
			if err == nil && i < finish {
				err = stream.CloseWrite()
			}
			streams.add(stream, err)
		})
	}
	pushing.Wait()
	return streams
}

// slowly has so many messages pushed to a slow listener.
func slowly(t *testing.T, count, finish int) (bob *slow, streams *crowd) {
	t.Helper()
	node := newPusher(t)
	transport, err := waku.New(waku.Options{Peers: []string{node.address}})
	if err != nil {
		t.Fatal(err)
	}
	bob = listenSlowly(t, transport)
	if err := bob.Subscribe(t.Context(), &abi.Subscribe{Topics: []string{topic}}); err != nil {
		t.Fatal(err)
	}
	bob.expectOnline(t)
	streams = node.pushAll(t, count, finish)
	time.Sleep(time.Second)
	if len(bob.online) > 0 {
		t.Error("told before there is room")
	}
	return bob, streams
}

func (s *slow) expectToldOnceAndHeardLessThan(t *testing.T, count int) {
	t.Helper()
	close(s.resume)
	s.expectOnline(t)
	time.Sleep(time.Second)
	if heard := s.count(); heard < waitingEnvelopes || heard >= count {
		t.Errorf("%d of %d were heard", heard, count)
	}
	if len(s.online) > 0 {
		t.Error("told again")
	}
}

func TestF4_PushesForWhichASlowListenerHasNoRoomAreToldSoThatHistoryIsAskedFor(t *testing.T) {
	const count = waitingEnvelopes + underWay + 500
	bob, _ := slowly(t, count, count)
	bob.expectToldOnceAndHeardLessThan(t, count)
}

func TestF4_PushesThatANodeGivesUpForASlowListenerAreTold(t *testing.T) {
	const count = waitingEnvelopes + 300
	bob, streams := slowly(t, count, waitingEnvelopes)
	streams.reset()
	time.Sleep(time.Second)
	bob.expectToldOnceAndHeardLessThan(t, count)
}

func TestF4_NothingIsToldOfASlowListenerThatLosesNothing(t *testing.T) {
	const count = waitingEnvelopes + 200
	bob, _ := slowly(t, count, count)
	close(bob.resume)
	until(t, func() bool { return bob.count() == count })
	if len(bob.online) > 0 {
		t.Error("told though nothing was lost")
	}
}

// mouth is a relay that says what a test wants.
type mouth struct {
	recorder
	says func(pubsubTopic string, message *wire.WakuMessage)
}

func (m *mouth) Start(_ context.Context, _ host.Host, receive func(string, *wire.WakuMessage), onChange func()) error {
	m.says = receive
	go onChange()
	return nil
}

func TestF4_WhatARelayBringsWithoutRoomIsToldAndCountsAsNotSeen(t *testing.T) {
	relay := &mouth{}
	transport, err := waku.NewRelaying(waku.Options{}, relay)
	if err != nil {
		t.Fatal(err)
	}
	bob := listenSlowly(t, transport)
	if err := bob.Subscribe(t.Context(), &abi.Subscribe{Topics: []string{topic}}); err != nil {
		t.Fatal(err)
	}
	bob.expectOnline(t)
	network := shards.Network{ClusterID: 42, ShardCount: 8}
	pubsubTopic, err := network.PubsubTopic(topic)
	if err != nil {
		t.Fatal(err)
	}
	const count = waitingEnvelopes + 50
	bring := func() {
		for i := range count {
			relay.says(pubsubTopic, &wire.WakuMessage{Payload: fmt.Append(nil, i), ContentTopic: topic, Timestamp: proto.Int64(1)})
		}
	}
	bring()
	close(bob.resume)
	bob.expectOnline(t)
	until(t, func() bool { return bob.count() >= waitingEnvelopes })
	bring()
	until(t, func() bool { return bob.count() == count })
}
