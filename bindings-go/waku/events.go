package waku

import (
	"context"
	"sync"

	"chatsdk/abi"
	"chatsdk/waku/internal/shards"
)

// With so many envelopes, or bytes of them, not yet taken, further pushes wait, and so does the node that pushes them.
const (
	waitingEnvelopes = 4096
	waitingBytes     = 32 << 20
)

type event struct {
	*abi.TransportEvent
	// hash of the envelope's message.
	hash shards.Hash
}

// events are on their way to whoever ranges over Start. If pushes are lost because that is slow, it is told once more that the client is online, as soon
// as there is room again: then the core asks for all history.
type events struct {
	mu      sync.Mutex
	changed sync.Cond
	waiting []event
	bytes   int // of the envelopes in waiting
	online  bool
	// slow: since there was no room, until half of it is free. missed: something was lost meanwhile.
	slow, missed bool
	ended        bool
}

func newEvents() *events {
	e := &events{}
	e.changed.L = &e.mu
	return e
}

// put adds an envelope once there is room for it.
func (e *events) put(envelope event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.hasRoom() && !e.ended {
		e.changed.Wait()
	}
	e.add(envelope)
}

// offer adds an envelope; false: there is no room for it.
func (e *events) offer(envelope event) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.hasRoom() {
		e.missed = true
		return false
	}
	e.add(envelope)
	return true
}

// lose: a push did not get as far as put. If whoever takes the events is not slow it is the node that sends too much, and no reason to ask for history.
func (e *events) lose() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missed = e.missed || e.slow
}

func (e *events) connection(online bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.online = online
	e.addConnection()
}

// Those below are for the holder of the mutex.

func (e *events) hasRoom() bool {
	full := len(e.waiting) >= waitingEnvelopes || e.bytes >= waitingBytes
	e.slow = e.slow || full
	return !full
}

func (e *events) add(event event) {
	if e.ended {
		return
	}
	e.waiting = append(e.waiting, event)
	e.bytes += len(event.GetEnvelope().GetPayload())
	e.changed.Broadcast()
}

func (e *events) addConnection() {
	change := &abi.TransportEvent_Connection{Connection: &abi.ConnectionChanged{Online: e.online}}
	e.add(event{TransportEvent: &abi.TransportEvent{Event: change}})
}

func (e *events) settle() {
	if !e.slow || len(e.waiting) > waitingEnvelopes/2 || e.bytes > waitingBytes/2 {
		return
	}
	// What was missed while offline is asked for when that ends.
	if e.missed && e.online {
		e.addConnection()
	}
	e.slow, e.missed = false, false
}

// take waits for the next event; false: there will be none.
func (e *events) take(ctx context.Context) (event, bool) {
	defer context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.changed.Broadcast()
	})()
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.waiting) == 0 && !e.ended && ctx.Err() == nil {
		e.changed.Wait()
	}
	if len(e.waiting) == 0 || e.ended || ctx.Err() != nil {
		return event{}, false
	}
	next := e.waiting[0]
	e.waiting[0] = event{}
	e.waiting = e.waiting[1:]
	e.bytes -= len(next.GetEnvelope().GetPayload())
	e.settle()
	e.changed.Broadcast()
	return next, true
}

// end ends it for all: what waits is not reported.
func (e *events) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended, e.waiting = true, nil
	e.changed.Broadcast()
}
