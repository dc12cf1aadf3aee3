package chatsdk

import (
	"math"
	"time"

	"chatsdk/abi"
)

// Account is an identity of this device's owner.
type Account struct {
	ID string
	// IdentityKey is Ed25519, 32 bytes.
	IdentityKey []byte
	// DeliveryAddress is the content topic on which the account receives.
	DeliveryAddress string
	CreatedAt       time.Time
}

// Invite is an invite link we made.
type Invite struct {
	ID        string
	AccountID string
	// Link is the text to share, under 300 characters. Who has it can start a conversation.
	Link      string
	ExpiresAt time.Time
	Reusable  bool
	// AcceptedCount is how many conversations it has started.
	AcceptedCount int
}

// InviteDetails is what a link says before it is accepted.
type InviteDetails struct {
	IdentityKey     []byte
	ExpiresAt       time.Time
	Reusable        bool
	DeliveryAddress string
	ClusterID       int
	ShardCount      int
	// Suite that would be used: 1 X25519; 2 X25519 with ML-KEM-768.
	Suite int
}

// SessionState is the state of a conversation's keys.
type SessionState string

const (
	// SessionAwaitingReply: we wrote; the peer's device has not answered yet.
	SessionAwaitingReply SessionState = "awaitingReply"
	// SessionEstablished: both devices hold the session.
	SessionEstablished SessionState = "established"
	// SessionLost: our keys are from an old copy; repair the conversation.
	SessionLost SessionState = "lost"
	// SessionRepairSent: we asked for a repair and wait for the peer's consent.
	SessionRepairSent SessionState = "repairSent"
	// SessionRepairRequested: the peer asks for a repair and waits for ours.
	SessionRepairRequested SessionState = "repairRequested"
)

// Conversation is a conversation with one other participant.
type Conversation struct {
	// ID is the same on both sides.
	ID        string
	AccountID string
	// PeerIdentityKey is Ed25519, 32 bytes.
	PeerIdentityKey []byte
	CreatedAt       time.Time
	LastActivityAt  time.Time
	// Suite is 1 for X25519, 2 for X25519 with ML-KEM-768.
	Suite   int
	Session SessionState
	// Verified: the application noted that the safety numbers were compared.
	Verified bool
	// Initiator: we accepted the peer's link.
	Initiator bool
}

// DeliveryStatus is how far a message of ours has come.
type DeliveryStatus string

const (
	// StatusQueued: stored here.
	StatusQueued DeliveryStatus = "queued"
	// StatusSent: a node took it.
	StatusSent DeliveryStatus = "sent"
	// StatusDelivered: the recipient's device has it.
	StatusDelivered DeliveryStatus = "delivered"
	// StatusRead: so says its user's application.
	StatusRead DeliveryStatus = "read"
	// StatusFailed: given up; the failure reason says why.
	StatusFailed DeliveryStatus = "failed"
)

// FailureReason is why a message was given up.
type FailureReason string

const (
	// FailureExpired: no acknowledgement within the time to live.
	FailureExpired FailureReason = "expired"
	// FailureCancelled: taken back by the application.
	FailureCancelled FailureReason = "cancelled"
	// FailureSessionReplaced: the session was lost or replaced before delivery.
	FailureSessionReplaced FailureReason = "sessionReplaced"
)

// Message is a message of a conversation. [ContentType.Read] gives its value.
type Message struct {
	// ID is unique in its conversation, the same on both sides.
	ID             string
	ConversationID string
	// Outgoing: ours.
	Outgoing bool
	// SentAt is by the sender's clock, StoredAt by ours.
	SentAt   time.Time
	StoredAt time.Time
	// Lamport orders messages within the conversation; ties break by id.
	Lamport uint64
	// Sequence is the position in its sender's stream, from 1.
	Sequence int
	Content  Content
	// Text to show, of the basic types that have one.
	Text string
	// RefersTo is the message that a reply or a reaction refers to.
	RefersTo string
	// Status of an outgoing message; empty for an incoming one.
	Status DeliveryStatus
	// FailureReason of a failed message.
	FailureReason FailureReason
}

// Position is the message's place, to go on from: Page.Before.
func (m Message) Position() Position { return Position{Lamport: m.Lamport, MessageID: m.ID} }

