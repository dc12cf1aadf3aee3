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

// events are on their way to whoever ranges over Start.
type events struct {
	mu      sync.Mutex
	changed sync.Cond
	waiting []event
	bytes   int // of the envelopes in waiting
	ended   bool
}

func newEvents() *events {
	e := &events{}
	e.changed.L = &e.mu
	return e
}

// put adds an event; patient: waits while too many wait already.
func (e *events) put(event event, patient bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for patient && (len(e.waiting) >= waitingEnvelopes || e.bytes >= waitingBytes) && !e.ended {
		e.changed.Wait()
	}
	if e.ended {
		return
	}
	e.waiting = append(e.waiting, event)
	e.bytes += len(event.GetEnvelope().GetPayload())
	e.changed.Broadcast()
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
