package rln

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"waku-node/rln/rlnpb"
)

// What a proof says about a message follows nwaku. Its source, checked at commit 7d1c6aba of December 2025 of waku-org/nwaku and
// at its successor logos-messaging/logos-delivery:
//
//   - signal: toRLNSignal in waku/waku_rln_relay/rln_relay.nim. The timestamp's bytes are those of the machine (toBytes of
//     nim-stew's endians2 without an order), little-endian wherever nwaku runs. go-waku and js-waku leave the timestamp out.
//   - epoch: calcEpoch there (unix time / epoch size) and toEpoch in conversion_utils.nim (little-endian in 32 bytes). nwaku divides
//     in floating point; within a microsecond of an epoch's end the two may differ.
//   - external nullifier: Poseidon of the Keccak-256 hashes of epoch and identifier, generateExternalNullifier in
//     logos_delivery/waku/rln/rln_evm/wrappers.nim (since pull request 3660; before, of the values themselves).
//   - what a validator checks, and in which order: validateMessage in rln_relay.nim.

// Proof sizes in bytes.
const (
	SnarkSize = 128
	proofSize = SnarkSize + 5*32 // as the circuit's library lays it out: see chat_rln.h
)

// Proof is the RateLimitProof of a message.
type Proof struct {
	Snark         [SnarkSize]byte
	MerkleRoot    Element
	Epoch         uint64
	ShareX        Element
	ShareY        Element
	Nullifier     Element
	RLNIdentifier Element
}

// Signal is what a proof signs of a message.
func Signal(payload []byte, contentTopic string, timestampNs int64) []byte {
	signal := make([]byte, 0, len(payload)+len(contentTopic)+8)
	signal = append(append(signal, payload...), contentTopic...)
	return binary.LittleEndian.AppendUint64(signal, uint64(timestampNs))
}

// EpochOf is the number of the epoch of a message's timestamp.
func (g *Group) EpochOf(timestampNs int64) uint64 { return g.EpochAt(time.Unix(0, timestampNs)) }

// Encode is the value of WakuMessage's rate_limit_proof, 335 bytes.
func (p *Proof) Encode() ([]byte, error) {
	epoch := epochBytes(p.Epoch)
	return proto.Marshal(&rlnpb.RateLimitProof{
		Proof:         p.Snark[:],
		MerkleRoot:    p.MerkleRoot[:],
		Epoch:         epoch[:],
		ShareX:        p.ShareX[:],
		ShareY:        p.ShareY[:],
		Nullifier:     p.Nullifier[:],
		RlnIdentifier: p.RLNIdentifier[:],
	})
}

// DecodeProof reads the value of WakuMessage's rate_limit_proof. Every field must have its size, and nothing may follow.
func DecodeProof(encoded []byte) (*Proof, error) {
	message := new(rlnpb.RateLimitProof)
	if err := proto.Unmarshal(encoded, message); err != nil {
		return nil, fmt.Errorf("rln: decoding the proof: %w", err)
	}
	if len(message.ProtoReflect().GetUnknown()) > 0 {
		return nil, errors.New("rln: the proof has unknown fields")
	}
	p := new(Proof)
	var epoch Element
	for _, field := range []struct {
		name     string
		from, to []byte
	}{
		{"proof", message.Proof, p.Snark[:]},
		{"merkle_root", message.MerkleRoot, p.MerkleRoot[:]},
		{"epoch", message.Epoch, epoch[:]},
		{"share_x", message.ShareX, p.ShareX[:]},
		{"share_y", message.ShareY, p.ShareY[:]},
		{"nullifier", message.Nullifier, p.Nullifier[:]},
		{"rln_identifier", message.RlnIdentifier, p.RLNIdentifier[:]},
	} {
		if len(field.from) != len(field.to) {
			return nil, &InvalidError{field.name, fmt.Sprintf("must be %d bytes, not %d", len(field.to), len(field.from))}
		}
		copy(field.to, field.from)
	}
	p.Epoch = binary.LittleEndian.Uint64(epoch[:])
	if epochBytes(p.Epoch) != epoch {
		return nil, &InvalidError{"epoch", "is above 64 bits"}
	}
	return p, nil
}

func epochBytes(epoch uint64) (encoded Element) {
	binary.LittleEndian.PutUint64(encoded[:], epoch)
	return encoded
}
