// Package waku is the default transport of the SDK: the Waku network through service nodes, as a light client. It speaks light push, filter
// and store (version 3 of the first and last) over go-libp2p, on TCP and websockets, and keeps its connections and subscriptions alive.
//
// chatsdk/waku/relay is another transport, which takes part in the relay instead.
package waku

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/waku/internal/history"
	"chatsdk/waku/internal/mesh"
	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

const (
	dialTimeout = 10 * time.Second
	// firstReport: not connected by then is reported as being offline, even if an attempt is still under way.
	firstReport   = 3 * time.Second
	leaveGrace    = 500 * time.Millisecond
	historyRounds = 4
	historyPause  = 250 * time.Millisecond
)

// Transport implements the contract's Transport. It is safe for concurrent use.
type Transport struct {
	options Options
	network shards.Network
	relay   mesh.Relay // nil: light push and filter
	events  *events
	pushed  *pushed
	// pushing and proving hold those whose turn it is.
	pushing, proving chan struct{}
	// running ends with Stop.
	running    context.Context
	stop       context.CancelCauseFunc
	timestamps timestamps
	// sessions are the goroutines that Stop waits for.
	sessions sync.WaitGroup

	mu         sync.Mutex
	host       host.Host // nil before Start
	candidates []*candidate
	nodes      []*node
	topics     topics
	online     bool
	reported   bool // online, or its opposite, was reported
	attempted  bool // an attempt to connect has ended, so that "offline" is news
	retry      *time.Timer
}

var _ abi.Transport = (*Transport)(nil)

// New checks the options; Start connects. Those that can never work are INVALID_ARGUMENT, which names the option and the remedy.
func New(options Options) (*Transport, error) {
	return NewRelaying(options, nil)
}

// NewRelaying is for chatsdk/waku/relay.
func NewRelaying(options Options, relay mesh.Relay) (*Transport, error) {
	options = options.withDefaults()
	if err := options.check(); err != nil {
		return nil, err
	}
	candidates, err := parsePeers(options.Peers)
	if err != nil {
		return nil, err
	}
	t := &Transport{
		options: options, network: options.network(), relay: relay, events: newEvents(), pushed: newPushed(),
		pushing: make(chan struct{}, options.PublishConcurrency), proving: make(chan struct{}, 1),
		candidates: candidates, topics: topics{},
	}
	t.running, t.stop = context.WithCancelCause(context.Background())
	return t, nil
}

// Start connects in the background and reports from then on; it ends with Stop, or with the context. A transport is started once.
func (t *Transport) Start(ctx context.Context) iter.Seq2[*abi.TransportEvent, error] {
	err := t.start()
	return func(yield func(*abi.TransportEvent, error) bool) {
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			event, more := t.events.take(ctx)
			if !more || !yield(event.TransportEvent, nil) {
				return
			}
			if event.GetEnvelope() != nil {
				t.pushed.take(event.hash)
			}
		}
	}
}

func (t *Transport) start() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.host != nil || t.running.Err() != nil {
		return failed(nil, "a transport is started once")
	}
	h, err := t.makeHost()
	if err != nil {
		return failed(err, "the libp2p node cannot be started")
	}
	if err := t.followOffers(h); err != nil {
		return failed(errors.Join(err, h.Close()), "the libp2p node cannot be started")
	}
	h.SetStreamHandler(wire.MetadataID, func(stream network.Stream) {
		wire.AnswerCluster(stream, t.options.ClusterID, t.served())
	})
	h.SetStreamHandler(wire.FilterPush, func(stream network.Stream) {
		n := t.nodeOf(stream.Conn().RemotePeer())
		if n == nil || !n.isSubscriber() {
			// Nobody asked it to push.
			_ = stream.Reset()
			return
		}
		wire.ReceivePushes(stream, n.reading, func(pubsubTopic string, message *wire.WakuMessage) {
			if n.isOpen() && n.isSubscriber() {
				t.receive(pubsubTopic, message)
				n.hear()
			}
		}, t.events.lose)
	})
	h.Network().Notify(&network.NotifyBundle{DisconnectedF: func(net network.Network, connection network.Conn) {
		if n := t.nodeOf(connection.RemotePeer()); n != nil && net.Connectedness(connection.RemotePeer()) != network.Connected {
			// Not from within the notification, which holds up the others.
			go n.drop(errClosed)
		}
	}})
	t.host = h
	context.AfterFunc(t.running, t.events.end)
	first := time.AfterFunc(firstReport, t.reportOffline)
	context.AfterFunc(t.running, func() { first.Stop() })
	t.connect()
	return nil
}

