// Package rlntest makes RLN groups and messages with proofs for tests. It needs a build with RLN.
package rlntest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"

	"waku-node/rln"
)

// Group is a group with the provers of all its members, on disk until the test ends.
type Group struct {
	t       testing.TB
	File    string
	Group   *rln.Group
	provers []*rln.Prover
}

// NewGroup makes a group.
func NewGroup(t testing.TB, members int, limit uint64, epochSeconds int64) *Group {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "group")
	plan := rln.GroupPlan{RLNIdentifier: rln.Element{'t', 'e', 's', 't'}, EpochSeconds: epochSeconds, Members: members, UserMessageLimit: limit}
	group, err := rln.WriteGroup(folder, plan)
	if err != nil {
		t.Fatal(err)
	}
	g := &Group{t: t, File: filepath.Join(folder, rln.GroupFile), Group: group}
	for i := range members {
		g.provers = append(g.provers, g.prover(filepath.Join(folder, fmt.Sprintf("member-%d.json", i))))
	}
	return g
}

func (g *Group) prover(path string) *rln.Prover {
	g.t.Helper()
	file, err := os.Open(path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	credentials, err := rln.ReadCredentials(file)
	if err != nil {
		g.t.Fatal(err)
	}
	prover, err := rln.NewProver(g.Group, credentials)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(prover.Close)
	return prover
}

// Prove puts a member's proof into a message.
func (g *Group) Prove(message *pb.WakuMessage, member int, messageID uint64) *pb.WakuMessage {
	g.t.Helper()
	proof, err := g.provers[member].Prove(rln.Statement{
		Payload:      message.Payload,
		ContentTopic: message.ContentTopic,
		TimestampNs:  message.GetTimestamp(),
		Epoch:        g.Group.EpochOf(message.GetTimestamp()),
		MessageID:    messageID,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	message.RateLimitProof = proof
	return message
}
