package chatsdk

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/engine"
	"chatsdk/internal/fault"
	"chatsdk/keys"
)

// Client is a chat client: accounts, invites, conversations and messages of one database, connected to a Waku network. It is safe for concurrent
// use.
type Client struct {
	options Options
	engine  *engine.Engine
	chat    *abi.Chat
	feed    *feed
	online  atomic.Bool
	// making: two callers of DefaultAccount make one account.
	making sync.Mutex

	closing sync.Once
	closed  error
}

func newClient(options Options) *Client {
	client := &Client{options: options}
	client.feed = newFeed(client.acknowledge)
	return client
}

// Close finishes what is under way, disconnects and closes the database. A second call waits for the first and returns the same.
func (c *Client) Close() error {
	c.closing.Do(func() {
		c.feed.close()
		if c.engine != nil {
			c.engine.Close()
		}
		// Nothing tells of the connection any more.
		c.online.Store(false)
		c.closed = release(context.Background(), c.options)
	})
	return c.closed
}

// Online tells whether at least one service node is connected; false after Close.
func (c *Client) Online() bool { return c.online.Load() }

// Stats of a client.
type Stats struct {
	// Online: as [Client.Online].
	Online bool
	// ModuleBytes is the memory of the protocol core's instance, at most 256 MiB.
	ModuleBytes uint64
}

// Stats says how the client is.
func (c *Client) Stats() Stats {
	return Stats{Online: c.Online(), ModuleBytes: c.engine.MemoryBytes()}
}

// ChangeStorageKey changes what opens the database, such as its passphrase. Keys and messages are not written again: who knows the old key and has
// an old copy of the file can still read that copy. It fails with WRONG_KEY if oldKey does not open it, INVALID_ARGUMENT if one of the keys is
// [keys.Unprotected]: messages keep the protection they were written with.
func (c *Client) ChangeStorageKey(ctx context.Context, oldKey, newKey keys.Key) error {
	if err := fault.OfContext(ctx); err != nil {
		return err
	}
	const refused = "%s: protection cannot be added or taken away; make a new database"
	switch {
	case oldKey.IsUnprotected():
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, refused, "oldKey")
	case newKey.IsUnprotected():
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, refused, "newKey")
	}
	stored, err := c.options.Storage.GetHeader(ctx)
	if err != nil {
		return err
	}
	derivation, err := newKey.NewDerivation(ctx)
	if err != nil {
		return namedKey(err, "newKey")
	}
	oldHostKey, err := oldKey.Derive(ctx, stored.GetHeader().GetDerivation())
	if err != nil {
		return namedKey(err, "oldKey")
	}
	defer clear(oldHostKey)
	newHostKey, err := newKey.Derive(ctx, derivation)
	if err != nil {
		return namedKey(err, "newKey")
	}
	if err := c.engine.Rekey(ctx, oldHostKey, derivation, newHostKey); err != nil {
		clear(newHostKey)
		return namedKey(err, "oldKey")
	}
	return nil
}

// Quota says how much may still be published, if the protocol's settings have a rate limit.
func (c *Client) Quota(ctx context.Context) (Quota, error) {
	quota, err := c.chat.GetQuota(ctx, &abi.GetQuotaRequest{})
	if err != nil {
		return Quota{}, err
	}
	return Quota{
		Limited: quota.GetLimited(), Limit: int(quota.GetLimit()), Remaining: int(quota.GetRemaining()),
		RenewsAt: timeOf(quota.GetRenewsMs()), Waiting: int(quota.GetWaiting()),
	}, nil
}

// Accounts.

// CreateAccount (F1) makes an identity. Nothing is registered anywhere.
func (c *Client) CreateAccount(ctx context.Context) (Account, error) {
	account, err := c.chat.CreateAccount(ctx, &abi.CreateAccountRequest{})
	if err != nil {
		return Account{}, err
	}
	return accountOf(account), nil
}

