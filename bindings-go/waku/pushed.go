package waku

import (
	"slices"
	"sync"

	"chatsdk/waku/internal/shards"
)

// pushedMessages: the history of 7 minutes of a bucket must find them here, at 46 a second (10,000 users in 16 buckets) and with room to spare.
const pushedMessages = 32_768

// pushed remembers the messages that nodes pushed, so that each is reported once and history can leave it out. The oldest are forgotten first.
type pushed struct {
	mu      sync.Mutex
	byHash  map[shards.Hash]*pushedMessage
	inOrder []shards.Hash
}

type pushedMessage struct {
	timestamp int64
	// taken by whoever ranges over Start: until then it may be lost with the process, or with a listener that stops.
	taken bool
}

func newPushed() *pushed {
	return &pushed{byHash: map[shards.Hash]*pushedMessage{}}
}

// isNew is true for the first push of a message.
func (p *pushed) isNew(hash shards.Hash, timestamp int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byHash[hash] != nil {
		return false
	}
	p.byHash[hash] = &pushedMessage{timestamp: timestamp}
	p.inOrder = append(p.inOrder, hash)
	if len(p.inOrder) > pushedMessages {
		delete(p.byHash, p.inOrder[0])
		p.inOrder = p.inOrder[1:]
	}
	return true
}

// forget the message for which isNew was true: it can come again.
func (p *pushed) forget(hash shards.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byHash, hash)
	// It is one of the last.
	for i, other := range slices.Backward(p.inOrder) {
		if other == hash {
			p.inOrder = slices.Delete(p.inOrder, i, i+1)
			return
		}
	}
}

func (p *pushed) take(hash shards.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if message := p.byHash[hash]; message != nil {
		message.taken = true
	}
}

// taken gives the timestamp of a message that was reported.
func (p *pushed) taken(hash shards.Hash) (timestamp int64, taken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	message := p.byHash[hash]
	if message == nil || !message.taken {
		return 0, false
	}
	return message.timestamp, true
}
