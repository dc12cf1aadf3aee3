package waku_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"chatsdk/abi"
	"chatsdk/waku"
)

func TestF3_OptionsThatCanNeverWorkAreInvalidArgumentsWithNameAndRemedy(t *testing.T) {
	for want, options := range map[string]waku.Options{
		"Peers[1]: no multiaddr; give one such as \"/dns4": {Peers: []string{"/ip4/127.0.0.1/tcp/1", "node.example:8000"}},
		"ShardCount: 1025; give 1 to 1024":                 {ShardCount: 1025},
		"MaxPeers: -1; give 1 or more":                     {MaxPeers: -1},
		"HistoryPageSize: -5; give 1 or more":              {HistoryPageSize: -5},
		"RequestTimeout: -1ns; give more than zero":        {RequestTimeout: -1},
		"PublishTimeout: 2562047h47m16.854775807s; give":   {PublishTimeout: math.MaxInt64},
		"ReconnectMax: 24h0m1s; give":                      {ReconnectMax: 24*time.Hour + time.Second},
	} {
		_, err := waku.New(options)
		if !errors.Is(err, abi.ErrInvalidArgument) || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestF3_AddressesThatCannotBeDialledAreInvalidArguments(t *testing.T) {
	const id = "/p2p/16Uiu2HAmPLe7Mzm8TsYUubgCAW1aJoeFScxrLj8ppHFivPo97bUZ"
	for _, address := range []string{
		"/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1", "/ip4/127.0.0.1/tcp/0", "/tcp/1", "/ip4/127.0.0.1/tcp/1" + id + "/p2p-circuit" + id,
		"/ip4/127.0.0.1/tcp/1/http", "/dns4/node.example/tcp/1/ws" + id + "/ws", id, "/unix/" + strings.Repeat("x", 1<<20),
	} {
		_, err := waku.New(waku.Options{Peers: []string{address}})
		if !errors.Is(err, abi.ErrInvalidArgument) || !strings.Contains(err.Error(), "Peers[0]: no ") || len(err.Error()) > 300 {
			t.Errorf("%.100s: %.300v", address, err)
		}
	}
	for _, address := range []string{
		"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/65535/ws", "/ip6zone/eth0/ip6/fe80::1/tcp/1", "/dns/node.example/tcp/1/wss", "/dns4/node.example/tcp/443/tls/ws",
		"/dns6/node.example/tcp/443/tls/sni/node.example/ws",
	} {
		for _, whole := range []string{address, address + id} {
			if _, err := waku.New(waku.Options{Peers: []string{whole}, ClusterID: math.MaxUint16, ShardCount: 1024}); err != nil {
				t.Errorf("%s: %v", whole, err)
			}
		}
	}
}

func FuzzPeers(f *testing.F) {
	f.Add("/dns4/node.example/tcp/8000/wss/p2p/16Uiu2HAmPLe7Mzm8TsYUubgCAW1aJoeFScxrLj8ppHFivPo97bUZ")
	f.Add("/ip4/127.0.0.1/tcp/24201/ws")
	f.Add("")
	f.Fuzz(func(t *testing.T, address string) {
		if _, err := waku.New(waku.Options{Peers: []string{address}}); err != nil && !errors.Is(err, abi.ErrInvalidArgument) {
			t.Errorf("%v", err)
		}
	})
}
