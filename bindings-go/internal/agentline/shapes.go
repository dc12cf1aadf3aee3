package agentline

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"chatsdk"
)

type shape = map[string]any

// shaped and listed turn what a call returns into JSON.
func shaped[T any](form func(T) shape) func(value T, err error) (any, error) {
	return func(value T, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return form(value), nil
	}
}

func listed[T any](form func(T) shape) func(values []T, err error) (any, error) {
	return func(values []T, err error) (any, error) {
		shapes := make([]shape, len(values))
		for i, value := range values {
			shapes[i] = form(value)
		}
		return shapes, err
	}
}

func decimal(number uint64) string { return strconv.FormatUint(number, 10) }

func millis(at time.Time) string { return strconv.FormatInt(at.UnixMilli(), 10) }

func accountShape(account chatsdk.Account) shape {
	return shape{
		"id": account.ID, "identityKey": hex.EncodeToString(account.IdentityKey), "deliveryAddress": account.DeliveryAddress,
		"createdAt": millis(account.CreatedAt),
	}
}

func inviteShape(invite chatsdk.Invite) shape {
	return shape{
		"id": invite.ID, "accountId": invite.AccountID, "link": invite.Link, "expiresAt": millis(invite.ExpiresAt), "reusable": invite.Reusable,
		"acceptedCount": invite.AcceptedCount,
	}
}

func inviteDetailsShape(details chatsdk.InviteDetails) shape {
	return shape{
		"identityKey": hex.EncodeToString(details.IdentityKey), "expiresAt": millis(details.ExpiresAt), "reusable": details.Reusable,
		"deliveryAddress": details.DeliveryAddress, "clusterId": details.ClusterID, "shardCount": details.ShardCount, "suite": details.Suite,
	}
}

func conversationShape(conversation chatsdk.Conversation) shape {
	return shape{
		"id": conversation.ID, "accountId": conversation.AccountID, "peerIdentityKey": hex.EncodeToString(conversation.PeerIdentityKey),
		"createdAt": millis(conversation.CreatedAt), "lastActivityAt": millis(conversation.LastActivityAt), "suite": conversation.Suite,
		"session": conversation.Session, "verified": conversation.Verified, "initiator": conversation.Initiator,
	}
}

func messageShape(message chatsdk.Message) shape {
	made := shape{
		"id": message.ID, "conversationId": message.ConversationID, "outgoing": message.Outgoing, "sentAt": millis(message.SentAt),
		"storedAt": millis(message.StoredAt), "lamport": decimal(message.Lamport), "sequence": message.Sequence,
		"domain": message.Content.Domain, "tag": message.Content.Tag, "version": message.Content.Version,
		"payload": hex.EncodeToString(message.Content.Payload),
	}
	setUnlessEmpty(made, "text", message.Text)
	setUnlessEmpty(made, "refersTo", message.RefersTo)
	setUnlessEmpty(made, "status", string(message.Status))
	setUnlessEmpty(made, "failureReason", string(message.FailureReason))
	if content := contentShape(message.Content); content != nil {
		made["content"] = content
	}
	return made
}

func setUnlessEmpty(made shape, name, value string) {
	if value != "" {
		made[name] = value
	}
}

// move is the own type of the protocol.
type move struct {
	From string `json:"from"`
	To   string `json:"to"`
}

var moveType = chatsdk.ContentType[move]{
	Domain: 1667786099, Tag: 1, Version: 1,
	Encode: func(value move) ([]byte, error) { return json.Marshal(value) },
	Decode: func(payload []byte, _ uint32) (value move, err error) { return value, json.Unmarshal(payload, &value) },
}

// contentShape is nil if the agent knows no type for it, or it does not decode.
func contentShape(content chatsdk.Content) any {
	if text, ok := chatsdk.TextType.Read(content); ok {
		return shape{"text": string(text)}
	}
	if reply, ok := chatsdk.ReplyType.Read(content); ok {
		return shape{"reply": shape{"messageId": reply.MessageID, "text": reply.Text}}
	}
	if reaction, ok := chatsdk.ReactionType.Read(content); ok {
		return shape{"reaction": shape{"messageId": reaction.MessageID, "reaction": reaction.Reaction}}
	}
	if receipt, ok := chatsdk.ReadReceiptType.Read(content); ok {
		return shape{"readReceipt": shape{"messageId": receipt.MessageID}}
	}
	if reference, ok := chatsdk.AttachmentReferenceType.Read(content); ok {
		return shape{"attachment": shape{
			"url": reference.URL, "mediaType": reference.MediaType, "size": decimal(reference.Size), "digest": hex.EncodeToString(reference.Digest),
			"key": hex.EncodeToString(reference.Key), "nonce": hex.EncodeToString(reference.Nonce), "name": reference.Name,
		}}
	}
	if value, ok := moveType.Read(content); ok {
		return shape{"move": value}
	}
	return nil
}

