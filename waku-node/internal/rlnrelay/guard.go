// Package rlnrelay refuses spam as 17/WAKU2-RLN-RELAY tells: every message needs a proof of a member of a static group, and a
// member has a number of messages in each epoch.
//
// The checks and their order are those of nwaku (validateMessage in waku/waku_rln_relay/rln_relay.nim), with these differences:
// the proof must name the group's RLN identifier; values must be encoded canonically; and the very same message is no spam when it
// comes again, which light push clients that had no answer do.
package rlnrelay

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"

	"waku-node/internal/rules"
	"waku-node/rln"
)

// maxClockGap is the difference between two clocks that the default epoch gap allows for (MaxClockGapSeconds in nwaku).
const maxClockGap = 20 * time.Second

// Options of a Guard.
type Options struct {
	GroupFile string
	// EpochGap is how far a message's epoch may be from the node's; below 0 for nwaku's choice, 20 s in epochs and at least 1.
	EpochGap int
	Now      func() time.Time
	Logger   *zap.Logger
}

// Guard checks the proofs of messages. It is safe for concurrent use.
type Guard struct {
	open   sync.RWMutex // held to read by every check, so that Close waits for them
	closed bool
	group  *rln.Group
	tree   *rln.Tree
	gap    uint64
	log    *nullifierLog
	tally  tally
	now    func() time.Time
	logger *zap.Logger
}

// Open reads the group and loads the circuit, which takes about half a second.
func Open(options Options) (*Guard, error) {
	file, err := os.Open(options.GroupFile)
	if err != nil {
		return nil, fmt.Errorf("opening the RLN group: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	group, err := rln.ReadGroup(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", options.GroupFile, err)
	}
	tree, err := rln.NewTree(group)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", options.GroupFile, err)
	}
	gap := uint64(max(options.EpochGap, 0))
	if options.EpochGap < 0 {
		gap = uint64(max(int64(maxClockGap/time.Second)/group.EpochSeconds, 1))
	}
	g := &Guard{group: group, tree: tree, gap: gap, log: newNullifierLog(), now: options.Now, logger: options.Logger}
	g.logger.Info("RLN is on", zap.Int("members", len(group.Members)), zap.Stringer("merkleRoot", tree.Root()),
		zap.Int64("epochSeconds", group.EpochSeconds), zap.Uint64("epochGap", gap))
	return g, nil
}

// Root is the root of the group's tree.
func (g *Guard) Root() rln.Element { return g.tree.Root() }

// EpochSeconds is the length of an epoch.
func (g *Guard) EpochSeconds() int64 { return g.group.EpochSeconds }

// Close logs the tally and frees the tree. Checks after it fail with context.Canceled.
func (g *Guard) Close() {
	g.open.Lock()
	defer g.open.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	g.logger.Info("RLN is off", g.tally.fields()...)
	g.tree.Close()
}

// Check returns nil, or a *rules.Violation of kind Unproven. What it lets pass counts against its author's quota.
func (g *Guard) Check(pubsubTopic string, message *pb.WakuMessage) error {
	g.open.RLock()
	defer g.open.RUnlock()
	if g.closed {
		return fmt.Errorf("the node is shutting down: %w", context.Canceled)
	}
	spam := g.judge(pubsubTopic, message)
	total := g.tally.add(spam)
	if spam == nil {
		return nil
	}
	fields := []zap.Field{zap.Stringer("hash", message.Hash(pubsubTopic)), zap.Stringer("kind", spam.kind),
		zap.String("reason", spam.reason), zap.Uint64("refusedOfKind", total)}
	if spam.member >= 0 {
		fields = append(fields, zap.Int("member", spam.member))
	}
	g.logger.Info("spam refused", fields...)
	return &rules.Violation{Kind: rules.Unproven, Reason: "RLN validation failed: " + spam.reason} // nwaku's words, which clients look for
}

func (g *Guard) judge(pubsubTopic string, message *pb.WakuMessage) *spam {
	if len(message.GetRateLimitProof()) == 0 {
		return refuse(NoProof, "the message has no RLN proof")
	}
	proof, err := rln.DecodeProof(message.RateLimitProof)
	switch {
	case err != nil:
		return refuse(InvalidProof, "the proof is malformed: %v", err)
	case proof.RLNIdentifier != g.group.RLNIdentifier:
		return refuse(InvalidProof, "the proof is for another application (RLN identifier)")
	}
	current := g.group.EpochAt(g.now())
	if of := g.group.EpochOf(message.GetTimestamp()); proof.Epoch != of {
		return refuse(WrongEpoch, "the proof's epoch %d is not that of the message's timestamp, %d", proof.Epoch, of)
	}
	if distance(proof.Epoch, current) > g.gap {
		return refuse(WrongEpoch, "the proof's epoch %d is more than %d from the current one, %d", proof.Epoch, g.gap, current)
	}
	if proof.MerkleRoot != g.tree.Root() {
		return refuse(NotAMember, "the proof is for another group of members (unknown Merkle root)")
	}
	entry, err := newEntry(pubsubTopic, message, proof)
	if err != nil {
		return refuse(InvalidProof, "the message cannot be encoded: %v", err)
	}
	g.log.forget(current, g.gap)
	if known, ok := g.log.find(proof); ok && known.digest == entry.digest {
		return nil // verified when it came first
	}
	signal := rln.Signal(message.Payload, message.ContentTopic, message.GetTimestamp())
	valid, err := g.tree.Verify(proof, signal)
	switch {
	case err != nil:
		g.logger.Error("proof not verified", zap.Error(err))
		return refuse(InvalidProof, "the proof could not be verified")
	case !valid:
		return refuse(InvalidProof, "the proof is not valid for this message")
	}
	known := g.log.insert(proof, entry)
	switch {
	case known == entry, known.digest == entry.digest:
		return nil
	case known.proof.ShareX == proof.ShareX:
		return refuse(Repeated, "the message came before, with another proof, topic or metadata; send it again unchanged, or with a new message id")
	default:
		return g.accuse(known.proof, proof)
	}
}

// accuse names the author of two messages with one message id.
func (g *Guard) accuse(first, second *rln.Proof) *spam {
	const reason = "the author is over his quota: message id used twice in epoch %d"
	commitment, err := rln.RecoverCommitment(first, second)
	if err != nil {
		g.logger.Error("spammer not recovered", zap.Error(err))
		return refuse(OverQuota, reason, second.Epoch)
	}
	s := refuse(OverQuota, reason, second.Epoch)
	if leaf, ok := g.group.Position(commitment); ok {
		s.member = leaf
	}
	return s
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }
