package chatsdk

import (
	"cmp"
	"context"
	"slices"

	"chatsdk/abi"
	"chatsdk/internal/changes"
	"chatsdk/internal/fault"
	"chatsdk/internal/parts"
	"chatsdk/internal/search"
)

const (
	defaultLimit = 50
	searchBatch  = 500
)

// Position is a message's place in the order of messages: [Message.Position].
type Position struct {
	// Lamport time orders messages; the id breaks ties.
	Lamport   uint64
	MessageID string
}

// Page says which part of a list: newest first.
type Page struct {
	// Before: only older ones than this. nil: from the newest.
	Before *Position
	// Limit is from 1 to 1,000; default 50.
	Limit int
}

// Send (F2) sends a message. It returns once the message is stored and encrypted; events tell how far it gets. It fails with SESSION_LOST,
// OUTBOX_FULL (retryable), CONTENT_TOO_LARGE.
func (c *Client) Send(ctx context.Context, conversationID string, content Sendable) (Message, error) {
	encoded, err := contentOf(content)
	if err != nil {
		return Message{}, err
	}
	sent, err := c.chat.SendMessage(ctx, &abi.SendMessageRequest{ConversationId: conversationID, Content: encoded})
	if err != nil {
		return Message{}, err
	}
	return messageOf(sent.GetMessage()), nil
}

// Cancel gives up a message that is not delivered yet. It may arrive all the same if it is already under way.
func (c *Client) Cancel(ctx context.Context, conversationID, messageID string) error {
	_, err := c.chat.CancelMessage(ctx, &abi.CancelMessageRequest{ConversationId: conversationID, MessageId: messageID})
	return err
}

// MarkRead marks everything up to a message of the peer as read, and tells the peer so, unless 1,000 messages wait for delivery.
// It fails with CONVERSATION_NOT_FOUND and MESSAGE_NOT_FOUND.
func (c *Client) MarkRead(ctx context.Context, conversationID, messageID string) error {
	return c.markRead(ctx, conversationID, messageID, true)
}

// MarkReadSilently does not tell the peer.
func (c *Client) MarkReadSilently(ctx context.Context, conversationID, messageID string) error {
	return c.markRead(ctx, conversationID, messageID, false)
}

func (c *Client) markRead(ctx context.Context, conversationID, messageID string, receipt bool) error {
	// The core knows no messages.
	if _, err := c.Conversation(ctx, conversationID); err != nil {
		return err
	}
	if _, err := c.Message(ctx, conversationID, messageID); err != nil {
		return err
	}
	_, err := c.chat.MarkRead(ctx, &abi.MarkReadRequest{ConversationId: conversationID, MessageId: messageID, SendReceipt: receipt})
	return err
}

// Messages (F6) is a page of a conversation, newest first.
func (c *Client) Messages(ctx context.Context, conversationID string, page Page) ([]Message, error) {
	if err := fault.OfContext(ctx); err != nil {
		return nil, err
	}
	limit, err := page.limit()
	if err != nil {
		return nil, err
	}
	rows, err := c.options.Storage.ListMessages(ctx, &abi.ListMessagesRequest{
		ConversationId: conversationID, Before: page.before(), Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	return c.openMessages(ctx, rows)
}

// Message is one of them. It fails with MESSAGE_NOT_FOUND.
func (c *Client) Message(ctx context.Context, conversationID, messageID string) (Message, error) {
	if err := fault.OfContext(ctx); err != nil {
		return Message{}, err
	}
	rows, err := c.options.Storage.GetMessage(ctx, &abi.GetMessageRequest{ConversationId: conversationID, MessageId: messageID})
	if err != nil {
		return Message{}, err
	}
	found, err := c.openMessages(ctx, rows)
	if err != nil {
		return Message{}, err
	}
	if len(found) == 0 {
		return Message{}, fault.New(abi.ErrorCode_MESSAGE_NOT_FOUND,
			"messageID: no message %s; page through the conversation", fault.Quoted(messageID))
	}
	return found[0], nil
}

// UnreadCount counts incoming messages not marked read; reactions do not count.
func (c *Client) UnreadCount(ctx context.Context, conversationID string) (int, error) {
	if err := fault.OfContext(ctx); err != nil {
		return 0, err
	}
	count, err := c.options.Storage.CountUnread(ctx, &abi.CountUnreadRequest{ConversationId: conversationID})
	return int(count.GetUnread()), err
}

// Search finds messages with every word of query (the last may be a beginning), newest first; case and Latin accents do not count. An empty
// conversationID searches all conversations. In a protected database all messages are decrypted one after the other.
func (c *Client) Search(ctx context.Context, query, conversationID string, page Page) ([]Message, error) {
	if err := fault.OfContext(ctx); err != nil {
		return nil, err
	}
	limit, err := page.limit()
	if err != nil {
		return nil, err
	}
	if !c.engine.SealsMessages() {
		rows, err := c.options.Storage.SearchMessages(ctx, &abi.SearchMessagesRequest{
			Query: query, ConversationId: conversationID, Before: page.before(), Limit: limit,
		})
		if err != nil {
			return nil, err
		}
		return c.openMessages(ctx, rows)
	}
	conversationIDs := []string{conversationID}
	if conversationID == "" {
		batch, err := c.options.Storage.ListConversations(ctx, &abi.ListConversationsRequest{})
		if err != nil {
			return nil, err
		}
		conversationIDs = each(batch.GetConversations(), (*abi.Conversation).GetConversationId)
	}
	var found []Message
	for _, id := range conversationIDs {
		some, err := c.scan(ctx, id, search.QueryWords(query), page.Before, int(limit))
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b Message) int {
		return cmp.Or(cmp.Compare(b.Lamport, a.Lamport), cmp.Compare(b.ID, a.ID))
	})
	return found[:min(len(found), int(limit))], nil
}

// scan opens the messages of one conversation, newest first, until enough of them have the words.
func (c *Client) scan(ctx context.Context, conversationID string, words []string, before *Position, limit int) ([]Message, error) {
	var found []Message
	for len(words) > 0 {
		page, err := c.Messages(ctx, conversationID, Page{Before: before, Limit: searchBatch})
		if err != nil {
			return nil, err
		}
		for _, message := range page {
			if search.Matches(message.Text, words) {
				found = append(found, message)
			}
			if len(found) == limit {
				return found, nil
			}
		}
		if len(page) < searchBatch {
			break
		}
		last := page[len(page)-1].Position()
		before = &last
	}
	return found, nil
}

func (c *Client) openMessages(ctx context.Context, rows *abi.MessageRows) ([]Message, error) {
	messages := each(rows.GetRows(), (*abi.MessageRow).GetMessage)
	if !c.engine.SealsMessages() {
		return each(messages, messageOf), nil
	}
	opened := make([]Message, 0, len(messages))
	for len(messages) > 0 {
		part := parts.First(messages, len(messages))
		batch, err := c.engine.OpenMessages(ctx, &abi.MessageBatch{Messages: messages[:part]})
		if err != nil {
			return nil, err
		}
		opened = append(opened, each(batch.GetMessages(), messageOf)...)
		messages = messages[part:]
	}
	return opened, nil
}

func (p Page) before() *abi.Position {
	if p.Before == nil {
		return nil
	}
	return &abi.Position{Lamport: p.Before.Lamport, MessageId: p.Before.MessageID}
}

func (p Page) limit() (uint32, error) {
	limit := cmp.Or(p.Limit, defaultLimit)
	if limit < 1 || limit > changes.LargestLimit {
		return 0, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "Limit: %d, must be from 1 to %d", limit, changes.LargestLimit)
	}
	return uint32(limit), nil
}
