package relay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/servicenode"
	"chatsdk/waku"
	"chatsdk/waku/relay"
)

// start runs a transport and collects what it hears.
func start(t *testing.T, transport *waku.Transport, topic string) (heard chan string, online chan bool) {
	t.Helper()
	heard, online = make(chan string, 1000), make(chan bool, 100)
	events := transport.Start(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for event, err := range events {
			if err != nil {
				t.Error(err)
			}
			if envelope := event.GetEnvelope(); envelope != nil {
				heard <- string(envelope.GetPayload())
			}
			if connection := event.GetConnection(); connection != nil {
				online <- connection.GetOnline()
			}
		}
	}()
	t.Cleanup(func() {
		if err := transport.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		<-ended
	})
	if err := transport.Subscribe(t.Context(), &abi.Subscribe{Topics: []string{topic}}); err != nil {
		t.Fatal(err)
	}
	for !next(t, online) {
	}
	return heard, online
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

const topic = "/chatsdk/2/relay/proto"

func TestF3_ARelayAndALightClientHearEachOtherAndTheStoreHasBoth(t *testing.T) {
	options := waku.Options{Peers: []string{servicenode.Start(t).TCP}}
	relaying, err := relay.New(options)
	if err != nil {
		t.Fatal(err)
	}
	light, err := waku.New(options)
	if err != nil {
		t.Fatal(err)
	}
	relayHears, _ := start(t, relaying, topic)
	lightHears, _ := start(t, light, topic)
	const count = 20
	for i := range count {
		if err := relaying.Publish(t.Context(), &abi.Publish{Topic: topic, Payload: fmt.Append(nil, "relayed ", i)}); err != nil {
			t.Fatal(err)
		}
		if err := light.Publish(t.Context(), &abi.Publish{Topic: topic, Payload: fmt.Append(nil, "pushed ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, hears := range []chan string{relayHears, lightHears} {
		all := map[string]bool{}
		for len(all) < 2*count {
			payload := next(t, hears)
			if all[payload] {
				t.Errorf("%s came twice", payload)
			}
			all[payload] = true
		}
	}
	now := uint64(time.Now().UnixMilli())
	stored := 0
	for batch, err := range relaying.QueryHistory(t.Context(), &abi.QueryHistory{Topics: []string{topic}, StartMs: now - 60_000, EndMs: now + 60_000}) {
		if err != nil {
			t.Fatal(err)
		}
		stored += len(batch.GetEnvelopes())
	}
	if stored != 2*count {
		t.Errorf("%d of %d stored", stored, 2*count)
	}
}

func TestF3_ARelayWithoutPeersSaysThatNothingWasPublished(t *testing.T) {
	transport, err := relay.New(waku.Options{Peers: []string{"/ip4/127.0.0.1/tcp/1"}})
	if err != nil {
		t.Fatal(err)
	}
	transport.Start(t.Context())
	defer func() {
		if err := transport.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if err := transport.Publish(t.Context(), &abi.Publish{Topic: topic, Payload: []byte("x")}); err == nil {
		t.Error("published to nobody")
	}
}
