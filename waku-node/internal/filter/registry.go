package filter

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	maxSubscribers = 10_000
	maxCriteria    = 1_000 // topics of one subscriber
)

var (
	errNoSubscription  = errors.New("peer has no subscriptions")
	errTooManyClients  = fmt.Errorf("node has reached its maximum of %d subscribers", maxSubscribers)
	errTooManyCriteria = fmt.Errorf("peer has reached its maximum of %d filter criteria", maxCriteria)
)

// criterion is one (pubsub topic, content topic) pair that a client subscribed to.
type criterion struct{ pubsubTopic, contentTopic string }

// subscriber is a client with at least one criterion.
type subscriber struct {
	peer     peer.ID
	criteria map[criterion]struct{} // guarded by registry.mu
	queue    *queue
	request  atomic.Int64 // Unix nanoseconds of the last request
	reached  atomic.Int64 // Unix nanoseconds at which the client was last known to be there
}

func (s *subscriber) lastRequest() time.Time { return time.Unix(0, s.request.Load()) }
func (s *subscriber) lastReached() time.Time { return time.Unix(0, s.reached.Load()) }
func (s *subscriber) markReached()           { s.reached.Store(time.Now().UnixNano()) }

// touch notes a request of the client, which also proves that it can be reached.
func (s *subscriber) touch() {
	s.request.Store(time.Now().UnixNano())
	s.markReached()
}

// registry finds the subscribers of a topic.
type registry struct {
	mu      sync.RWMutex
	byPeer  map[peer.ID]*subscriber
	byTopic map[criterion]map[*subscriber]struct{}
}

func newRegistry() *registry {
	return &registry{byPeer: map[peer.ID]*subscriber{}, byTopic: map[criterion]map[*subscriber]struct{}{}}
}

// subscribe adds criteria; start is called for a subscriber that is new.
func (r *registry) subscribe(id peer.ID, pubsubTopic string, contentTopics []string, start func(*subscriber)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, known := r.byPeer[id]
	if !known {
		if len(r.byPeer) >= maxSubscribers {
			return errTooManyClients
		}
		s = &subscriber{peer: id, criteria: map[criterion]struct{}{}, queue: newQueue()}
	}
	added := 0
	for _, contentTopic := range contentTopics {
		if _, have := s.criteria[criterion{pubsubTopic, contentTopic}]; !have {
			added++
		}
	}
	if len(s.criteria)+added > maxCriteria {
		return errTooManyCriteria
	}
	for _, contentTopic := range contentTopics {
		c := criterion{pubsubTopic, contentTopic}
		s.criteria[c] = struct{}{}
		if r.byTopic[c] == nil {
			r.byTopic[c] = map[*subscriber]struct{}{}
		}
		r.byTopic[c][s] = struct{}{}
	}
	s.touch()
	if !known {
		r.byPeer[id] = s
		start(s)
	}
	return nil
}

// unsubscribe removes criteria; a subscriber without any is removed.
func (r *registry) unsubscribe(id peer.ID, pubsubTopic string, contentTopics []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, known := r.byPeer[id]
	if !known {
		return errNoSubscription
	}
	s.touch()
	for _, contentTopic := range contentTopics {
		r.drop(s, criterion{pubsubTopic, contentTopic})
	}
	if len(s.criteria) == 0 {
		r.end(s)
	}
	return nil
}

// remove ends all subscriptions of a client.
func (r *registry) remove(id peer.ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, known := r.byPeer[id]
	if !known {
		return errNoSubscription
	}
	for c := range s.criteria {
		r.drop(s, c)
	}
	r.end(s)
	return nil
}

func (r *registry) drop(s *subscriber, c criterion) {
	delete(s.criteria, c)
	delete(r.byTopic[c], s)
	if len(r.byTopic[c]) == 0 {
		delete(r.byTopic, c)
	}
}

func (r *registry) end(s *subscriber) {
	delete(r.byPeer, s.peer)
	s.queue.close()
}

// refresh answers a ping.
func (r *registry) refresh(id peer.ID) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s, known := r.byPeer[id]
	if !known {
		return errNoSubscription
	}
	s.touch()
	return nil
}

func (r *registry) matching(pubsubTopic, contentTopic string) []*subscriber {
	r.mu.RLock()
	defer r.mu.RUnlock()
	set := r.byTopic[criterion{pubsubTopic, contentTopic}]
	subscribers := make([]*subscriber, 0, len(set))
	for s := range set {
		subscribers = append(subscribers, s)
	}
	return subscribers
}

func (r *registry) all() []*subscriber {
	r.mu.RLock()
	defer r.mu.RUnlock()
	subscribers := make([]*subscriber, 0, len(r.byPeer))
	for _, s := range r.byPeer {
		subscribers = append(subscribers, s)
	}
	return subscribers
}
