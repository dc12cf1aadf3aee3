package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

var (
	errNoHash  = errors.New("the node gives an entry without the message's hash")
	errOmitted = errors.New("the node does not give a message whose hash it gave")
)

// answer is what a node has for one page.
type answer struct {
	// messages without those left out.
	messages Page
	// leftOutUntil is the newest timestamp of those left out.
	leftOutUntil int64
	// entries counts them all.
	entries int
	cursor  []byte
}

// ask fails if the node does not give everything that belongs to the page. Where messages are to be left out it asks for hashes, and then for the
// others by theirs.
func (r *reader) ask(ctx context.Context, node Node, request *wire.StoreRequest) (*answer, error) {
	request.IncludeData = r.options.Pushed == nil
	response, err := node(ctx, request)
	if err != nil {
		return nil, err
	}
	page := &answer{entries: len(response.GetMessages()), cursor: response.GetPaginationCursor()}
	if request.IncludeData {
		page.messages = messagesOf(response)
		return page, nil
	}
	if uint64(page.entries) > r.options.PageSize {
		return nil, fmt.Errorf("the node gives %d hashes, %d were asked for", page.entries, r.options.PageSize)
	}
	missed, err := r.missed(response, page)
	if err != nil || len(missed) == 0 {
		return page, err
	}
	page.messages, err = r.fetch(ctx, node, missed)
	return page, err
}

// missed are the hashes of the messages to fetch.
func (r *reader) missed(response *wire.StoreResponse, page *answer) (map[shards.Hash]bool, error) {
	missed := map[shards.Hash]bool{}
	for _, entry := range response.GetMessages() {
		if len(entry.GetMessageHash()) != len(shards.Hash{}) {
			return nil, errNoHash
		}
		hash := shards.Hash(entry.GetMessageHash())
		at, pushed := r.options.Pushed(hash)
		switch {
		case pushed && at >= r.start && at < r.end:
			page.leftOutUntil = max(page.leftOutUntil, at)
		case !pushed && !r.atNewest[hash]:
			missed[hash] = true
		}
	}
	return missed, nil
}

// fetch gives exactly the messages of these hashes, oldest first.
func (r *reader) fetch(ctx context.Context, node Node, hashes map[shards.Hash]bool) (Page, error) {
	var messages Page
	for len(hashes) > 0 {
		before := len(hashes)
		response, err := node(ctx, byHash(hashes, r.options.PageSize))
		if err != nil {
			return nil, err
		}
		for _, entry := range response.GetMessages() {
			hash := r.hashOf(entry)
			if entry.GetMessage() != nil && hashes[hash] {
				messages = append(messages, entry.GetMessage())
				delete(hashes, hash)
			}
		}
		// A node ends an answer at some size.
		cut := len(response.GetPaginationCursor()) > 0 && len(hashes) < before
		if len(hashes) > 0 && !cut {
			return nil, errOmitted
		}
	}
	slices.SortStableFunc(messages, func(a, b *wire.WakuMessage) int { return cmp.Compare(a.GetTimestamp(), b.GetTimestamp()) })
	return messages, nil
}

func byHash(hashes map[shards.Hash]bool, limit uint64) *wire.StoreRequest {
	request := &wire.StoreRequest{IncludeData: true, PaginationForward: true, PaginationLimit: &limit}
	for hash := range hashes {
		request.MessageHashes = append(request.MessageHashes, hash[:])
	}
	return request
}

// hashOf a message, which is taken from the answer where it has no timestamp: go-waku puts 8 zero bytes in its place, others nothing.
func (r *reader) hashOf(entry *wire.StoreEntry) shards.Hash {
	stated := entry.GetMessageHash()
	if entry.GetMessage().GetTimestamp() == 0 && len(stated) == len(shards.Hash{}) {
		return shards.Hash(stated)
	}
	return shards.MessageHash(r.group.PubsubTopic, entry.GetMessage())
}

func messagesOf(response *wire.StoreResponse) Page {
	var messages Page
	for _, entry := range response.GetMessages() {
		if message := entry.GetMessage(); message != nil {
			messages = append(messages, message)
		}
	}
	return messages
}
