package storagetest

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"chatsdk/abi"
)

// Run checks storages that open makes, each time a new one over the same data as the last one of the same name.
func Run(t *testing.T, open func(t *testing.T, name string) abi.Storage) {
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		name := "chat" + string(rune('a'+run%26)) + rapid.StringMatching(`[a-z]{12}`).Draw(r, "name")
		storage, model := open(t, name), newModel()
		closeIt := func() {
			if err := storage.Close(t.Context()); err != nil {
				r.Fatal(err)
			}
		}
		defer func() { closeIt() }()
		for range rapid.IntRange(1, 6).Draw(r, "commits") {
			batch := &abi.ChangeBatch{Changes: rapid.SliceOfN(change(), 0, 12).Draw(r, "changes")}
			if rapid.IntRange(0, 4).Draw(r, "malformed") == 0 {
				at := rapid.IntRange(0, len(batch.GetChanges())).Draw(r, "at")
				batch.Changes = slices.Insert(batch.Changes, at, &abi.Change{})
				var failure *abi.Error
				if err := storage.Commit(t.Context(), batch); !errors.As(err, &failure) || failure.Code != abi.ErrorCode_INTERNAL {
					r.Fatalf("a malformed batch: %v", err)
				}
			} else {
				if err := storage.Commit(t.Context(), batch); err != nil {
					r.Fatal(err)
				}
				for _, change := range batch.GetChanges() {
					model.apply(change)
				}
			}
			if rapid.IntRange(0, 3).Draw(r, "reopen") == 0 {
				closeIt()
				storage = open(t, name)
			}
			compare(t, r, storage, model)
		}
	})
}

var (
	keys            = []string{"a/1", "a/10", "a/2", "b", "conv/ä", "conv/z", "a%", "a_b/1"}
	conversationIDs = []string{"c1", "c2"}
	messageIDs      = []string{"m1", "m2", "m3", "ü"}
	texts           = []string{"Hello World", "hello", "Crème brûlée", "naïve \x00 world", "+1 (555)", "日本語 テキスト", "ΑΣ ας", "й и", "\"quoted\" OR NOT", ""}
	queries         = []string{"hello", "HEL", "creme bru", "world naive", "日本", "55", "\"", "OR", "ασ", "nothing at all", ""}
)

func tag(r *rapid.T) []byte {
	return slices.Repeat([]byte{byte(rapid.IntRange(1, 5).Draw(r, "tag"))}, 8)
}

func change() *rapid.Generator[*abi.Change] {
	return rapid.Custom(func(r *rapid.T) *abi.Change {
		key := rapid.SampledFrom(keys).Draw(r, "key")
		conversationID := rapid.SampledFrom(conversationIDs).Draw(r, "conversation")
		messageID := rapid.SampledFrom(messageIDs).Draw(r, "message")
		readUpTo := &abi.ReadChange{ConversationId: conversationID, MessageId: messageID}
		switch rapid.IntRange(0, 11).Draw(r, "kind") {
		case 0, 1:
			value := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(r, "value")
			return &abi.Change{Change: &abi.Change_Put{Put: &abi.Record{Key: key, Value: value}}}
		case 2:
			return &abi.Change{Change: &abi.Change_Delete{Delete: key}}
		case 3:
			return &abi.Change{Change: &abi.Change_DeletePrefix{DeletePrefix: rapid.SampledFrom([]string{"a/", "a/1", "conv/", "a_", "\U0010ffff"}).Draw(r, "prefix")}}
		case 4:
			return &abi.Change{Change: &abi.Change_AddTags{AddTags: &abi.TagChange{Key: key, Tags: append(tag(r), tag(r)...)}}}
		case 5:
			return &abi.Change{Change: &abi.Change_RemoveTags{RemoveTags: tag(r)}}
		case 6, 7:
			return &abi.Change{Change: &abi.Change_PutMessage{PutMessage: message(r, conversationID, messageID)}}
		case 8:
			return &abi.Change{Change: &abi.Change_SetStatus{SetStatus: &abi.StatusChange{
				ConversationId: conversationID, MessageId: messageID, Status: abi.DeliveryStatus(rapid.IntRange(1, 5).Draw(r, "status")),
				FailureReason: abi.FailureReason(rapid.IntRange(0, 3).Draw(r, "reason")),
			}}}
		case 9:
			return &abi.Change{Change: &abi.Change_PeerRead{PeerRead: readUpTo}}
		case 10:
			return &abi.Change{Change: &abi.Change_OwnRead{OwnRead: readUpTo}}
		default:
			if rapid.Bool().Draw(r, "delete") {
				return &abi.Change{Change: &abi.Change_DeleteConversation{DeleteConversation: conversationID}}
			}
			return &abi.Change{Change: &abi.Change_PutConversation{PutConversation: &abi.Conversation{
				ConversationId: conversationID, AccountId: "a1", PeerIdentityKey: []byte{1}, Suite: 2, LastActivityMs: rapid.Uint64().Draw(r, "activity"),
				SessionState: abi.SessionState(rapid.IntRange(0, 9).Draw(r, "state")), Verified: rapid.Bool().Draw(r, "verified"),
			}}}
		}
	})
}

