package waku

import (
	"testing"

	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
)

func TestF3_AMachineOfLittleMemoryTakesAsManyPushesAtATimeAndKeepsItsConnections(t *testing.T) {
	for _, memory := range []int64{64 << 20, 32 << 30} {
		limiter := streamLimits(rcmgr.DefaultLimits.Scale(memory, 1024))
		ofNode, all := limiter.GetPeerLimits("node").GetMemoryLimit(), limiter.GetSystemLimits().GetMemoryLimit()
		if ofNode < 3*maxPushStreams/2*streamWindow || all < 3*ofNode {
			t.Errorf("with %d MiB: %d MiB for a node, %d for all", memory>>20, ofNode>>20, all>>20)
		}
	}
}
