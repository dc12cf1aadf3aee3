package waku

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"chatsdk/waku/internal/history"
)

// candidate is a service node we know of. The transport's mutex guards it, but for the addresses, which do not change.
type candidate struct {
	// id is empty until it is learnt, if the address names none.
	id          peer.ID
	addresses   []multiaddr.Multiaddr
	busy        bool
	failures    int
	nextAttempt time.Time
}

// connect starts sessions with idle candidates until enough are under way; the one that waited longest goes first. It is for the holder of the
// mutex.
func (t *Transport) connect() {
	if t.retry != nil {
		t.retry.Stop()
		t.retry = nil
	}
	if t.running.Err() != nil {
		return
	}
	free := t.options.MaxPeers
	var idle []*candidate
	for _, candidate := range t.candidates {
		if candidate.busy {
			free--
		} else {
			idle = append(idle, candidate)
		}
	}
	slices.SortStableFunc(idle, func(a, b *candidate) int { return a.nextAttempt.Compare(b.nextAttempt) })
	for _, candidate := range idle {
		if free <= 0 {
			return
		}
		if wait := time.Until(candidate.nextAttempt); wait > 0 {
			t.retry = time.AfterFunc(wait, func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				t.connect()
			})
			return
		}
		free--
		candidate.busy = true
		t.sessions.Go(func() { t.session(candidate) })
	}
}

// session is one connection from dial to end.
func (t *Transport) session(candidate *candidate) {
	n, err := t.open(candidate)
	if err == nil {
		t.onNodeChange()
		n.watch()
	} else {
		t.options.Logger.Debug("cannot use the node", "addresses", candidate.addresses, "error", err)
	}
	t.mu.Lock()
	t.nodes = slices.DeleteFunc(t.nodes, func(other *node) bool { return other == n })
	if err == nil {
		candidate.failures = 0
	} else {
		candidate.failures++
	}
	candidate.busy = false
	candidate.nextAttempt = time.Now().Add(history.Backoff(candidate.failures, t.options.ReconnectMin, t.options.ReconnectMax))
	t.mu.Unlock()
	t.reportOffline()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connect()
}

func (t *Transport) open(candidate *candidate) (*node, error) {
	t.mu.Lock()
	h, id := t.host, candidate.id
	t.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(t.running, dialTimeout, errTimeout)
	defer cancel()
	if id == "" {
		var err error
		if id, err = learnID(ctx, h, candidate.addresses); err != nil {
			return nil, err
		}
	}
	if t.nodeOf(id) != nil {
		return nil, errors.New("this node is connected through another address")
	}
	if err := dial(ctx, h, id, candidate.addresses); err != nil {
		return nil, err
	}
	n, err := openNode(h, id, t.options, t.relay != nil, t.onNodeChange)
	if err != nil {
		return nil, errors.Join(err, h.Network().ClosePeer(id))
	}
	t.mu.Lock()
	t.nodes = append(t.nodes, n)
	t.mu.Unlock()
	// Before anybody could notice.
	if t.running.Err() != nil {
		n.drop(errStopped)
	} else if h.Network().Connectedness(id) != network.Connected {
		n.drop(errClosed)
	}
	return n, nil
}

// onNodeChange chooses subscribers where some are wanted, and reports whether publishing and subscribing work.
func (t *Transport) onNodeChange() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running.Err() != nil {
		return
	}
	subscribers := 0
	canPush, subscribed := false, false
	for _, n := range t.nodes {
		if n.isOpen() && n.isSubscriber() {
			subscribers++
		}
	}
	for _, n := range t.nodes {
		if !n.isOpen() {
			continue
		}
		if subscribers < t.options.FilterPeers && n.canFilter() && !n.isSubscriber() {
			subscribers++
			n.choose(t.topics)
			go n.sync()
		}
		canPush = canPush || n.canPush()
		subscribed = subscribed || n.isSubscribed()
	}
	online := canPush && subscribed
	if t.relay != nil {
		online = t.relay.Ready()
	}
	if t.reported && online == t.online || !online && !t.attempted {
		return
	}
	t.online, t.reported, t.attempted = online, true, true
	t.options.Logger.Info("connection", "online", online)
	t.events.connection(online)
}

func (t *Transport) reportOffline() {
	t.mu.Lock()
	t.attempted = true
	t.mu.Unlock()
	t.onNodeChange()
}

func (t *Transport) openNodes() []*node {
	t.mu.Lock()
	defer t.mu.Unlock()
	var open []*node
	for _, n := range t.nodes {
		if n.isOpen() {
			open = append(open, n)
		}
	}
	return open
}

func (t *Transport) nodeOf(id peer.ID) *node {
	for _, n := range t.openNodes() {
		if n.id == id {
			return n
		}
	}
	return nil
}
