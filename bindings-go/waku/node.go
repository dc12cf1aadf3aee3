package waku

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"chatsdk/waku/internal/history"
	"chatsdk/waku/internal/mesh"
	"chatsdk/waku/internal/wire"
)

const (
	// topicsPerRequest: go-waku and nwaku refuse more in one request.
	topicsPerRequest = 100
	// storePatience: a page of history may be megabytes on a slow line.
	storePatience = 3
	// go-waku's default is one filter request a second for each peer.
	busyRetries = 3
	busyPause   = 1100 * time.Millisecond
	// refusalPause: after a refusal the node is not asked to subscribe us for this long.
	refusalPause = 10 * time.Second
	// maxUnchecked: of so many intervals, a node is pinged in one, also if it pushes in all.
	maxUnchecked = 7
)

var (
	errTimeout = errors.New("no answer in time")
	errStopped = errors.New("stopped")
	errClosed  = errors.New("the connection was closed")
)

// topics is what a node is to be subscribed to: content topic -> pubsub topic.
type topics map[string]string

// node is one connected service node: what it can do, its filter subscription, and the watchdog that notices when either is gone.
//
// The watchdog sends a filter ping at each interval in which the node has pushed nothing. No answer: the connection is dead (a paused node, a
// pulled cable, a laptop that slept; TCP alone takes minutes to tell), and is dropped. "No subscription": the node forgot us, which nothing
// else tells; onChange sees the node unsubscribed, then subscribed again, so the client looks for what it missed. Now and then it pings all the
// same: a node ends a subscription some minutes after the last ping, however much it pushes.
type node struct {
	host     host.Host
	id       peer.ID
	options  Options
	onChange func()

	relaying bool

	// open ends with the connection, with the reason as its cause.
	open  context.Context
	close context.CancelCauseFunc
	alarm chan struct{}
	// reading has those of its pushes that are being read.
	reading chan struct{}
	// turn: subscription changes and checks take turns.
	turn sync.Mutex
	// subscribed is what the node agreed to; of whose turn it is.
	subscribed topics

	mu        sync.Mutex
	wanted    topics // nil: not chosen to be subscribed
	synced    bool
	heard     bool
	refusedAt time.Time
}

// openNode fails if the node at the other end is of another cluster or offers nothing. A relay pushes and subscribes by itself.
func openNode(h host.Host, id peer.ID, options Options, relaying bool, onChange func()) (*node, error) {
	n := &node{
		host: h, id: id, options: options, onChange: onChange, alarm: make(chan struct{}, 1), reading: make(chan struct{}, wire.PushesAtOnce), subscribed: topics{},
		relaying: relaying,
	}
	if !n.canPush() && !n.canStore() && !n.hasFilter() && !(relaying && n.offers(mesh.Protocol)) {
		return nil, errors.New("the node offers none of the protocols needed")
	}
	n.open, n.close = context.WithCancelCause(context.Background())
	if n.offers(wire.MetadataID) {
		cluster, said, err := n.askCluster()
		if err == nil && said && cluster != 0 && cluster != uint32(options.ClusterID) {
			err = fmt.Errorf("the node serves cluster %d, not %d", cluster, options.ClusterID)
		}
		if err != nil {
			n.close(err)
			return nil, err
		}
	}
	return n, nil
}

func (n *node) isOpen() bool { return n.open.Err() == nil }

// canFilter: it offers to push messages, and has not refused to just now.
func (n *node) canFilter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hasFilter() && time.Since(n.refusedAt) > refusalPause
}

// isSubscriber: chosen to be subscribed.
func (n *node) isSubscriber() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wanted != nil
}

// isSubscribed: subscribed to all that was asked for last.
func (n *node) isSubscribed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.isOpen() && n.wanted != nil && n.synced
}

// choose makes the node a subscriber of exactly these topics; sync brings it about.
func (n *node) choose(wanted topics) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wanted = wanted
}

// sync brings the node's view of our subscription to what is wanted. See isSubscribed for how it went.
func (n *node) sync() {
	n.inTurn(n.syncNow)
}

func (n *node) push(ctx context.Context, pubsubTopic string, message *wire.WakuMessage) error {
	_, err := request(n, ctx, 1, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, wire.Push(ctx, n.host, n.id, pubsubTopic, message)
	})
	return err
}

func (n *node) query(ctx context.Context, query *wire.StoreRequest) (*wire.StoreResponse, error) {
	return request(n, ctx, storePatience, func(ctx context.Context) (*wire.StoreResponse, error) {
		return wire.Query(ctx, n.host, n.id, query)
	})
}

// watch runs the watchdog until the connection is gone, one way or the other.
func (n *node) watch() {
	ticker := time.NewTicker(n.options.WatchdogInterval)
	defer ticker.Stop()
	unchecked := 0
	for {
		suspected := false
		select {
		case <-n.open.Done():
			return
		case <-n.alarm:
			suspected = true
		case <-ticker.C:
		}
		n.mu.Lock()
		alive := n.heard && !suspected
		n.heard = false
		n.mu.Unlock()
		if unchecked++; !alive || unchecked == maxUnchecked {
			unchecked = 0
			n.inTurn(n.check)
		}
		// Also lets a node that refused to subscribe us be asked again.
		n.onChange()
	}
}

// hear: the node pushed a message that we are subscribed to, proof of connection and subscription.
func (n *node) hear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = true
}

// suspect has the watchdog look now.
func (n *node) suspect() {
	select {
	case n.alarm <- struct{}{}:
	default:
	}
}

