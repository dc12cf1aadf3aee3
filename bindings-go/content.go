package chatsdk

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/abi/content"
	"chatsdk/internal/absent"
	"chatsdk/internal/fault"
)

// Content is a content on its way out, or as it came in.
type Content struct {
	// Domain says who defines the tag: 0 is this SDK; take a random number below 2^32 for your application.
	Domain uint32
	// Tag says which type of that domain.
	Tag uint32
	// Version of the type's encoding, from 1.
	Version uint32
	// Payload is the encoded value.
	Payload []byte
}

// Sendable is what the sending calls take: [Text], [Reply], [Reaction], [AttachmentReference], [Content], and what [ContentType.Of] makes.
type Sendable interface {
	// AsContent encodes it.
	AsContent() (Content, error)
}

// AsContent returns the content itself.
func (c Content) AsContent() (Content, error) { return c, nil }

// ContentType is how values of a type become contents (F5): the SDK's basic ones below, or your own:
//
//	var MoveType = chatsdk.ContentType[Move]{
//		Domain: 0x63686573, Tag: 1, Version: 1,
//		Encode: func(move Move) ([]byte, error) { return json.Marshal(move) },
//		Decode: func(payload []byte, version uint32) (move Move, err error) { return move, json.Unmarshal(payload, &move) },
//	}
//
//	client.Send(ctx, conversation.ID, MoveType.Of(Move{"e2", "e4"}))
//	move, ok := MoveType.Read(message.Content)
//
// Nothing is registered: a message of a type this program does not know is stored as it came, and can be read by a later version that knows it.
type ContentType[Value any] struct {
	// Domain, Tag and Version: as in [Content]. Version is the one that Encode writes.
	Domain, Tag, Version uint32
	Encode               func(value Value) ([]byte, error)
	// Decode gets the version the payload was written with, at most the type's own.
	Decode func(payload []byte, version uint32) (Value, error)
}

// Of is a content to send.
func (t ContentType[Value]) Of(value Value) Sendable {
	return sendable(func() (Content, error) {
		if t.Encode == nil {
			return Content{}, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "Encode: missing; give the ContentType one")
		}
		payload, err := t.Encode(value)
		if errors.Is(err, abi.ErrContentTooLarge) {
			return Content{}, err
		}
		if err != nil {
			return Content{}, fault.Because(abi.ErrorCode_INVALID_ARGUMENT, err, "content: it cannot be encoded; see the cause")
		}
		return Content{t.Domain, t.Tag, t.Version, payload}, nil
	})
}

// Matches tells whether the content is of this type, in a version this type reads.
func (t ContentType[Value]) Matches(content Content) bool {
	return content.Domain == t.Domain && content.Tag == t.Tag && content.Version <= t.Version
}

// Read gives the value; false if the content is of another type, of a newer version, or does not decode, or the type has no Decode.
func (t ContentType[Value]) Read(content Content) (value Value, ok bool) {
	if !t.Matches(content) || t.Decode == nil {
		return value, false
	}
	decoded, err := t.Decode(content.Payload, content.Version)
	if err != nil {
		return value, false
	}
	return decoded, true
}

type sendable func() (Content, error)

// AsContent encodes the value.
func (s sendable) AsContent() (Content, error) { return s() }

// Text is plain text.
type Text string

// Reply is text that answers a message.
type Reply struct {
	MessageID string
	Text      string
}

// Reaction is a reaction to a message: one emoji, or a short text; an empty one takes the earlier one back.
type Reaction struct {
	MessageID string
	Reaction  string
}

// ReadReceipt says that everything up to a message has been read. [Client.MarkRead] sends it.
type ReadReceipt struct {
	MessageID string
}

// AttachmentReference is a file kept elsewhere, encrypted under a key that travels here.
type AttachmentReference struct {
	// URL is where the ciphertext is.
	URL string
	// MediaType is such as "image/png".
	MediaType string
	// Size of the plaintext in bytes.
	Size uint64
	// Digest is the SHA-256 of the ciphertext, 32 bytes.
	Digest []byte
	// Key and Nonce are for ChaCha20-Poly1305: 32 and 12 bytes.
	Key, Nonce []byte
	// Name is for display; never a path to write to.
	Name string
}

