// Package rln takes part in a network with Rate Limiting Nullifiers (RLN): its [Membership] is the option RLN of chatsdk.Open. The client then
// publishes as many messages in an epoch as the membership allows, each with a proof of that right, and holds back the rest for the next epochs.
//
// It is a module of its own, because it needs what the SDK does without: a C compiler, the circuit's library (the Rust crate waku-node/rln, whose
// README says how to build it) and the build tag rln. Without the tag everything compiles, and [NewMembership] says that it can do nothing.
//
// Your go.mod needs, until the modules have a home, the lines
//
//	replace chatsdk => ../chat-sdk/bindings-go
//	replace chatsdk/waku/rln => ../chat-sdk/bindings-go/waku/rln
//	replace waku-node/rln => ../chat-sdk/waku-node/rln
//
// and the program's build the flags, with which go links a changed library again:
//
//	go build -tags rln -ldflags=-extldflags=-Wl,--build-id=0x$(sha1sum < libchat_rln.a | cut -c1-40)
//
// A proof takes 0.15 s on two idle cores.
package rln

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	circuit "waku-node/rln"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/waku"
)

// maxEpochSeconds is the longest epoch that the core counts.
const maxEpochSeconds = 86_400

// Membership is a group and one of its members. It belongs to one client, which opens and closes it. It is safe for concurrent use, and prints as
// "rln.Membership".
type Membership struct {
	group *circuit.Group

	// Proofs read; opening and closing write.
	mu    sync.RWMutex
	state state
	// given is empty once the membership is open.
	given  []byte
	limit  uint32
	prover *circuit.Prover // nil unless open
}

type state int

const (
	unused state = iota
	open
	closed
)

var _ chatsdk.Membership = (*Membership)(nil)

// NewMembership reads the group's file (group.json of waku-node rln-group), the same that the network's nodes have, and the member's
// (member-N.json, as it is). The credentials are copied. They are needed once: the database keeps them, sealed with its key, and nil makes the
// client use those.
//
// Never give the same credentials to two databases, nor to one that was copied: together they would use the right to publish one message for two, and
// whoever sees both proofs can compute the member's secret.
//
// It fails with INVALID_ARGUMENT, naming rln.group or rln.credentials, if a file cannot be read, and if the program was built without RLN (the cause is
// then ErrUnavailable of waku-node/rln). Whether the credentials are those of a member, chatsdk.Open finds out.
func NewMembership(group io.Reader, credentials []byte) (*Membership, error) {
	// Any call of the circuit tells whether it is there.
	if _, err := circuit.CommitmentOf(circuit.Secret{}); errors.Is(err, circuit.ErrUnavailable) {
		return nil, invalid(err, "rln", "")
	}
	read, err := circuit.ReadGroup(group)
	if err != nil {
		return nil, invalid(err, "rln.group", ofGroup)
	}
	if read.EpochSeconds > maxEpochSeconds {
		return nil, invalid(fmt.Errorf("epochSeconds is %d, and must be at most %d", read.EpochSeconds, maxEpochSeconds), "rln.group", ofGroup)
	}
	m := &Membership{group: read}
	if len(credentials) == 0 {
		return m, nil
	}
	parsed, err := circuit.ReadCredentials(bytes.NewReader(credentials))
	if err != nil {
		return nil, invalid(err, "rln.credentials", ofMember)
	}
	clear(parsed.IdentitySecret[:])
	if parsed.UserMessageLimit > circuit.MaxMessageLimit {
		return nil, invalid(fmt.Errorf("userMessageLimit is %d, and must be at most %d", parsed.UserMessageLimit, circuit.MaxMessageLimit), "rln.credentials", ofMember)
	}
	m.given, m.limit = bytes.Clone(credentials), uint32(parsed.UserMessageLimit)
	return m, nil
}

// RateLimit is for the client: what to tell its core. The copy of the credentials is the client's to wipe.
func (m *Membership) RateLimit() *abi.RateLimit {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return &abi.RateLimit{EpochSeconds: uint32(m.group.EpochSeconds), MessagesPerEpoch: m.limit, Credentials: bytes.Clone(m.given)}
}

// Open is for the client: it loads the circuit and the group's tree, some 0.1 ms for each member, for the credentials that the core has.
func (m *Membership) Open(credentials []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != unused {
		return m.unusable()
	}
	m.state = open
	m.forgetGiven()
	if len(credentials) == 0 {
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln.credentials: missing, and the database has none; give the content of member-N.json once")
	}
	parsed, err := circuit.ReadCredentials(bytes.NewReader(credentials))
	if err != nil {
		return invalid(err, "rln.credentials", ofMember)
	}
	defer clear(parsed.IdentitySecret[:])
	m.prover, err = circuit.NewProver(m.group, parsed)
	var wrong *circuit.InvalidError
	switch {
	case errors.As(err, &wrong):
		return invalid(err, "rln.credentials", ofMember)
	case err != nil:
		return fault.Because(abi.ErrorCode_INTERNAL, err, "rln: %v; report this", err)
	}
	return nil
}

// Prove makes a proof, for the transport. It fails with INVALID_ARGUMENT, before any proof is made, if the epoch is not the timestamp's or the message
// id not below the limit, and before a client has opened the membership; with CLOSED afterwards. The end of ctx does not interrupt a proof.
func (m *Membership) Prove(ctx context.Context, request waku.ProofRequest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.prover == nil {
		return nil, m.unusable()
	}
	proof, err := m.prover.Prove(circuit.Statement{
		Payload: request.Payload, ContentTopic: request.Topic, TimestampNs: request.TimestampNs, Epoch: request.Epoch, MessageID: uint64(request.MessageID),
	})
	var wrong *circuit.InvalidError
	switch {
	case errors.As(err, &wrong):
		return nil, invalid(err, "rln", "")
	case err != nil:
		return nil, fault.Because(abi.ErrorCode_INTERNAL, err, "rln: %v; report this", err)
	}
	return proof, nil
}

// Close wipes the secret once the proof under way is made. The client does it when it closes, and when it cannot be opened.
func (m *Membership) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = closed
	m.forgetGiven()
	if m.prover != nil {
		m.prover.Close()
		m.prover = nil
	}
	return nil
}

// Format prints no secret, whatever the verb.
func (*Membership) Format(state fmt.State, _ rune) {
	// A writer of fmt does not fail.
	_, _ = io.WriteString(state, "rln.Membership")
}

func (m *Membership) forgetGiven() {
	clear(m.given)
	m.given = nil
}

func (m *Membership) unusable() error {
	switch m.state {
	case closed:
		return fault.New(abi.ErrorCode_CLOSED, "rln: the membership is closed; make a new one for each client")
	case open:
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln: the membership is another client's; make a new one for each")
	}
	return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln: the membership belongs to no client; give it to one as Options.RLN")
}

// Remedies.
const (
	ofGroup  = "; give the content of the network's group.json"
	ofMember = "; give the content of a member-N.json that was made with this group"
)

// invalid is INVALID_ARGUMENT; the causes of waku-node/rln hold no secret.
func invalid(cause error, field, remedy string) error {
	return fault.Because(abi.ErrorCode_INVALID_ARGUMENT, cause, "%s: %s%s", field, strings.TrimPrefix(cause.Error(), "rln: "), remedy)
}
