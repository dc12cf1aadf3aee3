package waku_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"chatsdk/abi"
	"chatsdk/internal/servicenode"
	"chatsdk/waku"
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
