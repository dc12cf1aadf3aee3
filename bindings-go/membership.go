package chatsdk

import (
	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/waku"
)

// Membership is what a client takes part with in a network with Rate Limiting Nullifiers (RLN): the group, and the credentials of one of its members,
// with which it proves the right to publish a number of messages in each epoch. chatsdk/waku/rln has one. It serves one client.
//
// Two clients must never use the same credentials: together they would use the right to publish one message for two, which reveals the secret.
type Membership interface {
	waku.Prover
	// RateLimit is asked for before the database is opened: the length of an epoch, and, if credentials were given, these and how many messages they
	// allow. Without, the database has both. The client wipes the credentials in what it returns.
	RateLimit() *abi.RateLimit
	// Open gets the credentials that were given or, if none were, those kept in the database, before the network is entered. It fails with
	// INVALID_ARGUMENT, naming rln.credentials, if there are none or they are not of this group. It must not keep the slice, which the client wipes.
	Open(credentials []byte) error
	// Close wipes the secrets. It comes once, after the last proof, whether or not Open was called.
	Close() error
}

// checkRLN refuses settings that a membership makes.
func (o Options) checkRLN() error {
	switch {
	case o.RLN == nil:
		return nil
	case o.Protocol.GetRateLimit() != nil:
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln: Protocol.RateLimit was given as well; leave it out: the membership says what the limit is")
	case o.Waku.Prover != nil:
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln: Waku.Prover was given as well; leave it out: the membership makes the proofs")
	}
	return nil
}

// openMembership hands over, and wipes, what the core kept.
func (c *Client) openMembership(credentials []byte) error {
	defer clear(credentials)
	if c.options.RLN == nil {
		return nil
	}
	return c.options.RLN.Open(credentials)
}
