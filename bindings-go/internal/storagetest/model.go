// Package storagetest checks a storage against a model: what every storage of the SDK must do, whatever it is made of. The suite that runs in every
// language is conformance/src/storage-suite.ts; this one searches with random commits.
package storagetest

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/changes"
	"chatsdk/internal/search"
)

// model is the plainest storage there is.
type model struct {
	records       map[string][]byte
	tags          map[string]string
	messages      map[[2]string]*abi.MessageRow
	conversations map[string]*abi.Conversation
}

func newModel() *model {
	return &model{map[string][]byte{}, map[string]string{}, map[[2]string]*abi.MessageRow{}, map[string]*abi.Conversation{}}
}

func (m *model) apply(change *abi.Change) {
	switch change := change.GetChange().(type) {
	case *abi.Change_Put:
		m.records[change.Put.GetKey()] = change.Put.GetValue()
	case *abi.Change_Delete:
		m.delete(change.Delete)
	case *abi.Change_DeletePrefix:
		for key := range m.records {
			if strings.HasPrefix(key, change.DeletePrefix) {
				m.delete(key)
			}
		}
	case *abi.Change_AddTags:
		for tag := range changes.Tags(change.AddTags.GetTags()) {
			m.tags[string(tag)] = change.AddTags.GetKey()
		}
	case *abi.Change_RemoveTags:
		for tag := range changes.Tags(change.RemoveTags) {
			delete(m.tags, string(tag))
		}
	case *abi.Change_PutMessage:
		place := [2]string{change.PutMessage.GetConversationId(), change.PutMessage.GetMessageId()}
		read := change.PutMessage.GetOutgoing()
		if known := m.messages[place]; known != nil {
			read = known.GetReadByUs()
		}
		m.messages[place] = &abi.MessageRow{Message: proto.CloneOf(change.PutMessage), ReadByUs: read}
	case *abi.Change_SetStatus:
		row := m.messages[[2]string{change.SetStatus.GetConversationId(), change.SetStatus.GetMessageId()}]
		if row.GetMessage().GetOutgoing() && changes.MayBecome(row.GetMessage().GetStatus(), change.SetStatus.GetStatus()) {
			row.Message.Status, row.Message.FailureReason = change.SetStatus.GetStatus(), abi.FailureReason_FAILURE_REASON_UNSPECIFIED
			if change.SetStatus.GetStatus() == abi.DeliveryStatus_FAILED {
				row.Message.FailureReason = change.SetStatus.GetFailureReason()
			}
		}
	case *abi.Change_PeerRead:
		for _, row := range m.upTo(change.PeerRead, true) {
			if row.GetMessage().GetStatus() == abi.DeliveryStatus_DELIVERED {
				row.Message.Status = abi.DeliveryStatus_READ
			}
		}
	case *abi.Change_OwnRead:
		for _, row := range m.upTo(change.OwnRead, false) {
			row.ReadByUs = true
		}
	case *abi.Change_PutConversation:
		m.conversations[change.PutConversation.GetConversationId()] = proto.CloneOf(change.PutConversation)
	case *abi.Change_DeleteConversation:
		delete(m.conversations, change.DeleteConversation)
		for place := range m.messages {
			if place[0] == change.DeleteConversation {
				delete(m.messages, place)
			}
		}
	}
}

// delete takes a record's tags with it; tags without a record stay.
func (m *model) delete(key string) {
	if _, found := m.records[key]; !found {
		return
	}
	delete(m.records, key)
	for tag, tagged := range m.tags {
		if tagged == key {
			delete(m.tags, tag)
		}
	}
}

// upTo are the messages of one direction up to the one named, if it is there and of that direction.
func (m *model) upTo(change *abi.ReadChange, outgoing bool) []*abi.MessageRow {
	newest := m.messages[[2]string{change.GetConversationId(), change.GetMessageId()}]
	if newest == nil || newest.GetMessage().GetOutgoing() != outgoing {
		return nil
	}
	return m.rows(func(row *abi.MessageRow) bool {
		return row.GetMessage().GetConversationId() == change.GetConversationId() && row.GetMessage().GetOutgoing() == outgoing &&
			int64(row.GetMessage().GetLamport()) <= int64(newest.GetMessage().GetLamport())
	})
}

// rows are newest first.
func (m *model) rows(matches func(row *abi.MessageRow) bool) []*abi.MessageRow {
	var found []*abi.MessageRow
	for _, row := range m.messages {
		if matches(row) {
			found = append(found, row)
		}
	}
	slices.SortFunc(found, func(a, b *abi.MessageRow) int {
		return cmp.Or(
			// As SQLite stores 64-bit numbers: those from 2^63 on count as negative.
			cmp.Compare(int64(b.GetMessage().GetLamport()), int64(a.GetMessage().GetLamport())),
			cmp.Compare(b.GetMessage().GetMessageId(), a.GetMessage().GetMessageId()))
	})
	return found
}

func (m *model) read(read *abi.Read) []*abi.Record {
	record := func(key string) []*abi.Record {
		value, found := m.records[key]
		if !found {
			return nil
		}
		return []*abi.Record{{Key: key, Value: value}}
	}
	switch read := read.GetRead().(type) {
	case *abi.Read_Get:
		return record(read.Get)
	case *abi.Read_FindTag:
		return record(m.tags[string(read.FindTag)])
	case *abi.Read_Scan:
		var keys []string
		for key := range m.records {
			if strings.HasPrefix(key, read.Scan.GetPrefix()) {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		if limit := int(read.Scan.GetLimit()); limit > 0 {
			keys = keys[:min(len(keys), limit)]
		}
		var records []*abi.Record
		for _, key := range keys {
			records = append(records, record(key)...)
		}
		return records
	}
	return nil
}

func (m *model) search(query string) []*abi.MessageRow {
	words := search.QueryWords(query)
	return m.rows(func(row *abi.MessageRow) bool { return search.Matches(row.GetMessage().GetText(), words) })
}
