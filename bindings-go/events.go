package chatsdk

import (
	"context"
	"iter"
	"time"

	"chatsdk/abi"
)

// Event is something the application should know: one of the types below.
type Event interface {
	// EventNumber grows by one with every event of the database. An event is stored until the loop that received it asks for the next one; after a
	// crash it comes again with the same number. 0: of the moment only.
	EventNumber() uint64
}

// Number is an event's number.
type Number uint64

// EventNumber returns it.
func (n Number) EventNumber() uint64 { return uint64(n) }

// ConversationStarted says that a conversation exists now.
type ConversationStarted struct {
	Number
	AccountID    string
	Conversation Conversation
	// InviteID is the invite of ours that was accepted, if any.
	InviteID string
}

// MessageReceived is a message of the peer.
type MessageReceived struct {
	Number
	AccountID string
	Message   Message
	// Recovered: it had been reported missing.
	Recovered bool
}

// MessageStatusChanged says that a message of ours got further.
type MessageStatusChanged struct {
	Number
	AccountID      string
	ConversationID string
	MessageID      string
	// Status; for StatusRead: of this message and all before it.
	Status        DeliveryStatus
	FailureReason FailureReason
}

// MessagesMissing says that messages of the peer exist and have not arrived; recovery goes on.
type MessagesMissing struct {
	Number
	AccountID      string
	ConversationID string
	MessageIDs     []string
}

// MessagesLost says that recovery ended without them.
type MessagesLost struct {
	Number
	AccountID      string
	ConversationID string
	MessageIDs     []string
}

// InviteReused says that somebody used a single-use link that was used before.
type InviteReused struct {
	Number
	AccountID string
	InviteID  string
}

// SessionStateChanged says that the state of a session changed.
type SessionStateChanged struct {
	Number
	AccountID      string
	ConversationID string
	Session        SessionState
}

// QuotaChanged says that the rate limit holds messages back, or does no longer.
type QuotaChanged struct {
	Number
	// Exhausted: messages wait for the next epoch. False: none waits any more, the last are on their way.
	Exhausted bool
	// RenewsAt is when the next epoch begins.
	RenewsAt time.Time
}

// ConnectionChanged says that the transport gained or lost its connection. Its number is 0: it is never stored.
type ConnectionChanged struct {
	Number
	Online bool
}

// Events are what happens, in order, from the first event the application has not dealt with. An event counts as dealt with when the loop asks for
// the next one. Several loops may run; each sees every event from its start on. A loop ends when the client closes; if ctx ends first, its last turn
// has ErrAborted.
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return c.feed.read(ctx)
}

func (c *Client) onEvent(data *abi.Event) {
	if event := eventOf(data); event != nil {
		c.feed.push(event)
	}
}

func (c *Client) onConnection(online bool) {
	c.online.Store(online)
	c.feed.push(ConnectionChanged{Online: online})
}

// acknowledge has the core forget all events up to this number.
func (c *Client) acknowledge(number uint64) {
	c.engine.Feed(&abi.Input{Input: &abi.Input_AcknowledgeEvents{AcknowledgeEvents: &abi.AcknowledgeEventsRequest{EventNumber: number}}})
}

// eventOf is nil for an event of a kind this version does not know.
func eventOf(data *abi.Event) Event {
	number, accountID, conversationID := Number(data.GetEventNumber()), data.GetAccountId(), data.GetConversationId()
	switch event := data.GetEvent().(type) {
	case *abi.Event_ConversationStarted:
		started := event.ConversationStarted
		return ConversationStarted{number, accountID, conversationOf(started.GetConversation()), started.GetInviteId()}
	case *abi.Event_MessageReceived:
		received := event.MessageReceived
		return MessageReceived{number, accountID, messageOf(received.GetMessage()), received.GetRecovered()}
	case *abi.Event_MessageStatusChanged:
		changed := event.MessageStatusChanged
		return MessageStatusChanged{
			number, accountID, conversationID, changed.GetMessageId(), statuses[changed.GetStatus()], failureReasons[changed.GetFailureReason()],
		}
	case *abi.Event_MessagesMissing:
		return MessagesMissing{number, accountID, conversationID, event.MessagesMissing.GetMessageIds()}
	case *abi.Event_MessagesLost:
		return MessagesLost{number, accountID, conversationID, event.MessagesLost.GetMessageIds()}
	case *abi.Event_InviteReused:
		return InviteReused{number, accountID, event.InviteReused.GetInviteId()}
	case *abi.Event_SessionStateChanged:
		return SessionStateChanged{number, accountID, conversationID, sessionStates[event.SessionStateChanged.GetSessionState()]}
	case *abi.Event_QuotaChanged:
		return QuotaChanged{number, event.QuotaChanged.GetExhausted(), timeOf(event.QuotaChanged.GetRenewsMs())}
	}
	return nil
}