func message(r *rapid.T, conversationID, messageID string) *abi.Message {
	made := &abi.Message{
		ConversationId: conversationID, MessageId: messageID, Outgoing: rapid.Bool().Draw(r, "outgoing"), Sequence: rapid.Uint32().Draw(r, "sequence"),
		Lamport: rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64()).Draw(r, "lamport"), TimestampMs: rapid.Uint64().Draw(r, "timestamp"),
		Domain: uint32(rapid.IntRange(0, 1).Draw(r, "domain")), Tag: uint32(rapid.IntRange(1, 5).Draw(r, "tag")), Version: 1,
		Payload: rapid.SliceOfN(rapid.Byte(), 1, 10).Draw(r, "payload"),
	}
	if rapid.Bool().Draw(r, "has text") {
		made.Text = proto.String(rapid.SampledFrom(texts).Draw(r, "text"))
		made.RefersTo = proto.String(messageID)
	}
	if made.GetOutgoing() {
		made.Status = abi.DeliveryStatus(rapid.IntRange(1, 5).Draw(r, "status"))
	}
	return made
}

func compare(t *testing.T, r *rapid.T, storage abi.Storage, model *model) {
	reads := []*abi.Read{
		{Read: &abi.Read_Scan{Scan: &abi.Scan{}}}, {Read: &abi.Read_Scan{Scan: &abi.Scan{Prefix: "a/", Limit: 2}}},
		{Read: &abi.Read_Scan{Scan: &abi.Scan{Prefix: "conv/"}}}, {Read: &abi.Read_Get{Get: "a/1"}},
		{Read: &abi.Read_FindTag{FindTag: tag(r)}}, {Read: &abi.Read_FindTag{FindTag: tag(r)}},
	}
	for _, read := range reads {
		got, err := storage.Read(t.Context(), read)
		same(r, read, got, err, &abi.ReadAnswer{Records: model.read(read)})
	}
	for _, conversationID := range conversationIDs {
		of := func(row *abi.MessageRow) bool { return row.GetMessage().GetConversationId() == conversationID }
		all := model.rows(of)
		list := &abi.ListMessagesRequest{ConversationId: conversationID, Limit: 1000}
		got, err := storage.ListMessages(t.Context(), list)
		same(r, list, got, err, &abi.MessageRows{Rows: all})
		if len(all) > 1 {
			list.Limit, list.Before = 1, &abi.Position{Lamport: all[0].GetMessage().GetLamport(), MessageId: all[0].GetMessage().GetMessageId()}
			got, err := storage.ListMessages(t.Context(), list)
			same(r, list, got, err, &abi.MessageRows{Rows: all[1:2]})
		}
		unread := model.rows(func(row *abi.MessageRow) bool {
			message := row.GetMessage()
			return of(row) && !message.GetOutgoing() && !row.GetReadByUs() && (message.GetDomain() != 0 || slices.Contains([]uint32{1, 2, 5}, message.GetTag()))
		})
		count, err := storage.CountUnread(t.Context(), &abi.CountUnreadRequest{ConversationId: conversationID})
		same(r, list, count, err, &abi.UnreadCount{Unread: uint64(len(unread))})
		one, err := storage.GetConversation(t.Context(), &abi.GetConversationRequest{ConversationId: conversationID})
		want := &abi.ConversationBatch{}
		if conversation := model.conversations[conversationID]; conversation != nil {
			want.Conversations = append(want.Conversations, conversation)
		}
		same(r, list, one, err, want)
	}
	query := &abi.SearchMessagesRequest{Query: rapid.SampledFrom(queries).Draw(r, "query"), Limit: 1000}
	found, err := storage.SearchMessages(t.Context(), query)
	same(r, query, found, err, &abi.MessageRows{Rows: model.search(query.GetQuery())})
}

func same(r *rapid.T, what, got proto.Message, err error, want proto.Message) {
	if err != nil || !proto.Equal(got, want) {
		r.Fatalf("%v:\n%v\ninstead of\n%v\n%v", what, got, want, err)
	}
}
