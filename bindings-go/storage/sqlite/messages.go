package sqlite

import (
	"errors"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"chatsdk/abi"
	"chatsdk/internal/changes"
	"chatsdk/internal/search"
)

const newestFirst = " ORDER BY lamport DESC, message_id DESC LIMIT ?"

// messages is the tables conversations and messages. Its methods run inside use or transaction.
type messages struct {
	connection *connection
}

func (m messages) conversations(accountID string) ([]*abi.Conversation, error) {
	const latestFirst = " ORDER BY last_activity_ms DESC, conversation_id"
	if accountID == "" {
		return m.selectConversations(selectConversation + latestFirst)
	}
	return m.selectConversations(selectConversation+" WHERE account_id = ?"+latestFirst, accountID)
}

func (m messages) conversation(conversationID string) ([]*abi.Conversation, error) {
	return m.selectConversations(selectConversation+" WHERE conversation_id = ?", conversationID)
}

func (m messages) message(conversationID, messageID string) ([]*abi.MessageRow, error) {
	return m.selectMessages(selectMessage+" WHERE conversation_id = ? AND message_id = ?", conversationID, messageID)
}

func (m messages) page(conversationID string, before *abi.Position, limit uint32) ([]*abi.MessageRow, error) {
	older, values := olderThan(before)
	values = append(append([]any{conversationID}, values...), int64(limit))
	return m.selectMessages(selectMessage+" WHERE conversation_id = ?"+older+newestFirst, values...)
}

func (m messages) countUnread(conversationID string) (unread uint64, err error) {
	err = m.connection.query(
		"SELECT count(*) FROM messages WHERE conversation_id = ? AND outgoing = 0 AND read_by_us = 0 AND (domain <> 0 OR tag IN (1, 2, 5))",
		func(row *sqlite3.Stmt) error {
			unread = unsigned(row.ColumnInt64(0))
			return nil
		}, conversationID)
	return unread, err
}

func (m messages) search(query, conversationID string, before *abi.Position, limit uint32) ([]*abi.MessageRow, error) {
	words := search.QueryWords(query)
	if len(words) == 0 {
		return nil, nil
	}
	sql := selectMessage + " WHERE id IN (SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?)"
	values := []any{matchExpression(words)}
	if conversationID != "" {
		sql += " AND conversation_id = ?"
		values = append(values, conversationID)
	}
	older, olderValues := olderThan(before)
	return m.selectMessages(sql+older+newestFirst, append(append(values, olderValues...), int64(limit))...)
}

// The rest belongs to a transaction of the storage.

func (m messages) put(message *abi.Message) error {
	return m.connection.run(putMessage, messageValues(message)...)
}

func (m messages) setStatus(change *abi.StatusChange) error {
	var id int64
	var from abi.DeliveryStatus
	err := m.connection.query(
		"SELECT id, status FROM messages WHERE conversation_id = ? AND message_id = ? AND outgoing = 1",
		func(row *sqlite3.Stmt) error {
			id, from = row.ColumnInt64(0), enumValue[abi.DeliveryStatus](abi.DeliveryStatus_value, row, 1)
			return nil
		}, change.GetConversationId(), change.GetMessageId())
	if err != nil || id == 0 || !changes.MayBecome(from, change.GetStatus()) {
		return err
	}
	var reason any
	if change.GetStatus() == abi.DeliveryStatus_FAILED {
		reason = enumText(change.GetFailureReason())
	}
	return m.connection.run("UPDATE messages SET status = ?, failure_reason = ? WHERE id = ?", enumText(change.GetStatus()), reason, id)
}

func (m messages) peerRead(change *abi.ReadChange) error {
	return m.connection.run(
		"UPDATE messages SET status = 'read' WHERE conversation_id = ?1 AND outgoing = 1 AND status = 'delivered' AND lamport <= (SELECT lamport FROM messages WHERE conversation_id = ?1 AND message_id = ?2 AND outgoing = 1)",
		change.GetConversationId(), change.GetMessageId())
}

func (m messages) ownRead(change *abi.ReadChange) error {
	return m.connection.run(
		"UPDATE messages SET read_by_us = 1 WHERE conversation_id = ?1 AND outgoing = 0 AND read_by_us = 0 AND lamport <= (SELECT lamport FROM messages WHERE conversation_id = ?1 AND message_id = ?2 AND outgoing = 0)",
		change.GetConversationId(), change.GetMessageId())
}

func (m messages) putConversation(conversation *abi.Conversation) error {
	return m.connection.run(putConversation, conversationValues(conversation)...)
}

func (m messages) deleteConversation(conversationID string) error {
	return errors.Join(
		m.connection.run("DELETE FROM messages WHERE conversation_id = ?", conversationID),
		m.connection.run("DELETE FROM conversations WHERE conversation_id = ?", conversationID))
}

func (m messages) selectMessages(sql string, values ...any) ([]*abi.MessageRow, error) {
	var rows []*abi.MessageRow
	err := m.connection.query(sql, func(row *sqlite3.Stmt) error {
		rows = append(rows, messageFromRow(row))
		return nil
	}, values...)
	return rows, err
}

func (m messages) selectConversations(sql string, values ...any) ([]*abi.Conversation, error) {
	var rows []*abi.Conversation
	err := m.connection.query(sql, func(row *sqlite3.Stmt) error {
		rows = append(rows, conversationFromRow(row))
		return nil
	}, values...)
	return rows, err
}

func olderThan(before *abi.Position) (condition string, values []any) {
	if before == nil {
		return "", nil
	}
	return " AND (lamport, message_id) < (?, ?)", []any{signed(before.GetLamport()), before.GetMessageId()}
}

// matchExpression puts each word in quotes, so that none is an operator of FTS5; the last also matches as the start of a word.
func matchExpression(words []string) string {
	return `"` + strings.Join(words, `" "`) + `" *`
}
