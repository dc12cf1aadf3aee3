package rlnrelay

import (
	"testing"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"

	"waku-node/rln"
)

func logged(t *testing.T, l *nullifierLog, epoch uint64, nullifier byte) (first, own *entry) {
	t.Helper()
	proof := &rln.Proof{Epoch: epoch, Nullifier: rln.Element{nullifier}}
	own, err := newEntry("topic", &pb.WakuMessage{Payload: []byte{nullifier}}, proof)
	if err != nil {
		t.Fatal(err)
	}
	return l.insert(proof, own), own
}

func TestS1_FirstProofOfANullifierStays(t *testing.T) {
	l := newNullifierLog()
	first, own := logged(t, l, 10, 1)
	if first != own {
		t.Error("the first one was not new")
	}
	if again, _ := logged(t, l, 10, 1); again != first {
		t.Error("the second one replaced the first")
	}
	if other, own := logged(t, l, 11, 1); other != own {
		t.Error("another epoch's nullifier counted")
	}
}

func TestS1_LogHoldsNoEpochOutsideTheGap(t *testing.T) {
	l := newNullifierLog()
	for now := uint64(100); now < 200; now++ {
		for epoch := now - 2; epoch <= now+2; epoch++ {
			for nullifier := range byte(3) {
				logged(t, l, epoch, nullifier)
			}
		}
		l.forget(now, 1)
		entries := 0
		for epoch, known := range l.epochs {
			if distance(epoch, now) > 1 {
				t.Fatalf("epoch %d at %d", epoch, now)
			}
			entries += len(known)
		}
		if entries != 3*3 {
			t.Fatalf("%d entries at %d", entries, now)
		}
	}
	l.forget(0, 1) // a clock that jumps back
	if len(l.epochs) != 0 {
		t.Error("epochs of the future stayed")
	}
}

func TestS1_DigestCoversTopicAndEveryField(t *testing.T) {
	number := func(n uint32) *uint32 { return &n }
	yes := true
	digests := make(map[[32]byte]string)
	for name, message := range map[string]struct {
		topic   string
		message *pb.WakuMessage
	}{
		"plain":     {"a", &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "c"}},
		"topic":     {"b", &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "c"}},
		"payload":   {"a", &pb.WakuMessage{Payload: []byte("y"), ContentTopic: "c"}},
		"meta":      {"a", &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "c", Meta: []byte("m")}},
		"version":   {"a", &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "c", Version: number(1)}},
		"ephemeral": {"a", &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "c", Ephemeral: &yes}},
		"proof":     {"a", &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "c", RateLimitProof: []byte("p")}},
	} {
		e, err := newEntry(message.topic, message.message, &rln.Proof{})
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := digests[e.digest]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}
		digests[e.digest] = name
	}
}
