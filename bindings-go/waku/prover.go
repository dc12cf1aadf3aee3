package waku

import "context"

// Prover makes the proofs that a network with Rate Limiting Nullifiers (RLN) demands. chatsdk/waku/rln has one.
type Prover interface {
	// Prove makes the value of WakuMessage's rate_limit_proof. It is asked for one proof at a time and, by the core, never twice for one message
	// id of an epoch: two proofs with one id reveal the member's secret. If the epoch is not the timestamp's it fails without making a proof. Its
	// error must hold no secret.
	Prove(ctx context.Context, request ProofRequest) ([]byte, error)
}

// ProofRequest is the message to prove the right to publish for, and the slot that is that right.
type ProofRequest struct {
	// Topic is the content topic.
	Topic   string
	Payload []byte
	// TimestampNs is the message's timestamp, Unix time in nanoseconds.
	TimestampNs int64
	// Epoch is Unix time in seconds, divided by the length of an epoch.
	Epoch uint64
	// MessageID counts from 0, below the member's limit.
	MessageID uint32
}
