package rlnrelay

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"google.golang.org/protobuf/proto"

	"waku-node/rln"
)

// nullifierLog remembers the valid proofs of the epochs near the current one. The circuit gives a member one nullifier for each
// message id below his limit, so an epoch has no more entries than the sum of all limits; some 600 bytes each.
type nullifierLog struct {
	mu     sync.Mutex
	epochs map[uint64]map[rln.Element]*entry
}

// entry is the first message with a nullifier.
type entry struct {
	proof  *rln.Proof
	digest [sha256.Size]byte // of the topic and the whole message, proof included
}

func newNullifierLog() *nullifierLog {
	return &nullifierLog{epochs: make(map[uint64]map[rln.Element]*entry)}
}

func newEntry(pubsubTopic string, message *pb.WakuMessage, proof *rln.Proof) (*entry, error) {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	return &entry{proof: proof, digest: sha256.Sum256(fmt.Appendf(nil, "%d %s%s", len(pubsubTopic), pubsubTopic, encoded))}, nil
}

func (l *nullifierLog) find(proof *rln.Proof) (*entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.epochs[proof.Epoch][proof.Nullifier]
	return e, ok
}

// insert returns the entry that the log then has for the nullifier: the first one.
func (l *nullifierLog) insert(proof *rln.Proof, e *entry) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	epoch := l.epochs[proof.Epoch]
	if epoch == nil {
		epoch = make(map[rln.Element]*entry)
		l.epochs[proof.Epoch] = epoch
	}
	if first, ok := epoch[proof.Nullifier]; ok {
		return first
	}
	epoch[proof.Nullifier] = e
	return e
}

// forget drops the epochs from which no message is accepted any more.
func (l *nullifierLog) forget(current, gap uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for epoch := range l.epochs {
		if distance(epoch, current) > gap {
			delete(l.epochs, epoch)
		}
	}
}
