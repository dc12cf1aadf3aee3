package rln

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// GroupPlan is the shape of a new group.
type GroupPlan struct {
	RLNIdentifier    Element
	EpochSeconds     int64
	Members          int
	UserMessageLimit uint64 // of every member
}

// GroupFile is the name of the group's file among those of WriteGroup.
const GroupFile = "group.json"

// WriteGroup makes new identities and writes group.json and member-0.json, member-1.json, ... into a folder, the latter for their
// owner's eyes only. It overwrites no file.
func WriteGroup(folder string, plan GroupPlan) (*Group, error) {
	if plan.Members < 1 || plan.Members > MaxMembers {
		return nil, &InvalidError{"group.members", fmt.Sprintf("must be 1 to %d, not %d", MaxMembers, plan.Members)}
	}
	group := &Group{Version: FileVersion, RLNIdentifier: plan.RLNIdentifier, EpochSeconds: plan.EpochSeconds}
	credentials := make([]Credentials, plan.Members)
	for i := range credentials {
		secret, commitment, err := newIdentity()
		if err != nil {
			return nil, err
		}
		credentials[i] = Credentials{
			Version:            FileVersion,
			RLNIdentifier:      plan.RLNIdentifier,
			LeafIndex:          uint64(i),
			UserMessageLimit:   plan.UserMessageLimit,
			IdentityCommitment: commitment,
			IdentitySecret:     secret,
		}
		group.Members = append(group.Members, Member{IdentityCommitment: commitment, UserMessageLimit: plan.UserMessageLimit})
	}
	if err := group.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(folder, GroupFile), 0o644, group); err != nil {
		return nil, err
	}
	for i := range credentials {
		if err := writeJSON(filepath.Join(folder, fmt.Sprintf("member-%d.json", i)), 0o600, credentials[i]); err != nil {
			return nil, err
		}
	}
	return group, nil
}

func newIdentity() (Secret, Element, error) {
	var seed [32]byte
	defer clear(seed[:])
	if _, err := rand.Read(seed[:]); err != nil {
		return Secret{}, Element{}, err
	}
	return IdentityOf(seed[:])
}

func writeJSON(path string, mode os.FileMode, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return file.Close()
}
