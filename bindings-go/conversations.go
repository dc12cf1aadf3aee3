package chatsdk

import (
	"context"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// Conversations lists the conversations of an account, or of all if accountID is empty, the latest activity first.
func (c *Client) Conversations(ctx context.Context, accountID string) ([]Conversation, error) {
	if err := fault.OfContext(ctx); err != nil {
		return nil, err
	}
	batch, err := c.options.Storage.ListConversations(ctx, &abi.ListConversationsRequest{AccountId: accountID})
	if err != nil {
		return nil, err
	}
	return c.openConversations(ctx, batch)
}

// Conversation is one of them. It fails with CONVERSATION_NOT_FOUND.
func (c *Client) Conversation(ctx context.Context, conversationID string) (Conversation, error) {
	if err := fault.OfContext(ctx); err != nil {
		return Conversation{}, err
	}
	batch, err := c.options.Storage.GetConversation(ctx, &abi.GetConversationRequest{ConversationId: conversationID})
	if err != nil {
		return Conversation{}, err
	}
	found, err := c.openConversations(ctx, batch)
	if err != nil {
		return Conversation{}, err
	}
	if len(found) == 0 {
		return Conversation{}, fault.New(abi.ErrorCode_CONVERSATION_NOT_FOUND,
			"conversationID: no conversation %s; list the conversations", fault.Quoted(conversationID))
	}
	return found[0], nil
}

func (c *Client) openConversations(ctx context.Context, batch *abi.ConversationBatch) ([]Conversation, error) {
	if c.engine.SealsMessages() && len(batch.GetConversations()) > 0 {
		opened, err := c.engine.OpenConversations(ctx, batch)
		if err != nil {
			return nil, err
		}
		batch = opened
	}
	return each(batch.GetConversations(), conversationOf), nil
}

// DeleteConversation deletes keys and messages from this device. The peer is not told.
func (c *Client) DeleteConversation(ctx context.Context, conversationID string) error {
	_, err := c.chat.DeleteConversation(ctx, &abi.DeleteConversationRequest{ConversationId: conversationID})
	return err
}

// SafetyNumber is sixty digits that both sides compare to know that nobody sits between them.
func (c *Client) SafetyNumber(ctx context.Context, conversationID string) (string, error) {
	number, err := c.chat.GetSafetyNumber(ctx, &abi.GetSafetyNumberRequest{ConversationId: conversationID})
	return number.GetDigits(), err
}

// SetVerified notes that the safety numbers were compared, or takes it back.
func (c *Client) SetVerified(ctx context.Context, conversationID string, verified bool) error {
	_, err := c.chat.SetVerified(ctx, &abi.SetVerifiedRequest{ConversationId: conversationID, Verified: verified})
	return err
}

// RepairConversation asks the peer for new keys after ours were lost. Once a day at most (REPAIR_TOO_SOON).
func (c *Client) RepairConversation(ctx context.Context, conversationID string) error {
	_, err := c.chat.RepairConversation(ctx, &abi.RepairConversationRequest{ConversationId: conversationID})
	return err
}

// AcceptRepair agrees to a repair the peer asked for: ask your user first. The verification is taken back.
func (c *Client) AcceptRepair(ctx context.Context, conversationID string) error {
	_, err := c.chat.AcceptRepair(ctx, &abi.AcceptRepairRequest{ConversationId: conversationID})
	return err
}
