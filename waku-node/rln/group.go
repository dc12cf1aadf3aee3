package rln

import (
	"errors"
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

// MaxEpochSeconds is the longest epoch that clients count: a day.
const MaxEpochSeconds = 24 * 3600

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

// ReadGroup reads and checks a group's file. Its errors never quote the file.
func ReadGroup(r io.Reader) (*Group, error) {
	g := new(Group)
	err := readDocument(r, "group", []field{
		{"version", version(&g.Version)},
		{"rlnIdentifier", value(&g.RLNIdentifier, hexDigits)},
		{"epochSeconds", value(&g.EpochSeconds, wholeNumber)},
		{"members", list(func(d *document, name string) error {
			g.Members = append(g.Members, Member{})
			m := &g.Members[len(g.Members)-1]
			return d.object(name, []field{
				{"identityCommitment", value(&m.IdentityCommitment, hexDigits)},
				{"userMessageLimit", value(&m.UserMessageLimit, wholeNumber)},
			})
		})},
	})
	if err == nil {
		err = g.validate()
	}
	if err != nil {
		return nil, withRemedy(err, "give the content of group.json, as the network's nodes have it")
	}
	return g, nil
}

// ReadCredentials reads and checks a credentials file. Its errors never quote the file. NewProver checks it against the group.
func ReadCredentials(r io.Reader) (*Credentials, error) {
	c := new(Credentials)
	err := readDocument(r, "credentials", []field{
		{"version", version(&c.Version)},
		{"rlnIdentifier", value(&c.RLNIdentifier, hexDigits)},
		{"leafIndex", value(&c.LeafIndex, wholeNumber)},
		{"userMessageLimit", value(&c.UserMessageLimit, wholeNumber)},
		{"identityCommitment", value(&c.IdentityCommitment, hexDigits)},
		{"identitySecret", value(&c.IdentitySecret, hexDigits)},
	})
	if err == nil {
		err = checkLimit("credentials.userMessageLimit", c.UserMessageLimit)
	}
	if err != nil {
		clear(c.IdentitySecret[:])
		return nil, withRemedy(err, ofMember)
	}
	return c, nil
}

const (
	hexDigits   = "64 hex digits"
	wholeNumber = "a whole number"
	// ofMember is what to do about credentials that do not serve.
	ofMember = "give the content of a member-N.json that was made with this group"
)

func version(target *int) read {
	number := value(target, wholeNumber)
	return func(d *document, field string) error {
		err := number(d, field)
		if err == nil && *target != FileVersion {
			err = &InvalidError{field, fmt.Sprintf("must be %d, not %d", FileVersion, *target)}
		}
		return err
	}
}

func withRemedy(err error, remedy string) error {
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		return &InvalidError{invalid.Field, invalid.Problem + "; " + remedy}
	}
	return err
}

func (g *Group) validate() error {
	switch {
	case g.EpochSeconds < 1 || g.EpochSeconds > MaxEpochSeconds:
		return &InvalidError{"group.epochSeconds", fmt.Sprintf("must be from 1 to %d, not %d", MaxEpochSeconds, g.EpochSeconds)}
	case len(g.Members) == 0 || len(g.Members) > MaxMembers:
		return &InvalidError{"group.members", fmt.Sprintf("must be 1 to %d, not %d", MaxMembers, len(g.Members))}
	}
	seen := make(map[Element]int, len(g.Members))
	for i, m := range g.Members {
		if err := checkLimit(fmt.Sprintf("group.members[%d].userMessageLimit", i), m.UserMessageLimit); err != nil {
			return err
		}
		if other, ok := seen[m.IdentityCommitment]; ok {
			return &InvalidError{fmt.Sprintf("group.members[%d].identityCommitment", i), fmt.Sprintf("is that of member %d", other)}
		}
		seen[m.IdentityCommitment] = i
	}
	return nil
}

func checkLimit(field string, limit uint64) error {
	if limit < 1 || limit > MaxMessageLimit {
		return &InvalidError{field, fmt.Sprintf("must be from 1 to %d, not %d", MaxMessageLimit, limit)}
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
