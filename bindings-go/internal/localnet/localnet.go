// Package localnet is a network in memory, for tests: it keeps what is published, hands it to whoever is subscribed, and answers history, as a
// service node does. It can be taken down, lose messages and deliver them twice.
package localnet

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// Network connects its transports.
type Network struct {
	mu         sync.Mutex
	down       bool
	drop       func(topic string, payload []byte) bool
	stored     []stored
	transports map[*Transport]bool
}

type stored struct {
	ms       uint64
	envelope *abi.EnvelopeReceived
}

// New makes a network that is up.
func New() *Network {
	return &Network{transports: map[*Transport]bool{}}
}

// SetDown takes the network down, or up again.
func (n *Network) SetDown(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
	for transport := range n.transports {
		transport.put(connection(!down))
	}
}

// Drop loses, from delivery and store alike, what the function says; nil: nothing.
func (n *Network) Drop(drop func(topic string, payload []byte) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = drop
}

// Envelopes are all payloads that were stored.
func (n *Network) Envelopes() [][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	var payloads [][]byte
	for _, stored := range n.stored {
		payloads = append(payloads, stored.envelope.GetPayload())
	}
	return payloads
}

// Inject delivers an envelope as if somebody had published it.
func (n *Network) Inject(topic string, payload []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.take(topic, payload)
}

func (n *Network) take(topic string, payload []byte) {
	envelope := &abi.EnvelopeReceived{Topic: topic, Payload: bytes.Clone(payload)}
	n.stored = append(n.stored, stored{uint64(time.Now().UnixMilli()), envelope})
	for transport := range n.transports {
		if slices.Contains(transport.topics, topic) {
			transport.put(&abi.TransportEvent{Event: &abi.TransportEvent_Envelope{Envelope: envelope}})
		}
	}
}

// Transport of one client.
type Transport struct {
	network *Network
	// topics belong to the network's mutex.
	topics []string

	mu      sync.Mutex
	changed sync.Cond
	events  []*abi.TransportEvent
	pushed  map[*abi.EnvelopeReceived]bool
	stopped bool
}

var _ abi.Transport = (*Transport)(nil)

// Transport makes one, not started.
func (n *Network) Transport() *Transport {
	t := &Transport{network: n, pushed: map[*abi.EnvelopeReceived]bool{}}
	t.changed.L = &t.mu
	return t
}

// Start joins the network.
func (t *Transport) Start(ctx context.Context) iter.Seq2[*abi.TransportEvent, error] {
	t.network.mu.Lock()
	defer t.network.mu.Unlock()
	t.network.transports[t] = true
	t.put(connection(!t.network.down))
	return func(yield func(*abi.TransportEvent, error) bool) {
		defer context.AfterFunc(ctx, t.wakeUp)()
		for {
			event := t.next(ctx)
			if event == nil || !yield(event, nil) {
				return
			}
			t.notePush(event.GetEnvelope())
		}
	}
}

// Subscribe replaces the topics.
func (t *Transport) Subscribe(_ context.Context, request *abi.Subscribe) error {
	t.network.mu.Lock()
	defer t.network.mu.Unlock()
	t.topics = request.GetTopics()
	return nil
}

// Publish fails while the network is down.
func (t *Transport) Publish(_ context.Context, request *abi.Publish) error {
	t.network.mu.Lock()
	defer t.network.mu.Unlock()
	if t.network.down || !t.network.transports[t] {
		return fault.Retryable(abi.ErrorCode_TRANSPORT_FAILED, nil, "no node is connected")
	}
	if t.network.drop == nil || !t.network.drop(request.GetTopic(), request.GetPayload()) {
		t.network.take(request.GetTopic(), request.GetPayload())
	}
	return nil
}

// QueryHistory gives one page: of all, or of what was not pushed to this transport.
func (t *Transport) QueryHistory(_ context.Context, request *abi.QueryHistory) iter.Seq2[*abi.EnvelopeBatch, error] {
	return func(yield func(*abi.EnvelopeBatch, error) bool) {
		t.network.mu.Lock()
		down := t.network.down
		batch := &abi.EnvelopeBatch{}
		for _, stored := range t.network.stored {
			wanted := !request.GetMissedOnly() || !t.wasPushed(stored.envelope)
			if wanted && slices.Contains(request.GetTopics(), stored.envelope.GetTopic()) && stored.ms >= request.GetStartMs() && stored.ms <= request.GetEndMs() {
				batch.Envelopes = append(batch.Envelopes, stored.envelope)
			}
		}
		t.network.mu.Unlock()
		if down {
			yield(nil, fault.Retryable(abi.ErrorCode_TRANSPORT_FAILED, nil, "no store node answers"))
			return
		}
		yield(batch, nil)
	}
}

// Stop leaves the network.
func (t *Transport) Stop(context.Context) error {
	t.network.mu.Lock()
	delete(t.network.transports, t)
	t.network.mu.Unlock()
	t.mu.Lock()
	t.stopped = true
	t.mu.Unlock()
	t.wakeUp()
	return nil
}

func (t *Transport) notePush(envelope *abi.EnvelopeReceived) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if envelope != nil {
		t.pushed[envelope] = true
	}
}

func (t *Transport) wasPushed(envelope *abi.EnvelopeReceived) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pushed[envelope]
}

func (t *Transport) put(event *abi.TransportEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, event)
	t.changed.Broadcast()
}

func (t *Transport) wakeUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed.Broadcast()
}

func (t *Transport) next(ctx context.Context) *abi.TransportEvent {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.events) == 0 && !t.stopped && ctx.Err() == nil {
		t.changed.Wait()
	}
	if len(t.events) == 0 || t.stopped || ctx.Err() != nil {
		return nil
	}
	event := t.events[0]
	t.events = t.events[1:]
	return event
}

func connection(online bool) *abi.TransportEvent {
	return &abi.TransportEvent{Event: &abi.TransportEvent_Connection{Connection: &abi.ConnectionChanged{Online: online}}}
}
