// Package changes holds what every storage does with the changes of a commit before it touches its data.
package changes

import (
	"fmt"
	"iter"
	"strings"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

const tagLength = 8

// LargestLimit of a list.
const LargestLimit = 1000

// Check refuses, with INTERNAL, changes that no core makes: with them refused up front, applying the others cannot fail halfway for
// its input.
func Check(changes []*abi.Change) error {
	for index, change := range changes {
		if err := check(change); err != nil {
			return fault.New(abi.ErrorCode_INTERNAL, "changes[%d]%s; report this", index, err)
		}
	}
	return nil
}

func check(change *abi.Change) error {
	switch change := change.GetChange().(type) {
	case nil:
		return fmt.Errorf(": no change this version knows")
	case *abi.Change_Put:
		return checkKey("put.key", change.Put.GetKey())
	case *abi.Change_AddTags:
		if err := checkKey("add_tags.key", change.AddTags.GetKey()); err != nil {
			return err
		}
		return checkTags("add_tags.tags", change.AddTags.GetTags())
	case *abi.Change_RemoveTags:
		return checkTags("remove_tags", change.RemoveTags)
	case *abi.Change_PutMessage:
		if err := checkKey("put_message.conversation_id", change.PutMessage.GetConversationId()); err != nil {
			return err
		}
		return checkKey("put_message.message_id", change.PutMessage.GetMessageId())
	case *abi.Change_PutConversation:
		return checkKey("put_conversation.conversation_id", change.PutConversation.GetConversationId())
	}
	return nil
}

// checkKey: a NUL would cut the key short where SQLite's C strings are read.
func checkKey(field, key string) error {
	if key == "" || strings.Contains(key, "\x00") {
		return fmt.Errorf(".%s: empty, or holds a NUL", field)
	}
	return nil
}

func checkTags(field string, tags []byte) error {
	if len(tags)%tagLength != 0 {
		return fmt.Errorf(".%s: %d bytes, must be a multiple of %d", field, len(tags), tagLength)
	}
	return nil
}

// CheckLimit fails with INVALID_ARGUMENT unless limit is from 1 to 1,000.
func CheckLimit(limit uint32) error {
	if limit < 1 || limit > LargestLimit {
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "limit: %d, must be from 1 to %d", limit, LargestLimit)
	}
	return nil
}

// Tags yields the 8-byte tags of a change.
func Tags(tags []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for ; len(tags) >= tagLength; tags = tags[tagLength:] {
			if !yield(tags[:tagLength]) {
				return
			}
		}
	}
}