// drop ends the connection at once.
func (n *node) drop(reason error) {
	if !n.isOpen() {
		return
	}
	n.close(reason)
	// It is gone, or goes now.
	_ = n.host.Network().ClosePeer(n.id)
	n.onChange()
}

// leave frees the subscription, which a node keeps for minutes after its client is gone, and closes.
func (n *node) leave(grace time.Duration) {
	ctx, cancel := context.WithTimeout(n.open, grace)
	defer cancel()
	if n.isOpen() && n.isSubscriber() {
		if err := wire.Filter(ctx, n.host, n.id, wire.FilterAction_UNSUBSCRIBE_ALL, "", nil); err != nil {
			// It was a courtesy.
			n.options.Logger.Debug("taking leave", "node", n.id, "error", err)
		}
	}
	n.drop(errStopped)
}

func (n *node) check() error {
	err := n.probe()
	var status *wire.Status
	if err != nil && !errors.As(err, &status) && !errors.Is(err, errTimeout) && n.isOpen() {
		// A stream that was reset says little; the next one decides.
		err = n.probe()
	}
	if !errors.As(err, &status) {
		return err
	}
	if status.Code != 404 || len(n.subscribed) == 0 {
		return nil
	}
	clear(n.subscribed)
	n.setSynced(false)
	return n.syncNow()
}

func (n *node) probe() error {
	if n.hasFilter() {
		return n.timed(func(ctx context.Context) error {
			return wire.Filter(ctx, n.host, n.id, wire.FilterAction_SUBSCRIBER_PING, "", nil)
		})
	}
	_, _, err := n.askCluster()
	return err
}

func (n *node) askCluster() (cluster uint32, said bool, err error) {
	err = n.timed(func(ctx context.Context) (err error) {
		cluster, said, err = wire.AskCluster(ctx, n.host, n.id, n.options.ClusterID)
		return err
	})
	return cluster, said, err
}

// inTurn runs the task after those before it. A refusal by the node ends the subscription, any other error the connection.
func (n *node) inTurn(task func() error) {
	n.turn.Lock()
	defer n.turn.Unlock()
	if !n.isOpen() {
		return
	}
	err := task()
	var status *wire.Status
	switch {
	case err == nil:
	case errors.As(err, &status):
		n.refused(status)
	default:
		n.drop(err)
	}
}

// syncNow is for whose turn it is.
func (n *node) syncNow() error {
	n.mu.Lock()
	wanted := n.wanted
	n.mu.Unlock()
	if wanted == nil {
		return nil
	}
	for _, request := range requests(wanted, n.subscribed) {
		if err := n.filter(wire.FilterAction_SUBSCRIBE, request); err != nil {
			return err
		}
		for _, topic := range request.topics {
			n.subscribed[topic] = request.pubsubTopic
		}
	}
	for _, request := range requests(n.subscribed, wanted) {
		if err := n.filter(wire.FilterAction_UNSUBSCRIBE, request); err != nil {
			return err
		}
		for _, topic := range request.topics {
			delete(n.subscribed, topic)
		}
	}
	n.setSynced(true)
	return nil
}

// refused: the node is alive but does not want us as a subscriber; another one may, and this one still pushes and stores.
func (n *node) refused(status *wire.Status) {
	n.options.Logger.Debug("not subscribed", "node", n.id, "error", status)
	n.mu.Lock()
	n.refusedAt = time.Now()
	n.wanted = nil
	n.mu.Unlock()
	n.setSynced(false)
}

func (n *node) filter(action wire.FilterAction, request filterRequest) error {
	for attempt := 1; ; attempt++ {
		err := n.timed(func(ctx context.Context) error {
			return wire.Filter(ctx, n.host, n.id, action, request.pubsubTopic, request.topics)
		})
		var status *wire.Status
		if !errors.As(err, &status) {
			return err
		}
		if action == wire.FilterAction_UNSUBSCRIBE && status.Code == 404 {
			return nil
		}
		if !status.Busy() || attempt > busyRetries {
			return err
		}
		if err := history.Sleep(n.open, busyPause*time.Duration(attempt)); err != nil {
			return err
		}
	}
}

func (n *node) setSynced(synced bool) {
	n.mu.Lock()
	n.synced = synced
	n.mu.Unlock()
	n.onChange()
}

func (n *node) timed(task func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(n.open, n.options.RequestTimeout, errTimeout)
	defer cancel()
	return task(ctx)
}

// request runs a task with the caller's context. If it fails without an answer, the watchdog looks at once.
func request[T any](n *node, caller context.Context, patience time.Duration, task func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(n.open, n.options.RequestTimeout*patience, errTimeout)
	defer cancel()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	defer context.AfterFunc(caller, func() { abort(context.Cause(caller)) })()
	result, err := task(ctx)
	var status *wire.Status
	if err != nil && !errors.As(err, &status) && caller.Err() == nil {
		n.suspect()
	}
	return result, err
}

type filterRequest struct {
	pubsubTopic string
	topics      []string
}

// requests are the topics of all that without lacks, in requests of one pubsub topic and a size nodes accept.
func requests(all, without topics) []filterRequest {
	groups := map[string][]string{}
	for topic, pubsubTopic := range all {
		if _, found := without[topic]; !found {
			groups[pubsubTopic] = append(groups[pubsubTopic], topic)
		}
	}
	var found []filterRequest
	for _, pubsubTopic := range slices.Sorted(maps.Keys(groups)) {
		slices.Sort(groups[pubsubTopic])
		for part := range slices.Chunk(groups[pubsubTopic], topicsPerRequest) {
			found = append(found, filterRequest{pubsubTopic, part})
		}
	}
	return found
}
