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
	// entries, oldest first.
	entries []entry
	cursor  []byte
}

type entry struct {
	hash shards.Hash
	// at is 0 if it is not known, which it need not be for what was seen before.
	at int64
	// message is nil for one that is left out or was seen before.
	message *wire.WakuMessage
}

// ask fails if the node does not give everything that belongs to the page. Where messages are to be left out it asks for hashes, and then for the
// others by theirs.
func (r *reader) ask(ctx context.Context, node Node, request *wire.StoreRequest) (*answer, error) {
	request.IncludeData = r.options.Pushed == nil
	response, err := node(ctx, request)
	if err != nil {
		return nil, err
	}
	page := &answer{cursor: response.GetPaginationCursor()}
	if request.IncludeData {
		err = r.whole(response, page)
	} else {
		err = r.missed(ctx, node, response, page)
	}
	slices.SortStableFunc(page.entries, func(a, b entry) int { return cmp.Compare(a.at, b.at) })
	return page, err
}

func (r *reader) whole(response *wire.StoreResponse, page *answer) error {
	for _, stored := range response.GetMessages() {
		if stored.GetMessage() == nil {
			return errOmitted
		}
		page.entries = append(page.entries, r.entryOf(stored.GetMessage()))
	}
	return nil
}

func (r *reader) entryOf(message *wire.WakuMessage) entry {
	return entry{hash: shards.MessageHash(r.group.PubsubTopic, message), at: message.GetTimestamp(), message: message}
}

func (r *reader) missed(ctx context.Context, node Node, response *wire.StoreResponse, page *answer) error {
	if count := len(response.GetMessages()); uint64(count) > r.options.PageSize {
		return fmt.Errorf("the node gives %d hashes, %d were asked for", count, r.options.PageSize)
	}
	missed := map[shards.Hash]bool{}
	for _, stored := range response.GetMessages() {
		if len(stored.GetMessageHash()) != len(shards.Hash{}) {
			return errNoHash
		}
		hash := shards.Hash(stored.GetMessageHash())
		at, pushed := r.options.Pushed(hash)
		if pushed || r.seen[hash] != 0 {
			page.entries = append(page.entries, entry{hash: hash, at: at})
		} else {
			missed[hash] = true
		}
	}
	return r.fetch(ctx, node, missed, page)
}

// fetch adds exactly the messages of these hashes.
func (r *reader) fetch(ctx context.Context, node Node, hashes map[shards.Hash]bool, page *answer) error {
	for len(hashes) > 0 {
		before := len(hashes)
		response, err := node(ctx, byHash(hashes, r.options.PageSize))
		if err != nil {
			return err
		}
		for _, stored := range response.GetMessages() {
			if stored.GetMessage() == nil {
				continue
			}
			given := r.entryOf(stored.GetMessage())
			if hash := given.hashAt(stored.GetMessageHash()); hashes[hash] {
				page.entries = append(page.entries, given)
				delete(hashes, hash)
			}
		}
		// A node ends an answer at some size.
		cut := len(response.GetPaginationCursor()) > 0 && len(hashes) < before
		if len(hashes) > 0 && !cut {
			return errOmitted
		}
	}
	return nil
}

func byHash(hashes map[shards.Hash]bool, limit uint64) *wire.StoreRequest {
	request := &wire.StoreRequest{IncludeData: true, PaginationForward: true, PaginationLimit: &limit}
	for hash := range hashes {
		request.MessageHashes = append(request.MessageHashes, hash[:])
	}
	return request
}

// hashAt the node that states this one. It is taken at its word for a message without a timestamp alone: go-waku puts 8 zero bytes in its place, others
// nothing.
func (e entry) hashAt(stated []byte) shards.Hash {
	if e.at == 0 && len(stated) == len(shards.Hash{}) {
		return shards.Hash(stated)
	}
	return e.hash
}
