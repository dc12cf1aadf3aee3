package rlnrelay

import (
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"
)

// Kind says why a message was refused.
type Kind int

// The kinds of spam.
const (
	NoProof Kind = iota
	InvalidProof
	WrongEpoch // not that of the timestamp, or too far from the clock
	NotAMember // a proof for another group; who claims to be of this one has an invalid proof
	OverQuota  // a message id used for a second message
	Repeated   // a message that came before, with another proof, topic or metadata
	kinds
)

// String is the kind's name in the log.
func (k Kind) String() string {
	return [kinds]string{"noProof", "invalidProof", "wrongEpoch", "notAMember", "overQuota", "repeated"}[k]
}

type spam struct {
	kind   Kind
	reason string
	member int // leaf of the author of an OverQuota message, else -1
}

func refuse(kind Kind, format string, arguments ...any) *spam {
	return &spam{kind: kind, reason: fmt.Sprintf(format, arguments...), member: -1}
}

// tally counts what was let through and what was refused, by kind.
type tally struct {
	accepted atomic.Uint64
	refused  [kinds]atomic.Uint64
}

// add returns how many there are of the kind.
func (t *tally) add(s *spam) uint64 {
	if s == nil {
		return t.accepted.Add(1)
	}
	return t.refused[s.kind].Add(1)
}

func (t *tally) fields() []zap.Field {
	fields := []zap.Field{zap.Uint64("accepted", t.accepted.Load())}
	for kind := range kinds {
		fields = append(fields, zap.Uint64(kind.String(), t.refused[kind].Load()))
	}
	return fields
}
