//go:build rln

package rlnrelay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/rlnrelay/rlntest"
	"waku-node/internal/rules"
	"waku-node/rln"
)

const (
	topic        = "/waku/2/rs/42/0"
	limit        = 4
	epochSeconds = 600
)

var now = time.Unix(epochSeconds*3_000_000+300, 0)

// scene is a guard with a clock that stands still, and what it logs.
type scene struct {
	t     *testing.T
	group *rlntest.Group
	guard *Guard
	now   time.Time
	logs  *observer.ObservedLogs
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, group: rlntest.NewGroup(t, 3, limit, epochSeconds), now: now}
	core, logs := observer.New(zap.DebugLevel)
	guard, err := Open(Options{GroupFile: s.group.File, EpochGap: -1, Now: func() time.Time { return s.now }, Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	s.guard, s.logs = guard, logs
	return s
}

func message(text string, at time.Time) *pb.WakuMessage {
	return &pb.WakuMessage{Payload: []byte(text), ContentTopic: "/test/1/rln/proto", Timestamp: proto.Int64(at.UnixNano())}
}

func (s *scene) accepts(what string, m *pb.WakuMessage) {
	s.t.Helper()
	if err := s.guard.Check(topic, m); err != nil {
		s.t.Errorf("%s: %v", what, err)
	}
}

// refuses checks that a message is refused for one reason, and returns what the log says of its author.
func (s *scene) refuses(what string, kind Kind, m *pb.WakuMessage) (member any) {
	s.t.Helper()
	return s.refusesOn(topic, what, kind, m)
}

func (s *scene) refusesOn(topic, what string, kind Kind, m *pb.WakuMessage) (member any) {
	s.t.Helper()
	s.logs.TakeAll()
	err := s.guard.Check(topic, m)
	var violation *rules.Violation
	if !errors.As(err, &violation) || violation.Kind != rules.Unproven || !strings.HasPrefix(err.Error(), "RLN validation failed: ") {
		s.t.Errorf("%s: got %v", what, err)
		return nil
	}
	lines := s.logs.FilterMessage("spam refused").AllUntimed()
	if len(lines) != 1 || lines[0].ContextMap()["kind"] != kind.String() {
		s.t.Errorf("%s: logged %v, want %s", what, lines, kind)
		return nil
	}
	return lines[0].ContextMap()["member"]
}

// altered proves a message and changes it then.
func (s *scene) altered(change func(*pb.WakuMessage)) *pb.WakuMessage {
	m := s.group.Prove(message("original", s.now), 0, 0)
	change(m)
	return m
}

func reencode(t *testing.T, m *pb.WakuMessage, change func(*rln.Proof)) {
	t.Helper()
	p, err := rln.DecodeProof(m.RateLimitProof)
	if err != nil {
		t.Fatal(err)
	}
	change(p)
	if m.RateLimitProof, err = p.Encode(); err != nil {
		t.Fatal(err)
	}
}

func TestS1_EveryHonestMessageIsAccepted(t *testing.T) {
	s := newScene(t)
	for epoch := range 2 {
		for member := range 2 {
			for id := range uint64(limit) {
				m := s.group.Prove(message(fmt.Sprint(epoch, member, id), s.now), member, id)
				s.accepts("first time", m)
				s.accepts("again", m)
				s.accepts("a copy", proto.Clone(m).(*pb.WakuMessage))
			}
		}
		s.now = s.now.Add(epochSeconds * time.Second)
	}
	for _, entry := range s.logs.All() {
		if entry.Level > zap.InfoLevel || entry.Message == "spam refused" {
			t.Errorf("logged %v", entry)
		}
	}
}

func TestS1_MessageWithoutOrWithBrokenProofIsRefused(t *testing.T) {
	s := newScene(t)
	s.refuses("no proof", NoProof, message("x", now))
	s.refuses("noise", InvalidProof, s.altered(func(m *pb.WakuMessage) { m.RateLimitProof = []byte("noise") }))
	s.refuses("payload changed", InvalidProof, s.altered(func(m *pb.WakuMessage) { m.Payload = []byte("other") }))
	s.refuses("topic changed", InvalidProof, s.altered(func(m *pb.WakuMessage) { m.ContentTopic = "/other/1/rln/proto" }))
	s.refuses("timestamp changed", InvalidProof, s.altered(func(m *pb.WakuMessage) { m.Timestamp = proto.Int64(now.UnixNano() + 1) }))
	for name, change := range map[string]func(*rln.Proof){
		"snark":          func(p *rln.Proof) { p.Snark[5] ^= 1 },
		"share x":        func(p *rln.Proof) { p.ShareX[0] ^= 1 },
		"share y":        func(p *rln.Proof) { p.ShareY[0] ^= 1 },
		"nullifier":      func(p *rln.Proof) { p.Nullifier[0] ^= 1 },
		"rln identifier": func(p *rln.Proof) { p.RLNIdentifier[0] ^= 1 },
	} {
		s.refuses(name, InvalidProof, s.altered(func(m *pb.WakuMessage) { reencode(t, m, change) }))
	}
	s.accepts("the quota of a victim of forgeries is whole", s.group.Prove(message("original", now), 0, 0))
}

func TestS1_ProofOfAnotherEpochIsRefused(t *testing.T) {
	s := newScene(t)
	s.refuses("epoch is not the timestamp's", WrongEpoch, s.altered(func(m *pb.WakuMessage) {
		m.Timestamp = proto.Int64(now.Add(epochSeconds * time.Second).UnixNano())
	}))
	for offset, ok := range map[int]bool{-2: false, -1: true, 1: true, 2: false} {
		m := s.group.Prove(message("x", now.Add(time.Duration(offset)*epochSeconds*time.Second)), 0, 1)
		if ok {
			s.accepts(fmt.Sprint("epoch ", offset), m)
		} else {
			s.refuses(fmt.Sprint("epoch ", offset), WrongEpoch, m)
		}
	}
	s.refuses("no timestamp", WrongEpoch, s.group.Prove(&pb.WakuMessage{Payload: []byte("x"), ContentTopic: "/a/1/b/proto"}, 0, 0))
}

func TestS1_EpochGapAllowsFor20SecondsAsInNwaku(t *testing.T) {
	for seconds, want := range map[int64]uint64{1: 20, 7: 2, 10: 2, 20: 1, 600: 1} {
		group := rlntest.NewGroup(t, 1, 1, seconds)
		g, err := Open(Options{GroupFile: group.File, EpochGap: -1, Now: time.Now, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		if g.gap != want {
			t.Errorf("%d s: gap %d, want %d", seconds, g.gap, want)
		}
		g.Close()
	}
}

func TestS1_NonMemberIsRefused(t *testing.T) {
	s := newScene(t)
	stranger := rlntest.NewGroup(t, 1, limit, epochSeconds)
	m := stranger.Prove(message("x", now), 0, 0)
	s.refuses("another group", NotAMember, m)
	reencode(t, m, func(p *rln.Proof) { p.MerkleRoot = s.guard.Root() })
	s.refuses("another group that claims this root", InvalidProof, m)
}

func TestS1_AuthorOverQuotaIsRefusedAndNamed(t *testing.T) {
	s := newScene(t)
	first := s.group.Prove(message("first", now), 2, 3)
	second := s.group.Prove(message("second", now), 2, 3)
	s.accepts("first", first)
	for range 3 { // a refused message stays refused
		if member := s.refuses("second", OverQuota, second); member != int64(2) {
			t.Errorf("member %v", member)
		}
	}
	s.accepts("the first one again", first)
	s.accepts("another member's", s.group.Prove(message("second", now), 1, 3))
	s.accepts("the next epoch's", s.group.Prove(message("third", now.Add(epochSeconds*time.Second)), 2, 3))
}

func TestS1_OneProofServesOneMessage(t *testing.T) {
	s := newScene(t)
	m := s.group.Prove(message("x", now), 0, 0)
	s.accepts("original", m)
	for name, change := range map[string]func(*pb.WakuMessage){
		"meta":      func(m *pb.WakuMessage) { m.Meta = []byte("m") },
		"version":   func(m *pb.WakuMessage) { m.Version = proto.Uint32(3) },
		"ephemeral": func(m *pb.WakuMessage) { m.Ephemeral = proto.Bool(true) },
		// Anyone can make another valid proof out of a proof (Groth16), so that this too must not pass for a new message.
		"proved anew": func(m *pb.WakuMessage) { s.group.Prove(m, 0, 0) },
	} {
		copied := proto.Clone(m).(*pb.WakuMessage)
		change(copied)
		if member := s.refuses(name, Repeated, copied); member != nil {
			t.Errorf("%s: member %v was accused", name, member)
		}
	}
	s.refusesOn("/waku/2/rs/42/1", "another shard", Repeated, m)
}

func TestS1_OnlyOneOfManyConcurrentMessagesPasses(t *testing.T) {
	s := newScene(t)
	messages := make([]*pb.WakuMessage, 6)
	for i := range messages {
		messages[i] = s.group.Prove(message(fmt.Sprint(i), now), 0, 0)
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for _, m := range messages {
		wait.Go(func() {
			if s.guard.Check(topic, m) == nil {
				mu.Lock()
				defer mu.Unlock()
				passed++
			}
		})
	}
	wait.Wait()
	if passed != 1 {
		t.Errorf("%d passed", passed)
	}
}

func TestS3_LogHoldsNoSecretAndNoShare(t *testing.T) {
	s := newScene(t)
	first, second := s.group.Prove(message("a", now), 0, 0), s.group.Prove(message("b", now), 0, 0)
	s.accepts("first", first)
	if err := s.guard.Check(topic, second); err == nil {
		t.Fatal("accepted")
	}
	p, err := rln.DecodeProof(second.RateLimitProof)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	for _, line := range s.logs.All() {
		fmt.Fprintln(&logged, line.Message, line.ContextMap())
	}
	for name, value := range map[string]rln.Element{"share x": p.ShareX, "share y": p.ShareY, "commitment": s.group.Group.Members[0].IdentityCommitment} {
		if strings.Contains(logged.String(), value.String()) {
			t.Errorf("the log holds the %s", name)
		}
	}
}

func TestS1_TallyTellsKinds(t *testing.T) {
	s := newScene(t)
	s.accepts("honest", s.group.Prove(message("a", now), 0, 0))
	for range 3 {
		s.refuses("no proof", NoProof, message("x", now))
	}
	s.guard.Close()
	lines := s.logs.FilterMessage("RLN is off").All()
	if len(lines) != 1 {
		t.Fatalf("logged %v", s.logs.All())
	}
	want := map[string]any{"accepted": uint64(1), "noProof": uint64(3), "invalidProof": uint64(0), "wrongEpoch": uint64(0),
		"notAMember": uint64(0), "overQuota": uint64(0), "repeated": uint64(0)}
	if got := lines[0].ContextMap(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("tally %v, want %v", got, want)
	}
	if err := s.guard.Check(topic, message("x", now)); !errors.Is(err, context.Canceled) {
		t.Errorf("after Close: %v", err)
	}
}

func TestS1_BadGroupFileStopsTheStart(t *testing.T) {
	if _, err := Open(Options{GroupFile: t.TempDir() + "/absent.json", Logger: zap.NewNop()}); err == nil {
		t.Error("a missing file was accepted")
	}
}
