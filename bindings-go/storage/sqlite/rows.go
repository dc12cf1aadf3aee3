package sqlite

import (
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
)

// messageColumns are in the order of messageValues and messageFromRow; read_by_us follows.
var messageColumns = []string{
	"conversation_id", "message_id", "outgoing", "sequence", "lamport", "timestamp_ms", "stored_ms", "domain", "tag", "version",
	"payload", "text", "refers_to", "status", "failure_reason",
}

// conversationColumns are in the order of conversationValues and conversationFromRow.
var conversationColumns = []string{
	"conversation_id", "account_id", "peer_identity_key", "created_ms", "suite", "session_state", "verified", "initiator",
	"last_activity_ms",
}

var (
	// putMessage replaces a message but keeps its row id, which the search index knows, and whether we have read it.
	putMessage = insert("messages", append(messageColumns[:len(messageColumns):len(messageColumns)], "read_by_us")) +
		" ON CONFLICT (conversation_id, message_id) DO UPDATE SET " + fromExcluded(messageColumns[2:])
	selectMessage = "SELECT " + strings.Join(messageColumns, ", ") + ", read_by_us FROM messages"

	putConversation = insert("conversations", conversationColumns) +
		" ON CONFLICT (conversation_id) DO UPDATE SET " + fromExcluded(conversationColumns[1:])
	selectConversation = "SELECT " + strings.Join(conversationColumns, ", ") + " FROM conversations"
)

func insert(table string, columns []string) string {
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + marks + ")"
}

func fromExcluded(columns []string) string {
	assignments := make([]string, len(columns))
	for i, column := range columns {
		assignments[i] = column + " = excluded." + column
	}
	return strings.Join(assignments, ", ")
}

func messageValues(message *abi.Message) []any {
	return []any{
		message.GetConversationId(),
		message.GetMessageId(),
		message.GetOutgoing(),
		int64(message.GetSequence()),
		signed(message.GetLamport()),
		signed(message.GetTimestampMs()),
		signed(message.GetStoredMs()),
		int64(message.GetDomain()),
		int64(message.GetTag()),
		int64(message.GetVersion()),
		message.GetPayload(),
		optional(message.Text),
		optional(message.RefersTo),
		enumText(message.GetStatus()),
		enumText(message.GetFailureReason()),
		// Kept when a message is replaced. Our own messages need no reading.
		message.GetOutgoing(),
	}
}

func messageFromRow(row *sqlite3.Stmt) *abi.MessageRow {
	message := &abi.Message{
		ConversationId: row.ColumnText(0),
		MessageId:      row.ColumnText(1),
		Outgoing:       row.ColumnBool(2),
		Sequence:       uint32(row.ColumnInt64(3)),
		Lamport:        unsigned(row.ColumnInt64(4)),
		TimestampMs:    unsigned(row.ColumnInt64(5)),
		StoredMs:       unsigned(row.ColumnInt64(6)),
		Domain:         uint32(row.ColumnInt64(7)),
		Tag:            uint32(row.ColumnInt64(8)),
		Version:        uint32(row.ColumnInt64(9)),
		Payload:        row.ColumnBlob(10, nil),
		Text:           optionalText(row, 11),
		RefersTo:       optionalText(row, 12),
		Status:         enumValue[abi.DeliveryStatus](abi.DeliveryStatus_value, row, 13),
		FailureReason:  enumValue[abi.FailureReason](abi.FailureReason_value, row, 14),
	}
	return &abi.MessageRow{Message: message, ReadByUs: row.ColumnBool(15)}
}

func conversationValues(conversation *abi.Conversation) []any {
	return []any{
		conversation.GetConversationId(),
		conversation.GetAccountId(),
		conversation.GetPeerIdentityKey(),
		signed(conversation.GetCreatedMs()),
		int64(conversation.GetSuite()),
		enumText(conversation.GetSessionState()),
		conversation.GetVerified(),
		conversation.GetInitiator(),
		signed(conversation.GetLastActivityMs()),
	}
}

func conversationFromRow(row *sqlite3.Stmt) *abi.Conversation {
	return &abi.Conversation{
		ConversationId:  row.ColumnText(0),
		AccountId:       row.ColumnText(1),
		PeerIdentityKey: row.ColumnBlob(2, nil),
		CreatedMs:       unsigned(row.ColumnInt64(3)),
		Suite:           uint32(row.ColumnInt64(4)),
		SessionState:    enumValue[abi.SessionState](abi.SessionState_value, row, 5),
		Verified:        row.ColumnBool(6),
		Initiator:       row.ColumnBool(7),
		LastActivityMs:  unsigned(row.ColumnInt64(8)),
	}
}

// signed: SQLite's integers are signed. Values from 2^63 on, which only a hostile peer sends, become negative and come back unharmed.
func signed(value uint64) int64 { return int64(value) }

func unsigned(value int64) uint64 { return uint64(value) }

func optional(text *string) any {
	if text == nil {
		return nil
	}
	return *text
}

func optionalText(row *sqlite3.Stmt, column int) *string {
	if row.ColumnType(column) == sqlite3.NULL {
		return nil
	}
	return proto.String(row.ColumnText(column))
}

// enum is a generated protobuf enumeration.
type enum interface {
	~int32
	String() string
}

// enumText is the value's name in lower case; NULL for "unspecified", the number for a value of a newer version.
func enumText[E enum](value E) any {
	if value == 0 {
		return nil
	}
	return strings.ToLower(value.String())
}

// enumValue is the inverse of enumText.
func enumValue[E enum](values map[string]int32, row *sqlite3.Stmt, column int) E {
	text := row.ColumnText(column)
	if value, known := values[strings.ToUpper(text)]; known {
		return E(value)
	}
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		// NULL, and what no version writes.
		return 0
	}
	return E(number)
}
