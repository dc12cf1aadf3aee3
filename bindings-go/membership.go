package chatsdk

import (
	"errors"
	"io/fs"
	"os"

	"chatsdk/abi"
	"chatsdk/internal/absent"
	"chatsdk/internal/fault"
	"chatsdk/waku"
)

// Membership is what a client takes part with in a network with Rate Limiting Nullifiers (RLN): the group, and the credentials of one of its members,
// with which it proves the right to publish a number of messages in each epoch. chatsdk/waku/rln has one. It serves one client.
//
// Two clients must never use the same credentials: together they would use the right to publish one message for two, which reveals the secret.
type Membership interface {
	waku.Prover
	// RateLimit takes the membership over for a client, before anything is opened. It gives the length of an epoch, and, if credentials were given,
	// these and how many messages they allow. Without, the database has both. The client wipes the credentials in what it gets. A second call fails with
	// INVALID_ARGUMENT, or with CLOSED after Close: whoever makes it must leave the membership alone, which is another's.
	RateLimit() (*abi.RateLimit, error)
	// Open gets the credentials that were given, before the database is opened, or, if none were, those kept in the database, before the network is
	// entered. It fails with INVALID_ARGUMENT, naming rln.credentials, if there are none or they are not of this group. It must not keep the slice,
	// which the client wipes.
	Open(credentials []byte) error
	// Close wipes the secrets. It comes once, after the last proof, whether or not Open was called, from the client that RateLimit gave it to.
	Close() error
}

// takeRLN makes the membership this client's. If it fails the membership is not, and must not be closed.
func (o *Options) takeRLN() error {
	if o.RLN == nil {
		return nil
	}
	var err error
	if absent.Is(o.RLN) {
		err = fault.New(abi.ErrorCode_INVALID_ARGUMENT, "RLN: a %T that is nil; give the one that rln.NewMembership made, or leave RLN out", o.RLN)
	} else {
		o.rateLimit, err = o.RLN.RateLimit()
	}
	if err != nil {
		o.RLN = nil
	}
	return err
}

// checkRLN refuses settings that a membership makes.
func (o Options) checkRLN() error {
	switch {
	case o.RLN == nil:
		return nil
	case o.Protocol.GetRateLimit() != nil:
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "RLN: Protocol.RateLimit was given as well; leave it out: the membership says what the limit is")
	case o.Waku.Prover != nil:
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "RLN: Waku.Prover was given as well; leave it out: the membership makes the proofs")
	}
	return nil
}

// openGiven opens the membership with the credentials that were given. It comes before a database is made, which would be bound to its key.
func (o Options) openGiven() error {
	switch credentials := o.rateLimit.GetCredentials(); {
	case o.RLN == nil:
		return nil
	case len(credentials) > 0:
		return o.RLN.Open(credentials)
	case o.Storage != nil || o.Path == "":
		return nil
	}
	if _, err := os.Stat(o.Path); errors.Is(err, fs.ErrNotExist) {
		return noCredentials("there is no database at " + o.Path + " yet")
	}
	return nil
}

// openKept opens it with those in the database, if none were given, and wipes them in any case.
func (c *Client) openKept(credentials []byte) error {
	defer clear(credentials)
	switch {
	case c.options.RLN == nil || len(c.options.rateLimit.GetCredentials()) > 0:
		return nil
	case len(credentials) == 0:
		return noCredentials("the database has none")
	}
	return c.options.RLN.Open(credentials)
}

func noCredentials(why string) error {
	return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln.credentials: missing, and %s; give the content of member-N.json at the first start", why)
}
