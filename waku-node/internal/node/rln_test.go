//go:build rln

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/config"
	"waku-node/internal/lightpush"
	"waku-node/internal/rlnrelay/rlntest"
	"waku-node/internal/testpeer"
)

const rlnLimit = 3

func guarded(group *rlntest.Group, more ...func(*config.Config)) func(*config.Config) {
	return func(c *config.Config) {
		c.RLNGroup = group.File
		for _, change := range more {
			change(c)
		}
	}
}

func TestS1_NodeAcceptsProofsAndRefusesSpam(t *testing.T) {
	group := rlntest.NewGroup(t, 2, rlnLimit, 600)
	n := start(t, guarded(group))
	c := client(t, n)
	c.Subscribe(pubsubTopic, contentTopic)
	var honest []string
	for id := range uint64(rlnLimit) {
		text := fmt.Sprint("honest ", id)
		m := group.Prove(testpeer.Message(contentTopic, text), 0, id)
		for range 2 { // a client that had no answer pushes again
			if response := push(t, c, m); response.StatusCode != uint32(lightpush.Success) {
				t.Fatalf("%s: %v", text, response)
			}
		}
		honest = append(honest, text)
	}
	for name, spam := range map[string]*pb.WakuMessage{
		"no proof": testpeer.Message(contentTopic, "spam"),
		"over":     group.Prove(testpeer.Message(contentTopic, "spam"), 0, 1),
	} {
		response := push(t, c, spam)
		if response.StatusCode != uint32(lightpush.InvalidMessage) || !strings.HasPrefix(response.GetStatusDesc(), "RLN validation failed: ") {
			t.Errorf("%s: %v", name, response)
		}
		if err := c.PushLegacy(pubsubTopic, spam); err == nil {
			t.Errorf("%s: accepted by the legacy light push", name)
		}
	}
	testpeer.Eventually(t, "honest messages were delivered", func() bool { return len(c.Received()) >= len(honest) })
	slices.Sort(honest)
	for what, texts := range map[string][]string{"received": c.Received(), "stored": stored(t, c)} {
		slices.Sort(texts)
		if !slices.Equal(texts, honest) {
			t.Errorf("%s %q, want %q", what, texts, honest)
		}
	}
}

// Spam that a node without RLN lets into the mesh ends at the next node with RLN; honest messages cross.
func TestS1_RelayedSpamEndsAtTheFirstGuardedNode(t *testing.T) {
	group := rlntest.NewGroup(t, 1, rlnLimit, 600)
	guardedNode := start(t, guarded(group))
	open := start(t, linkTo(t, guardedNode))
	awaitRelayPeers(t, open, 1)
	reader, writer := client(t, guardedNode), client(t, open)
	reader.Subscribe(pubsubTopic, contentTopic)

	spam := testpeer.Message(contentTopic, "spam")
	honest := group.Prove(testpeer.Message(contentTopic, "honest"), 0, 0)
	over := group.Prove(testpeer.Message(contentTopic, "over"), 0, 0)
	anew := group.Prove(proto.Clone(honest).(*pb.WakuMessage), 0, 0)
	for _, m := range []*pb.WakuMessage{spam, honest} {
		if response := push(t, writer, m); response.StatusCode != uint32(lightpush.Success) {
			t.Fatal(response)
		}
	}
	testpeer.Eventually(t, "the honest message crossed", func() bool { return slices.Contains(reader.Received(), "honest") })
	for _, m := range []*pb.WakuMessage{over, anew, group.Prove(testpeer.Message(contentTopic, "last"), 0, 1)} {
		if response := push(t, writer, m); response.StatusCode != uint32(lightpush.Success) {
			t.Fatal(response)
		}
	}
	testpeer.Eventually(t, "the last message crossed", func() bool { return slices.Contains(reader.Received(), "last") })
	for what, texts := range map[string][]string{"received": reader.Received(), "stored": stored(t, reader)} {
		slices.Sort(texts)
		if !slices.Equal(texts, []string{"honest", "last"}) {
			t.Errorf("%s %q", what, texts)
		}
	}
}

func TestS1_ReadyLineNamesTheGroup(t *testing.T) {
	group := rlntest.NewGroup(t, 1, rlnLimit, 600)
	r := ready(t, start(t, guarded(group)))
	if r.RLN == nil || len(r.RLN.MerkleRoot) != 64 || r.RLN.EpochSeconds != 600 {
		t.Errorf("%+v", r.RLN)
	}
	if r := ready(t, start(t, nil)); r.RLN != nil {
		t.Errorf("without a group: %+v", r.RLN)
	}
}
