// Agent runs one client that tests drive by JSON lines: conformance/agent/PROTOCOL.md, with both transports.
package main

import (
	"os"

	"chatsdk/abi"
	"chatsdk/internal/agentline"
	"chatsdk/waku"
	"chatsdk/waku/relay"
)

func main() {
	os.Exit(agentline.Main([]string{"light", "relay"}, agentline.Transports{
		"light": agentline.Light,
		"relay": func(settings agentline.TransportSettings) (abi.Transport, error) {
			return relay.New(waku.Options{Peers: settings.Peers, ClusterID: settings.ClusterID, ShardCount: settings.ShardCount, Prover: settings.Prover})
		},
	}, nil))
}
