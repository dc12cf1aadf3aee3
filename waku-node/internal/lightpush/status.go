package lightpush

import "waku-node/internal/unary"

// Status is a status code of light push version 3.
type Status uint32

// The codes of 19/WAKU2-LIGHTPUSH. 504 (OUT_OF_RLN_PROOF) is not among them: this node makes no RLN
// proofs for its clients.
const (
	Success          Status = 200
	BadRequest       Status = 400
	PayloadTooLarge  Status = 413
	InvalidMessage   Status = 420
	UnsupportedTopic Status = 421
	TooManyRequests  Status = 429
	InternalError    Status = 500
	Unavailable      Status = 503
	NoPeers          Status = 505
)

// statusOf is the code for a request that did not reach the Publisher.
func statusOf(why unary.Refusal) Status {
	switch why {
	case unary.TooLarge:
		return PayloadTooLarge
	case unary.RateLimited:
		return TooManyRequests
	default:
		return BadRequest
	}
}

// maxRequestSize is above the largest valid message, so that one that is somewhat too large is
// answered with its own request id.
const maxRequestSize = 1 << 20