// Quota says how much may still be published under a rate limit.
type Quota struct {
	// Limited: false if there is no limit, and the rest says nothing.
	Limited bool
	// Limit is the number of publications in an epoch.
	Limit int
	// Remaining are left for messages. Acknowledgements and repairs may use a fifth of an epoch each (rounded up).
	Remaining int
	// RenewsAt is when the next epoch begins.
	RenewsAt time.Time
	// Waiting counts messages, or parts of large ones, that no node has been offered yet.
	Waiting int
}

var sessionStates = map[abi.SessionState]SessionState{
	abi.SessionState_SESSION_STATE_UNSPECIFIED: SessionAwaitingReply,
	abi.SessionState_AWAITING_REPLY:            SessionAwaitingReply,
	abi.SessionState_ESTABLISHED:               SessionEstablished,
	abi.SessionState_LOST:                      SessionLost,
	abi.SessionState_REPAIR_SENT:               SessionRepairSent,
	abi.SessionState_REPAIR_REQUESTED:          SessionRepairRequested,
}

var statuses = map[abi.DeliveryStatus]DeliveryStatus{
	abi.DeliveryStatus_QUEUED:    StatusQueued,
	abi.DeliveryStatus_SENT:      StatusSent,
	abi.DeliveryStatus_DELIVERED: StatusDelivered,
	abi.DeliveryStatus_READ:      StatusRead,
	abi.DeliveryStatus_FAILED:    StatusFailed,
}

var failureReasons = map[abi.FailureReason]FailureReason{
	abi.FailureReason_EXPIRED:          FailureExpired,
	abi.FailureReason_CANCELLED:        FailureCancelled,
	abi.FailureReason_SESSION_REPLACED: FailureSessionReplaced,
}

// timeOf: a peer's clock may say anything.
func timeOf(unixMs uint64) time.Time { return time.UnixMilli(int64(min(unixMs, math.MaxInt64))) }

func accountOf(account *abi.Account) Account {
	return Account{
		ID: account.GetAccountId(), IdentityKey: account.GetIdentityKey(), DeliveryAddress: account.GetDeliveryAddress(),
		CreatedAt: timeOf(account.GetCreatedMs()),
	}
}

func inviteOf(invite *abi.Invite) Invite {
	return Invite{
		ID: invite.GetInviteId(), AccountID: invite.GetAccountId(), Link: invite.GetLink(), ExpiresAt: timeOf(invite.GetExpiresMs()),
		Reusable: invite.GetReusable(), AcceptedCount: int(invite.GetAcceptedCount()),
	}
}

func inviteDetailsOf(details *abi.InviteDetails) InviteDetails {
	return InviteDetails{
		IdentityKey: details.GetIdentityKey(), ExpiresAt: timeOf(details.GetExpiresMs()), Reusable: details.GetReusable(),
		DeliveryAddress: details.GetDeliveryAddress(), ClusterID: int(details.GetClusterId()), ShardCount: int(details.GetShardCount()),
		Suite: int(details.GetSuite()),
	}
}

func conversationOf(conversation *abi.Conversation) Conversation {
	return Conversation{
		ID: conversation.GetConversationId(), AccountID: conversation.GetAccountId(), PeerIdentityKey: conversation.GetPeerIdentityKey(),
		CreatedAt: timeOf(conversation.GetCreatedMs()), LastActivityAt: timeOf(conversation.GetLastActivityMs()),
		Suite: int(conversation.GetSuite()), Session: sessionStates[conversation.GetSessionState()],
		Verified: conversation.GetVerified(), Initiator: conversation.GetInitiator(),
	}
}

func messageOf(message *abi.Message) Message {
	return Message{
		ID: message.GetMessageId(), ConversationID: message.GetConversationId(), Outgoing: message.GetOutgoing(),
		SentAt: timeOf(message.GetTimestampMs()), StoredAt: timeOf(message.GetStoredMs()), Lamport: message.GetLamport(),
		Sequence: int(message.GetSequence()),
		Content: Content{
			Domain: message.GetDomain(), Tag: message.GetTag(), Version: message.GetVersion(), Payload: message.GetPayload(),
		},
		Text: message.GetText(), RefersTo: message.GetRefersTo(),
		Status: statuses[message.GetStatus()], FailureReason: failureReasons[message.GetFailureReason()],
	}
}

func each[In, Out any](items []In, convert func(In) Out) []Out {
	converted := make([]Out, len(items))
	for i, item := range items {
		converted[i] = convert(item)
	}
	return converted
}
