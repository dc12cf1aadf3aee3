// Package rln takes part in a network with Rate Limiting Nullifiers (RLN): its [Membership] is the option RLN of chatsdk.Open. The client then
// publishes as many messages in an epoch as the membership allows, each with a proof of that right, and holds back the rest for the next epochs.
//
// It is a module of its own, because it needs what the SDK does without: a C compiler, the circuit's library (the Rust crate waku-node/rln, whose
// README says how to build it), cgo and the build tag rln. Without one of them everything compiles, and [NewMembership] says what is missing.
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
	"chatsdk/internal/absent"
	"chatsdk/internal/fault"
	"chatsdk/waku"
)

// Membership is a group and one of its members. It belongs to the first client that it is given to, which opens and closes it. It is safe for concurrent
// use, and prints as "rln.Membership". NewMembership makes one.
type Membership struct {
	*membership
}

// membership is behind a pointer: a copy of a Membership is the same one, and printing it prints no secret.
type membership struct {
	group *circuit.Group

	// Proofs read; the rest writes.
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
	taken
	open
	closed
)

var _ chatsdk.Membership = (*Membership)(nil)

// NewMembership reads the group's file (group.json of waku-node rln-group), the same that the network's nodes have, and the member's
// (member-N.json, as it is). The credentials are copied. They are needed once: the database keeps them, sealed with its key, and nil, but nothing else
// that is empty, makes the client use those. Others take the place of those in the database.
//
// Never give the same credentials to two databases, nor to one that was copied: together they would use the right to publish one message for two, and
// whoever sees both proofs can compute the member's secret.
//
// It fails with INVALID_ARGUMENT, naming rln.group or rln.credentials and the field, if one of them is malformed, and if the program was built without
// RLN (the cause is then ErrUnavailable of waku-node/rln). No error quotes a file. Whether the credentials are those of a member, chatsdk.Open finds out.
func NewMembership(group io.Reader, credentials []byte) (*Membership, error) {
	// Any call of the circuit tells whether it is there.
	if _, err := circuit.CommitmentOf(circuit.Secret{}); errors.Is(err, circuit.ErrUnavailable) {
		return nil, invalid(err)
	}
	if absent.Is(group) {
		return nil, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln.group: missing; give a reader of the network's group.json")
	}
	text, err := io.ReadAll(group)
	if err != nil {
		return nil, fault.Because(abi.ErrorCode_INVALID_ARGUMENT, err, "rln.group: cannot be read: %v; give a reader of the network's group.json", err)
	}
	read, err := circuit.ReadGroup(bytes.NewReader(text))
	if err != nil {
		return nil, invalid(err)
	}
	m := &membership{group: read}
	if credentials == nil {
		return &Membership{m}, nil
	}
	if len(credentials) == 0 {
		return nil, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln.credentials: empty; give the content of member-N.json, or nil for those in the database")
	}
	parsed, err := circuit.ReadCredentials(bytes.NewReader(credentials))
	if err != nil {
		return nil, invalid(err)
	}
	clear(parsed.IdentitySecret[:])
	m.given, m.limit = bytes.Clone(credentials), uint32(parsed.UserMessageLimit)
	return &Membership{m}, nil
}

// RateLimit is for the client, which takes the membership over by it: what to tell its core. The copy of the credentials is the client's to wipe. It
// fails with INVALID_ARGUMENT if another client has the membership, with CLOSED after Close.
func (m *Membership) RateLimit() (*abi.RateLimit, error) {
	if m.membership == nil {
		return nil, unmade()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != unused {
		return nil, m.unusable()
	}
	m.state = taken
	return &abi.RateLimit{EpochSeconds: uint32(m.group.EpochSeconds), MessagesPerEpoch: m.limit, Credentials: bytes.Clone(m.given)}, nil
}

// Open is for the client that took it: it loads the circuit and the group's tree, some 0.1 ms for each member, for the credentials that the core has.
func (m *Membership) Open(credentials []byte) error {
	if m.membership == nil {
		return unmade()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != taken {
		return m.unusable()
	}
	m.state = open
	m.forgetGiven()
	parsed, err := circuit.ReadCredentials(bytes.NewReader(credentials))
	if err != nil {
		return invalid(err)
	}
	defer clear(parsed.IdentitySecret[:])
	m.prover, err = circuit.NewProver(m.group, parsed)
	return failure(err)
}

// Prove makes a proof, for the transport. It fails with INVALID_ARGUMENT, before any proof is made, if the epoch is not the timestamp's or the message
// id not below the limit, and before a client has opened the membership; with CLOSED afterwards. The end of ctx does not interrupt a proof.
func (m *Membership) Prove(ctx context.Context, request waku.ProofRequest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.membership == nil {
		return nil, unmade()
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.prover == nil {
		return nil, m.unusable()
	}
	proof, err := m.prover.Prove(circuit.Statement{
		Payload: request.Payload, ContentTopic: request.Topic, TimestampNs: request.TimestampNs, Epoch: request.Epoch, MessageID: uint64(request.MessageID),
	})
	return proof, failure(err)
}

// Close wipes the secret once the proof under way is made. The client does it when it closes, and when it cannot be opened.
func (m *Membership) Close() error {
	if m.membership == nil {
		return nil
	}
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
func (Membership) Format(state fmt.State, _ rune) {
	// A writer of fmt does not fail.
	_, _ = io.WriteString(state, "rln.Membership")
}

func (m *membership) forgetGiven() {
	clear(m.given)
	m.given = nil
}

func (m *membership) unusable() error {
	switch m.state {
	case closed:
		return fault.New(abi.ErrorCode_CLOSED, "rln: the membership is closed; make a new one for each client")
	case taken, open:
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln: the membership is another client's, or not open yet; make a new one for each client")
	}
	return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln: the membership belongs to no client; give it to one as Options.RLN")
}

func unmade() error {
	return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln: the membership is empty; make it by NewMembership")
}

// failure of the circuit: what is wrong with a value, or a defect.
func failure(err error) error {
	var wrong *circuit.InvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return invalid(err)
	}
	return fault.Because(abi.ErrorCode_INTERNAL, err, "rln: %v; report this", err)
}

// invalid is INVALID_ARGUMENT. The messages of waku-node/rln name fields and places, and never quote a file.
func invalid(cause error) error {
	var wrong *circuit.InvalidError
	if errors.As(cause, &wrong) {
		return fault.Because(abi.ErrorCode_INVALID_ARGUMENT, cause, "rln.%s: %s", wrong.Field, wrong.Problem)
	}
	return fault.Because(abi.ErrorCode_INVALID_ARGUMENT, cause, "rln: %s", strings.TrimPrefix(cause.Error(), "rln: "))
}
