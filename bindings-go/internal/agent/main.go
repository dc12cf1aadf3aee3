// Agent runs one client that tests drive by JSON lines: conformance/agent/PROTOCOL.md. It has the light transport alone;
// waku/relay/internal/agent has the relay too, and waku/rln/internal/agent RLN.
package main

import (
	"os"

	"chatsdk/internal/agentline"
)

func main() {
	os.Exit(agentline.Main([]string{"light"}, agentline.Transports{"light": agentline.Light}, nil))
}