// The basic types, to read messages with.
var (
	TextType = basic(1, func(text Text) *content.Text { return &content.Text{Text: string(text)} },
		func(message *content.Text) Text { return Text(message.GetText()) })
	ReplyType = basic(2,
		func(reply Reply) *content.Reply { return &content.Reply{MessageId: reply.MessageID, Text: reply.Text} },
		func(message *content.Reply) Reply { return Reply{message.GetMessageId(), message.GetText()} })
	ReactionType = basic(3,
		func(reaction Reaction) *content.Reaction {
			return &content.Reaction{MessageId: reaction.MessageID, Reaction: reaction.Reaction}
		},
		func(message *content.Reaction) Reaction {
			return Reaction{message.GetMessageId(), message.GetReaction()}
		})
	ReadReceiptType = basic(4,
		func(receipt ReadReceipt) *content.ReadReceipt {
			return &content.ReadReceipt{MessageId: receipt.MessageID}
		},
		func(message *content.ReadReceipt) ReadReceipt { return ReadReceipt{message.GetMessageId()} })
	AttachmentReferenceType = basic(5,
		func(reference AttachmentReference) *content.AttachmentReference {
			return &content.AttachmentReference{
				Url: reference.URL, MediaType: reference.MediaType, Size: reference.Size, Digest: reference.Digest,
				Key: reference.Key, Nonce: reference.Nonce, Name: reference.Name,
			}
		},
		func(message *content.AttachmentReference) AttachmentReference {
			return AttachmentReference{
				message.GetUrl(), message.GetMediaType(), message.GetSize(), message.GetDigest(), message.GetKey(), message.GetNonce(), message.GetName(),
			}
		})
)

// AsContent encodes the text, which must not be empty.
func (t Text) AsContent() (Content, error) {
	if t == "" {
		return Content{}, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "content: empty text; give at least one character")
	}
	return TextType.Of(t).AsContent()
}

// AsContent encodes the reply.
func (r Reply) AsContent() (Content, error) { return ReplyType.Of(r).AsContent() }

// AsContent encodes the reaction.
func (r Reaction) AsContent() (Content, error) { return ReactionType.Of(r).AsContent() }

// AsContent encodes the receipt.
func (r ReadReceipt) AsContent() (Content, error) { return ReadReceiptType.Of(r).AsContent() }

// AsContent encodes the reference.
func (a AttachmentReference) AsContent() (Content, error) {
	return AttachmentReferenceType.Of(a).AsContent()
}

// basic is a type of domain 0 in version 1, encoded as a protobuf message.
func basic[Value any, Message any, Pointer interface {
	*Message
	proto.Message
}](tag uint32, toMessage func(Value) Pointer, fromMessage func(Pointer) Value) ContentType[Value] {
	return ContentType[Value]{
		Tag: tag, Version: 1,
		Encode: func(value Value) ([]byte, error) {
			message := toMessage(value)
			// Before it is copied.
			if size := proto.Size(message); size > abi.MaximumLength {
				return nil, contentTooLarge(size)
			}
			return proto.Marshal(message)
		},
		Decode: func(payload []byte, _ uint32) (value Value, err error) {
			message := Pointer(new(Message))
			if err := proto.Unmarshal(payload, message); err != nil {
				return value, err
			}
			return fromMessage(message), nil
		},
	}
}

func contentOf(content Sendable) (*abi.Content, error) {
	if absent.Is(content) {
		return nil, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "content: missing; give a Text or another content")
	}
	encoded, err := content.AsContent()
	if err != nil {
		return nil, err
	}
	return &abi.Content{Domain: encoded.Domain, Tag: encoded.Tag, Version: encoded.Version, Payload: encoded.Payload}, nil
}