// hexBytes is bytes in JSON.
type hexBytes []byte

// UnmarshalText reads lower-case hexadecimal.
func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// contentParam is what to send.
func contentParam(p params) (chatsdk.Sendable, error) {
	fields, err := need[json.RawMessage](p, "content")
	if err != nil {
		return nil, err
	}
	var given struct {
		Text  *string `json:"text"`
		Reply *struct {
			MessageID string `json:"messageId"`
			Text      string `json:"text"`
		} `json:"reply"`
		Reaction *struct {
			MessageID string `json:"messageId"`
			Reaction  string `json:"reaction"`
		} `json:"reaction"`
		ReadReceipt *struct {
			MessageID string `json:"messageId"`
		} `json:"readReceipt"`
		Attachment *struct {
			URL       string   `json:"url"`
			MediaType string   `json:"mediaType"`
			Size      string   `json:"size"`
			Digest    hexBytes `json:"digest"`
			Key       hexBytes `json:"key"`
			Nonce     hexBytes `json:"nonce"`
			Name      string   `json:"name"`
		} `json:"attachment"`
		Move    *move    `json:"move"`
		Domain  *uint32  `json:"domain"`
		Tag     uint32   `json:"tag"`
		Version uint32   `json:"version"`
		Payload hexBytes `json:"payload"`
	}
	if err := json.Unmarshal(fields["content"], &given); err != nil {
		return nil, agentError("params.content: %v", err)
	}
	switch {
	case given.Text != nil:
		return chatsdk.Text(*given.Text), nil
	case given.Reply != nil:
		return chatsdk.Reply{MessageID: given.Reply.MessageID, Text: given.Reply.Text}, nil
	case given.Reaction != nil:
		return chatsdk.Reaction{MessageID: given.Reaction.MessageID, Reaction: given.Reaction.Reaction}, nil
	case given.ReadReceipt != nil:
		return chatsdk.ReadReceipt{MessageID: given.ReadReceipt.MessageID}, nil
	case given.Attachment != nil:
		size, err := strconv.ParseUint(given.Attachment.Size, 10, 64)
		if err != nil {
			return nil, agentError("params.content.attachment.size: %v", err)
		}
		return chatsdk.AttachmentReference{
			URL: given.Attachment.URL, MediaType: given.Attachment.MediaType, Size: size, Digest: given.Attachment.Digest,
			Key: given.Attachment.Key, Nonce: given.Attachment.Nonce, Name: given.Attachment.Name,
		}, nil
	case given.Move != nil:
		return moveType.Of(*given.Move), nil
	case given.Domain != nil:
		return chatsdk.Content{Domain: *given.Domain, Tag: given.Tag, Version: given.Version, Payload: given.Payload}, nil
	}
	return nil, agentError("params.content: of no kind that the agent knows")
}

// eventShape is nil for an event the protocol does not name.
func eventShape(event chatsdk.Event) shape {
	made := shape{"number": decimal(event.EventNumber())}
	switch event := event.(type) {
	case chatsdk.ConversationStarted:
		made["type"], made["accountId"], made["conversation"] = "conversationStarted", event.AccountID, conversationShape(event.Conversation)
		setUnlessEmpty(made, "inviteId", event.InviteID)
	case chatsdk.MessageReceived:
		made["type"], made["accountId"], made["message"], made["recovered"] = "messageReceived", event.AccountID, messageShape(event.Message), event.Recovered
	case chatsdk.MessageStatusChanged:
		made["type"], made["accountId"], made["conversationId"] = "messageStatusChanged", event.AccountID, event.ConversationID
		made["messageId"], made["status"] = event.MessageID, event.Status
		setUnlessEmpty(made, "failureReason", string(event.FailureReason))
	case chatsdk.MessagesMissing:
		made["type"], made["accountId"], made["conversationId"], made["messageIds"] = "messagesMissing", event.AccountID, event.ConversationID, event.MessageIDs
	case chatsdk.MessagesLost:
		made["type"], made["accountId"], made["conversationId"], made["messageIds"] = "messagesLost", event.AccountID, event.ConversationID, event.MessageIDs
	case chatsdk.InviteReused:
		made["type"], made["accountId"], made["inviteId"] = "inviteReused", event.AccountID, event.InviteID
	case chatsdk.SessionStateChanged:
		made["type"], made["accountId"], made["conversationId"], made["session"] = "sessionStateChanged", event.AccountID, event.ConversationID, event.Session
	case chatsdk.ConnectionChanged:
		made["type"], made["online"] = "connectionChanged", event.Online
	case chatsdk.QuotaChanged:
		made["type"], made["exhausted"], made["renewsAt"] = "quotaChanged", event.Exhausted, millis(event.RenewsAt)
	default:
		return nil
	}
	return made
}
