package waku_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"chatsdk/waku"
	"chatsdk/waku/internal/wire"
)

func TestF3_WhatANodeOffersLaterIsUsedOnTheSameConnection(t *testing.T) {
	node := newPusher(t)
	subscribing := func(stream network.Stream) {
		answer(t, stream, &wire.FilterRequest{}, &wire.FilterResponse{StatusCode: 200})
	}
	node.RemoveStreamHandler(wire.FilterSubscribe)
	bob := listen(t, waku.Options{Peers: []string{node.address}, WatchdogInterval: time.Hour})
	bob.subscribe(t, topic)
	if next(t, bob.online) {
		t.Fatal("online without a subscription")
	}
	connection := node.Network().Conns()[0]
	node.SetStreamHandler(wire.FilterSubscribe, subscribing)
	bob.awaitOnline(t)
	if got, err := bob.stored(t, false); err == nil {
		t.Fatalf("got %q from a node without a store", got)
	}
	node.SetStreamHandler(wire.Store, func(stream network.Stream) {
		success := uint32(200)
		answer(t, stream, &wire.StoreRequest{}, &wire.StoreResponse{StatusCode: &success})
	})
	until(t, func() bool {
		_, err := bob.stored(t, false)
		return err == nil
	})
	node.RemoveStreamHandler(wire.LightPush)
	if next(t, bob.online) {
		t.Error("online without light push")
	}
	if connection.IsClosed() || len(node.Network().Conns()) != 1 {
		t.Error("another connection was made")
	}
}
