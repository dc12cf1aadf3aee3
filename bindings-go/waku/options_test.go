package waku_test

import (
	"errors"
	"strings"
	"testing"

	"chatsdk/abi"
	"chatsdk/waku"
)

func TestF3_UnusableOptionsAreNamed(t *testing.T) {
	for want, options := range map[string]waku.Options{
		"Peers[1]: no multiaddr":                 {Peers: []string{"/ip4/127.0.0.1/tcp/1", "node.example:8000"}},
		"Peers[0]: /ip4/127.0.0.1/udp/1/quic-v1": {Peers: []string{"/ip4/127.0.0.1/udp/1/quic-v1"}},
		"MaxPeers: -1":                           {MaxPeers: -1},
		"RequestTimeout: -1":                     {RequestTimeout: -1},
	} {
		_, err := waku.New(options)
		if !errors.Is(err, abi.ErrTransportFailed) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzPeers(f *testing.F) {
	f.Add("/dns4/node.example/tcp/8000/wss/p2p/16Uiu2HAmPLe7Mzm8TsYUubgCAW1aJoeFScxrLj8ppHFivPo97bUZ")
	f.Add("/ip4/127.0.0.1/tcp/24201/ws")
	f.Add("")
	f.Fuzz(func(t *testing.T, address string) {
		if _, err := waku.New(waku.Options{Peers: []string{address}}); err != nil && !errors.Is(err, abi.ErrTransportFailed) {
			t.Errorf("%v", err)
		}
	})
}
