package rln

import (
	"errors"
	"fmt"
)

// Prover makes a member's proofs. It does not count message ids: whoever calls it must use none twice in an epoch, ever, or the
// member's secret is public. Safe for concurrent use.
type Prover struct {
	group       *Group
	tree        *Tree
	credentials Credentials
}

// Statement is what to prove.
type Statement struct {
	Payload      []byte
	ContentTopic string
	TimestampNs  int64
	Epoch        uint64 // that of TimestampNs
	MessageID    uint64 // from 0, below the member's limit
}

// NewProver builds the group's tree and checks that the credentials are those of its member.
func NewProver(group *Group, credentials *Credentials) (*Prover, error) {
	commitment, err := CommitmentOf(credentials.IdentitySecret)
	var invalid *InvalidError
	switch {
	case errors.As(err, &invalid):
		return nil, &InvalidError{"credentials.identitySecret", invalid.Problem + "; " + ofMember}
	case err != nil:
		return nil, err
	case credentials.RLNIdentifier != group.RLNIdentifier:
		return nil, &InvalidError{"credentials.rlnIdentifier", "is not the group's; " + ofMember}
	case credentials.LeafIndex >= uint64(len(group.Members)):
		return nil, &InvalidError{"credentials.leafIndex", fmt.Sprintf("is %d in a group of %d; %s", credentials.LeafIndex, len(group.Members), ofMember)}
	}
	member := group.Members[credentials.LeafIndex]
	switch {
	case commitment != credentials.IdentityCommitment:
		return nil, &InvalidError{"credentials.identityCommitment", "does not belong to the identitySecret; " + ofMember}
	case commitment != member.IdentityCommitment:
		return nil, &InvalidError{"credentials.identitySecret", fmt.Sprintf("is not that of the group's member %d; %s", credentials.LeafIndex, ofMember)}
	case credentials.UserMessageLimit != member.UserMessageLimit:
		return nil, &InvalidError{"credentials.userMessageLimit", fmt.Sprintf(
			"is %d, in the group %d; if the group's limit was changed, give the member's file again, with that number", credentials.UserMessageLimit, member.UserMessageLimit)}
	}
	tree, err := NewTree(group)
	if err != nil {
		return nil, err
	}
	return &Prover{group: group, tree: tree, credentials: *credentials}, nil
}

// Prove makes the value of WakuMessage's rate_limit_proof. It takes some 0.15 s on all of the machine's cores.
func (p *Prover) Prove(s Statement) ([]byte, error) {
	if of := p.group.EpochOf(s.TimestampNs); s.Epoch != of {
		return nil, &InvalidError{"epoch", fmt.Sprintf("is %d, but the timestamp is in epoch %d", s.Epoch, of)}
	}
	if s.MessageID >= p.credentials.UserMessageLimit {
		return nil, &InvalidError{"messageId", fmt.Sprintf("is %d, and must be below the limit of %d messages; wait for the next epoch", s.MessageID, p.credentials.UserMessageLimit)}
	}
	proof, err := p.tree.prove(&p.credentials, s)
	if err != nil {
		return nil, err
	}
	return proof.Encode()
}

// Close frees the tree and wipes the secret. No proof may be under way.
func (p *Prover) Close() {
	p.tree.Close()
	clear(p.credentials.IdentitySecret[:])
}

// Format hides the secret from every verb; fmt does not ask the type Secret of a field that is not exported.
func (Prover) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("rln.Prover")) }
