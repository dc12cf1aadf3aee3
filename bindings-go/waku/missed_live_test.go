package waku_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/servicenode"
	"chatsdk/waku"
	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

// stored reads history, all of it or what was missed.
func (l *listener) stored(t *testing.T, missedOnly bool) (payloads []string, failure error) {
	t.Helper()
	now := uint64(time.Now().UnixMilli())
	query := &abi.QueryHistory{Topics: []string{topic}, StartMs: now - 3_600_000, EndMs: now + 60_000, MissedOnly: missedOnly}
	for batch, err := range l.QueryHistory(t.Context(), query) {
		failure = err
		for _, envelope := range batch.GetEnvelopes() {
			payloads = append(payloads, string(envelope.GetPayload()))
		}
	}
	return payloads, failure
}

func publishAll(t *testing.T, l *listener, name string, count int) (payloads []string) {
	t.Helper()
	for i := range count {
		payloads = append(payloads, fmt.Sprint(name, " ", i))
		l.publish(t, topic, payloads[i])
	}
	return payloads
}

func TestF4_HistoryBringsWhatWasMissedWithoutWhatWasPushed(t *testing.T) {
	node := servicenode.Start(t)
	alice := listen(t, waku.Options{Peers: []string{node.TCP}})
	bob := listen(t, waku.Options{Peers: []string{node.TCP}, HistoryPageSize: 2})
	alice.awaitOnline(t)
	early := publishAll(t, alice, "before the subscription", 3)
	bob.subscribe(t, topic)
	bob.awaitOnline(t)
	pushed := publishAll(t, alice, "pushed", 9)
	for range pushed {
		next(t, bob.envelopes)
	}
	bob.subscribe(t)
	late := publishAll(t, alice, "after it", 3)
	if got, err := bob.stored(t, false); err != nil || !slices.Equal(got, slices.Concat(early, pushed, late)) {
		t.Errorf("all: %q, %v", got, err)
	}
	// The last push counts a moment after the test has it.
	until(t, func() bool {
		got, err := bob.stored(t, true)
		return err == nil && slices.Equal(got, slices.Concat(early, late))
	})
	// What history brought was not pushed.
	if got, err := bob.stored(t, true); err != nil || !slices.Equal(got, slices.Concat(early, late)) {
		t.Errorf("missed: %q, %v", got, err)
	}
	if got, err := alice.stored(t, true); err != nil || len(got) != 15 {
		t.Errorf("another process, to which nothing was pushed: %q, %v", got, err)
	}
}

func TestF4_WhatWasMissedComesThoughItIsTooMuchForOneAnswerOfANode(t *testing.T) {
	node := servicenode.Start(t)
	alice := listen(t, waku.Options{Peers: []string{node.TCP}})
	bob := listen(t, waku.Options{Peers: []string{node.TCP}})
	alice.awaitOnline(t)
	bob.awaitOnline(t)
	var sent []string
	for i := range 20 {
		sent = append(sent, strings.Repeat(string(rune('a'+i)), 140<<10))
		alice.publish(t, topic, sent[i])
	}
	if got, err := bob.stored(t, true); err != nil || !slices.Equal(got, sent) {
		t.Errorf("%d of %d came, %v", len(got), len(sent), err)
	}
}

func TestF4_AMessageWithoutATimestampInAStoreFailsNoQuery(t *testing.T) {
	node := servicenode.Start(t, "--max-clock-skew", "0")
	bob := listen(t, waku.Options{Peers: []string{node.TCP}})
	bob.awaitOnline(t)
	network := shards.Network{ClusterID: 42, ShardCount: 8}
	pubsubTopic, err := network.PubsubTopic(topic)
	if err != nil {
		t.Fatal(err)
	}
	info, err := peer.AddrInfoFromString(node.TCP)
	if err != nil {
		t.Fatal(err)
	}
	another := newPusher(t)
	if err := another.Connect(t.Context(), *info); err != nil {
		t.Fatal(err)
	}
	undated := &wire.WakuMessage{Payload: []byte("undated"), ContentTopic: topic}
	if err := wire.Push(t.Context(), another, info.ID, pubsubTopic, undated); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixNano()
	kept, err := wire.Query(t.Context(), another, info.ID, &wire.StoreRequest{
		PubsubTopic: &pubsubTopic, ContentTopics: []string{topic}, TimeStart: proto.Int64(now - int64(time.Hour)), TimeEnd: proto.Int64(now + int64(time.Hour)),
	})
	if err != nil || len(kept.GetMessages()) != 1 {
		t.Fatalf("the node keeps %d, %v", len(kept.GetMessages()), err)
	}
	bob.publish(t, topic, "dated")
	for _, missedOnly := range []bool{false, true} {
		if got, err := bob.stored(t, missedOnly); err != nil || !slices.Equal(got, []string{"dated"}) {
			t.Errorf("missed only: %v: %q, %v", missedOnly, got, err)
		}
	}
}

func TestF4_AStoreThatOmitsAMessageWhoseHashItGaveIsLeftForAnother(t *testing.T) {
	node := servicenode.Start(t)
	alice := listen(t, waku.Options{Peers: []string{node.TCP}})
	alice.awaitOnline(t)
	sent := publishAll(t, alice, "message", 3)
	faulty := newPusher(t)
	faulty.SetStreamHandler(wire.Store, func(stream network.Stream) {
		// Whatever is asked: the hash of something, and never its message.
		success := uint32(200)
		answer(t, stream, &wire.StoreRequest{}, &wire.StoreResponse{StatusCode: &success, Messages: []*wire.StoreEntry{{MessageHash: make([]byte, 32)}}})
	})
	alone := listen(t, waku.Options{Peers: []string{faulty.address}})
	alone.awaitOnline(t)
	got, err := alone.stored(t, true)
	var failure *abi.Error
	if !errors.As(err, &failure) || failure.Code != abi.ErrorCode_TRANSPORT_FAILED || !failure.Retryable || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	both := listen(t, waku.Options{Peers: []string{faulty.address, node.TCP}})
	both.awaitOnline(t)
	until(t, func() bool {
		got, err := both.stored(t, true)
		return err == nil && slices.Equal(got, sent)
	})
}
