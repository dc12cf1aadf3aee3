//go:build rln && cgo

package rln

/*
#cgo LDFLAGS: ${SRCDIR}/../../.cache/rln/target/release/libchat_rln.a -lm -ldl -lpthread
#include "chat_rln.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Tree is a group's membership tree, in the circuit's library.
type Tree struct {
	group  *Group
	handle *C.ChatRlnGroup
	root   Element
}

// NewTree builds the tree: about 0.1 ms for each member. It also loads the circuit, so that the first proof is as fast as the next.
func NewTree(group *Group) (*Tree, error) {
	commitments := make([]Element, len(group.Members))
	limits := make([]C.uint64_t, len(group.Members))
	for i, m := range group.Members {
		commitments[i], limits[i] = m.IdentityCommitment, C.uint64_t(m.UserMessageLimit)
	}
	if err := failure(C.chat_rln_load_circuit()); err != nil {
		return nil, err
	}
	t := &Tree{group: group}
	status := C.chat_rln_group_new((*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(commitments))), unsafe.SliceData(limits),
		C.size_t(len(group.Members)), &t.handle)
	if status == C.CHAT_RLN_NOT_A_FIELD_ELEMENT {
		return nil, &InvalidError{"group.members", "have an identityCommitment that " + noFieldElement}
	}
	if err := failure(status); err != nil {
		return nil, err
	}
	C.chat_rln_group_root(t.handle, pointer(t.root[:]))
	return t, nil
}

// Root is the tree's root.
func (t *Tree) Root() Element { return t.root }

// Close frees the tree, once. No call may be under way.
func (t *Tree) Close() { C.chat_rln_group_free(t.handle) }

// Verify tells whether a proof is one of a member of the group for a signal. It takes some 3 ms.
func (t *Tree) Verify(p *Proof, signal []byte) (bool, error) {
	external, err := externalNullifier(p.Epoch, t.group.RLNIdentifier)
	if err != nil {
		return false, err
	}
	var laidOut [proofSize]byte
	rest := laidOut[copy(laidOut[:], p.Snark[:]):]
	for _, value := range []*Element{&p.MerkleRoot, &external, &p.ShareX, &p.ShareY, &p.Nullifier} {
		rest = rest[copy(rest, value[:]):]
	}
	status := C.chat_rln_verify(pointer(laidOut[:]), pointer(t.root[:]), pointer(external[:]), pointer(signal), C.size_t(len(signal)))
	if status == C.CHAT_RLN_INVALID {
		return false, nil
	}
	return status == C.CHAT_RLN_OK, failure(status)
}

func (t *Tree) prove(c *Credentials, s Statement) (*Proof, error) {
	external, err := externalNullifier(s.Epoch, t.group.RLNIdentifier)
	if err != nil {
		return nil, err
	}
	signal := Signal(s.Payload, s.ContentTopic, s.TimestampNs)
	var laidOut [proofSize]byte
	status := C.chat_rln_prove(t.handle, pointer(c.IdentitySecret[:]), C.uint64_t(c.LeafIndex), C.uint64_t(s.MessageID),
		pointer(external[:]), pointer(signal), C.size_t(len(signal)), pointer(laidOut[:]))
	if err := failure(status); err != nil {
		return nil, err
	}
	p := &Proof{Epoch: s.Epoch, RLNIdentifier: t.group.RLNIdentifier}
	rest := laidOut[copy(p.Snark[:], laidOut[:]):]
	for _, value := range []*Element{&p.MerkleRoot, &external, &p.ShareX, &p.ShareY, &p.Nullifier} {
		rest = rest[copy(value[:], rest):]
	}
	return p, nil
}

// IdentityOf makes an identity of a seed of at least 32 random bytes.
func IdentityOf(seed []byte) (secret Secret, commitment Element, err error) {
	status := C.chat_rln_identity(pointer(seed), C.size_t(len(seed)), pointer(secret[:]), pointer(commitment[:]))
	return secret, commitment, failure(status)
}

// CommitmentOf is what a group's file says about a secret's owner.
func CommitmentOf(secret Secret) (commitment Element, err error) {
	return commitment, failure(C.chat_rln_commitment(pointer(secret[:]), pointer(commitment[:])))
}

// RecoverCommitment names whoever made two verified proofs with one nullifier for two signals.
func RecoverCommitment(first, second *Proof) (commitment Element, err error) {
	status := C.chat_rln_recover_commitment(pointer(first.ShareX[:]), pointer(first.ShareY[:]),
		pointer(second.ShareX[:]), pointer(second.ShareY[:]), pointer(commitment[:]))
	return commitment, failure(status)
}

func externalNullifier(epoch uint64, identifier Element) (external Element, err error) {
	encoded := epochBytes(epoch)
	status := C.chat_rln_external_nullifier(pointer(encoded[:]), pointer(identifier[:]), C.size_t(len(identifier)), pointer(external[:]))
	return external, failure(status)
}

func pointer(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))) }

func failure(status C.ChatRlnStatus) error {
	switch status {
	case C.CHAT_RLN_OK:
		return nil
	case C.CHAT_RLN_NOT_A_FIELD_ELEMENT:
		return &InvalidError{"a value", noFieldElement}
	default:
		return fmt.Errorf("rln: the circuit's library failed with status %d", int32(status))
	}
}
