package config

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"go.uber.org/zap/zapcore"
)

func TestParse(t *testing.T) {
	const key = "0000000000000000000000000000000000000000000000000000000000000001"
	const peerA = "/ip4/127.0.0.1/tcp/1234/p2p/16Uiu2HAm3Ri5S6PNfnYV8BRu9wH9zTjTTDKvd9LUdu4cFTAUr5PZ"
	const peerB = "/ip4/127.0.0.1/tcp/1235/ws/p2p/16Uiu2HAm3Ri5S6PNfnYV8BRu9wH9zTjTTDKvd9LUdu4cFTAUr5PZ"
	c, err := Parse(strings.Fields("--host ::1 --tcp-port 60000 --ws-port=60001 --cluster-id 7 --shards 3 --store a.db "+
		"--store-retention 12h --store-max-messages 9 --node-key "+key+" --peer "+peerA+" --peer "+peerB+
		" --rln-group g.json --rln-epoch-gap 2 --min-relay-peers 2 --max-clock-skew 0 --rate-limit 50 --filter-idle-timeout 1m --log-level error --exit-on-stdin-close"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.NodeKey.Raw()
	if err != nil {
		t.Fatal(err)
	}
	if c.Host.String() != "::1" || c.TCPPort != 60000 || c.WebsocketPort != 60001 || c.Shards.Cluster != 7 || c.Shards.Count != 3 ||
		c.Store != "a.db" || c.StoreRetention != 12*time.Hour || c.StoreMaxMessages != 9 || raw[31] != 1 || c.NodeKey.Type() != crypto.Secp256k1 ||
		len(c.Peers) != 2 || c.Peers[1].Addrs[0].String() != "/ip4/127.0.0.1/tcp/1235/ws" || c.MinRelayPeers != 2 || c.MaxClockSkew != 0 ||
		c.RateLimit != 50 || c.RLNGroup != "g.json" || c.RLNEpochGap != 2 || c.FilterIdleTimeout != time.Minute || c.LogLevel != zapcore.ErrorLevel || !c.ExitOnStdinClose {
		t.Errorf("%+v", c)
	}
}

func TestDefaults(t *testing.T) {
	c, err := Parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.Host.String() != "127.0.0.1" || c.TCPPort != 0 || c.WebsocketPort != 0 || c.Shards.Cluster != 42 || c.Shards.Count != 8 ||
		c.Store != "" || c.StoreRetention != 0 || c.NodeKey != nil || c.MaxClockSkew != 20*time.Second || c.RateLimit != 0 || c.RLNGroup != "" || c.RLNEpochGap != -1 || c.ExitOnStdinClose {
		t.Errorf("%+v", c)
	}
}

func TestRefusals(t *testing.T) {
	for _, arguments := range []string{
		"--rln-epoch-gap -2",
		"--tcp-port 70000",
		"--tcp-port -1",
		"--tcp-port 60000x",
		"--tcp-port 60000 --ws-port 60000",
		"--host localhost",
		"--shards 0",
		"--shards 1025",
		"--cluster-id 65536",
		"--store-retention 12",
		"--store-retention -1h",
		"--store-max-messages -1",
		"--node-key xyz",
		"--node-key 00",
		"--peer /ip4/127.0.0.1/tcp/1234",
		"--peer /p2p/16Uiu2HAm3Ri5S6PNfnYV8BRu9wH9zTjTTDKvd9LUdu4cFTAUr5PZ",
		"--log-level loud",
		"--filter-idle-timeout 0",
		"--no-such-flag",
		"argument",
	} {
		if _, err := Parse(strings.Fields(arguments), io.Discard); err == nil {
			t.Errorf("%s: accepted", arguments)
		}
	}
}

func TestHelp(t *testing.T) {
	var help strings.Builder
	if _, err := Parse([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"-host address", "-peer multiaddr", "-store-retention time", "(default 127.0.0.1)", "(default 20s)"} {
		if !strings.Contains(help.String(), name) {
			t.Errorf("help lacks %q:\n%s", name, help.String())
		}
	}
}