func (t *Transport) makeHost() (host.Host, error) {
	if t.relay == nil {
		return newHost(t.events.lose)
	}
	further, err := t.relay.HostOptions()
	if err != nil {
		return nil, err
	}
	h, err := newHost(t.events.lose, further...)
	if err != nil {
		return nil, err
	}
	if err := t.relay.Start(t.running, h, t.receiveRelayed, t.onNodeChange); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// served are the shards this node serves.
func (t *Transport) served() []uint32 {
	if t.relay == nil {
		return nil
	}
	shards := make([]uint32, t.options.ShardCount)
	for i := range shards {
		shards[i] = uint32(i)
	}
	return shards
}

// Subscribe receives from exactly these content topics from now on, again after each reconnection, until the next call.
func (t *Transport) Subscribe(ctx context.Context, request *abi.Subscribe) error {
	wanted := topics{}
	for _, topic := range request.GetTopics() {
		pubsubTopic, err := t.network.PubsubTopic(topic)
		if err != nil {
			return err
		}
		wanted[topic] = pubsubTopic
	}
	t.mu.Lock()
	t.topics = wanted
	var subscribers []*node
	for _, n := range t.nodes {
		if n.isSubscriber() {
			n.choose(wanted)
			subscribers = append(subscribers, n)
		}
	}
	t.mu.Unlock()
	if t.relay != nil {
		defer t.onNodeChange()
		return t.relay.Subscribe(ctx, slices.Compact(slices.Sorted(maps.Values(wanted))))
	}
	var syncing sync.WaitGroup
	for _, n := range subscribers {
		syncing.Go(n.sync)
	}
	syncing.Wait()
	return nil
}

// QueryHistory gives the stored messages of the topics in the interval, oldest first, in pages: all, or with MissedOnly those that Start has not given.
// It fails if no store node answers.
func (t *Transport) QueryHistory(ctx context.Context, request *abi.QueryHistory) iter.Seq2[*abi.EnvelopeBatch, error] {
	return func(yield func(*abi.EnvelopeBatch, error) bool) {
		groups, err := t.groups(request.GetTopics())
		if err != nil {
			yield(nil, err)
			return
		}
		limited, abort := context.WithCancelCause(ctx)
		defer abort(nil)
		defer context.AfterFunc(t.running, func() { abort(errStopped) })()
		options := history.Options{
			Nodes: t.storeNodes, PageSize: uint64(t.options.HistoryPageSize), Rounds: historyRounds, Pause: historyPause,
		}
		if request.GetMissedOnly() {
			options.Pushed = t.pushed.taken
		}
		for page, err := range history.Messages(limited, groups, request.GetStartMs(), request.GetEndMs(), options) {
			if err != nil {
				if ctx.Err() != nil {
					err = aborted(ctx)
				} else {
					err = retryable(err, "no store node answers")
				}
				yield(nil, err)
				return
			}
			batch := &abi.EnvelopeBatch{}
			for _, message := range page {
				batch.Envelopes = append(batch.Envelopes, received(message))
			}
			if !yield(batch, nil) {
				return
			}
		}
	}
}

// groups are the topics, each once, by shard.
func (t *Transport) groups(topics []string) ([]history.Group, error) {
	var groups []history.Group
	index := map[string]int{}
	known := map[string]bool{}
	for _, topic := range topics {
		pubsubTopic, err := t.network.PubsubTopic(topic)
		if err != nil {
			return nil, err
		}
		if known[topic] {
			continue
		}
		known[topic] = true
		at, found := index[pubsubTopic]
		if !found {
			at = len(groups)
			index[pubsubTopic] = at
			groups = append(groups, history.Group{PubsubTopic: pubsubTopic})
		}
		groups[at].Topics = append(groups[at].Topics, topic)
	}
	return groups, nil
}

func (t *Transport) storeNodes() []history.Node {
	var nodes []history.Node
	for _, n := range t.openNodes() {
		if n.canStore() {
			nodes = append(nodes, n.query)
		}
	}
	return nodes
}

// Stop ends all connections. No event is reported after it returns.
func (t *Transport) Stop(context.Context) error {
	t.stop(errStopped)
	t.mu.Lock()
	if t.retry != nil {
		t.retry.Stop()
	}
	h := t.host
	t.mu.Unlock()
	var leaving sync.WaitGroup
	for _, n := range t.openNodes() {
		leaving.Go(func() { n.leave(leaveGrace) })
	}
	leaving.Wait()
	t.sessions.Wait()
	if h != nil {
		if t.relay != nil {
			t.relay.Stop()
		}
		if err := h.Close(); err != nil {
			return failed(err, "the libp2p node cannot be stopped")
		}
	}
	return nil
}

func (t *Transport) receive(pubsubTopic string, message *wire.WakuMessage) {
	if envelope, isNew := t.envelope(pubsubTopic, message); isNew {
		t.events.put(envelope)
	}
}

// receiveRelayed does not wait for room: a relay that is held up loses messages without a word.
func (t *Transport) receiveRelayed(pubsubTopic string, message *wire.WakuMessage) {
	if envelope, isNew := t.envelope(pubsubTopic, message); isNew && !t.events.offer(envelope) {
		t.pushed.forget(envelope.hash)
	}
}

// envelope of a message that is subscribed to; false: it is not, or came before.
func (t *Transport) envelope(pubsubTopic string, message *wire.WakuMessage) (envelope event, isNew bool) {
	t.mu.Lock()
	ours := pubsubTopic != "" && t.topics[message.GetContentTopic()] == pubsubTopic
	t.mu.Unlock()
	if !ours {
		return event{}, false
	}
	hash := shards.MessageHash(pubsubTopic, message)
	envelope = event{&abi.TransportEvent{Event: &abi.TransportEvent_Envelope{Envelope: received(message)}}, hash}
	return envelope, t.pushed.isNew(hash, message.GetTimestamp())
}

func received(message *wire.WakuMessage) *abi.EnvelopeReceived {
	return &abi.EnvelopeReceived{Topic: message.GetContentTopic(), Payload: message.GetPayload()}
}

func aborted(ctx context.Context) error {
	return fault.Because(abi.ErrorCode_ABORTED, context.Cause(ctx), "the call was aborted")
}
