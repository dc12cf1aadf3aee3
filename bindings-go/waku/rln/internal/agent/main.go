// Agent runs one client that tests drive by JSON lines: conformance/agent/PROTOCOL.md, with RLN if it is built with the tag rln.
package main

import (
	"io"
	"os"

	"chatsdk"
	"chatsdk/internal/agentline"
	"chatsdk/waku/rln"
)

func main() {
	transports := agentline.Transports{"light": agentline.Light}
	os.Exit(agentline.Main([]string{"light"}, transports, func(group io.Reader, credentials []byte) (chatsdk.Membership, error) {
		return rln.NewMembership(group, credentials)
	}))
}