// Accounts lists the accounts, oldest first.
func (c *Client) Accounts(ctx context.Context) ([]Account, error) {
	list, err := c.chat.ListAccounts(ctx, &abi.ListAccountsRequest{})
	if err != nil {
		return nil, err
	}
	return each(list.GetAccounts(), accountOf), nil
}

// DefaultAccount is the oldest account; made now if there is none.
func (c *Client) DefaultAccount(ctx context.Context) (Account, error) {
	c.making.Lock()
	defer c.making.Unlock()
	accounts, err := c.Accounts(ctx)
	if err != nil {
		return Account{}, err
	}
	if len(accounts) > 0 {
		return accounts[0], nil
	}
	return c.CreateAccount(ctx)
}

// DeleteAccount deletes an account with its conversations, messages and invites from this device.
func (c *Client) DeleteAccount(ctx context.Context, accountID string) error {
	_, err := c.chat.DeleteAccount(ctx, &abi.DeleteAccountRequest{AccountId: accountID})
	return err
}

// Invites.

// InviteOptions of [Client.CreateInvite].
type InviteOptions struct {
	// ValidFor is how long the link can be accepted; default seven days, at most a year.
	ValidFor time.Duration
	// Reusable: several people may accept it. Messages sent before our first answer are then readable by whoever steals the link's secret before it
	// expires. Default: the first one only.
	Reusable bool
}

// CreateInvite (U2) makes a link to share out of band.
func (c *Client) CreateInvite(ctx context.Context, accountID string, options InviteOptions) (Invite, error) {
	if options.ValidFor < 0 || options.ValidFor > 0 && options.ValidFor < time.Millisecond {
		return Invite{}, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "ValidFor: %v; give at least a millisecond", options.ValidFor)
	}
	invite, err := c.chat.CreateInvite(ctx, &abi.CreateInviteRequest{
		AccountId: accountID, ValidForMs: uint64(options.ValidFor.Milliseconds()), Reusable: options.Reusable,
	})
	if err != nil {
		return Invite{}, err
	}
	return inviteOf(invite), nil
}

// Invites lists the invites that can still be accepted, oldest first.
func (c *Client) Invites(ctx context.Context, accountID string) ([]Invite, error) {
	list, err := c.chat.ListInvites(ctx, &abi.ListInvitesRequest{AccountId: accountID})
	if err != nil {
		return nil, err
	}
	return each(list.GetInvites(), inviteOf), nil
}

// RevokeInvite makes an invite unusable.
func (c *Client) RevokeInvite(ctx context.Context, inviteID string) error {
	_, err := c.chat.RevokeInvite(ctx, &abi.RevokeInviteRequest{InviteId: inviteID})
	return err
}

// InspectInvite reads a link without accepting it. It fails with INVALID_INVITE, INVITE_EXPIRED, INVITE_WRONG_NETWORK, UNSUPPORTED_SUITE.
func (c *Client) InspectInvite(ctx context.Context, link string) (InviteDetails, error) {
	details, err := c.chat.InspectInvite(ctx, &abi.InspectInviteRequest{Link: link})
	if err != nil {
		return InviteDetails{}, err
	}
	return inviteDetailsOf(details), nil
}

// AcceptInvite (U1) starts a conversation with the link's author, who need not be online, by a first message. It fails as InspectInvite, and
// with INVITE_ALREADY_ACCEPTED, INVITE_OWN, CONTENT_TOO_LARGE.
func (c *Client) AcceptInvite(ctx context.Context, accountID, link string, content Sendable) (Conversation, error) {
	encoded, err := contentOf(content)
	if err != nil {
		return Conversation{}, err
	}
	sent, err := c.chat.AcceptInvite(ctx, &abi.AcceptInviteRequest{AccountId: accountID, Link: link, Content: encoded})
	if err != nil {
		return Conversation{}, err
	}
	return conversationOf(sent.GetConversation()), nil
}
