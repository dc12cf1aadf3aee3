package rln

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// FileVersion is the version of the group's and the credentials' file format.
const FileVersion = 1

// Bounds of the circuit.
const (
	TreeDepth       = 20
	MaxMembers      = 1 << TreeDepth
	MaxMessageLimit = 1<<16 - 1
)

// maxEpochSeconds keeps every sum of epochs and times far from an overflow.
const maxEpochSeconds = 365 * 24 * 3600

// Group is a static membership group: whoever reads the same file computes the same tree.
type Group struct {
	Version int `json:"version"`
	// RLNIdentifier sets applications apart: 32 bytes, in which text is padded with zeros.
	RLNIdentifier Element  `json:"rlnIdentifier"`
	EpochSeconds  int64    `json:"epochSeconds"`
	Members       []Member `json:"members"` // by leaf
}

// Member is one leaf of the tree.
type Member struct {
	IdentityCommitment Element `json:"identityCommitment"`
	UserMessageLimit   uint64  `json:"userMessageLimit"` // messages in an epoch
}

// Credentials are what a member needs to prove, beside the group.
type Credentials struct {
	Version            int     `json:"version"`
	RLNIdentifier      Element `json:"rlnIdentifier"`
	LeafIndex          uint64  `json:"leafIndex"`
	UserMessageLimit   uint64  `json:"userMessageLimit"`
	IdentityCommitment Element `json:"identityCommitment"`
	IdentitySecret     Secret  `json:"identitySecret"`
}

// ReadGroup reads and checks a group's file.
func ReadGroup(r io.Reader) (*Group, error) {
	g := new(Group)
	if err := readJSON(r, g); err != nil {
		return nil, fmt.Errorf("rln: reading the group: %w", err)
	}
	return g, g.validate()
}

// ReadCredentials reads and checks a credentials file. NewProver checks it against the group.
func ReadCredentials(r io.Reader) (*Credentials, error) {
	c := new(Credentials)
	if err := readJSON(r, c); err != nil {
		return nil, fmt.Errorf("rln: reading the credentials: %w", err)
	}
	if c.Version != FileVersion {
		return nil, wrongVersion(c.Version)
	}
	return c, nil
}

func (g *Group) validate() error {
	switch {
	case g.Version != FileVersion:
		return wrongVersion(g.Version)
	case g.EpochSeconds < 1 || g.EpochSeconds > maxEpochSeconds:
		return &InvalidError{"epochSeconds", fmt.Sprintf("must be from 1 to %d, not %d", maxEpochSeconds, g.EpochSeconds)}
	case len(g.Members) == 0 || len(g.Members) > MaxMembers:
		return &InvalidError{"members", fmt.Sprintf("must be 1 to %d, not %d", MaxMembers, len(g.Members))}
	}
	seen := make(map[Element]int, len(g.Members))
	for i, m := range g.Members {
		if m.UserMessageLimit < 1 || m.UserMessageLimit > MaxMessageLimit {
			return &InvalidError{fmt.Sprintf("members[%d].userMessageLimit", i),
				fmt.Sprintf("must be from 1 to %d, not %d", MaxMessageLimit, m.UserMessageLimit)}
		}
		if other, ok := seen[m.IdentityCommitment]; ok {
			return &InvalidError{fmt.Sprintf("members[%d].identityCommitment", i), fmt.Sprintf("is that of member %d", other)}
		}
		seen[m.IdentityCommitment] = i
	}
	return nil
}

// EpochAt is the number of the epoch at a time.
func (g *Group) EpochAt(t time.Time) uint64 { return uint64(max(t.Unix(), 0) / g.EpochSeconds) }

// Position is the leaf of a commitment.
func (g *Group) Position(commitment Element) (leaf int, ok bool) {
	for i, m := range g.Members {
		if m.IdentityCommitment == commitment {
			return i, true
		}
	}
	return 0, false
}

func readJSON(r io.Reader, target any) error {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("there is more after the end of the JSON object")
	}
	return nil
}

func wrongVersion(version int) error {
	return &InvalidError{"version", fmt.Sprintf("must be %d, not %d", FileVersion, version)}
}
