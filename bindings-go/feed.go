package chatsdk

import (
	"context"
	"iter"
	"sync"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// acknowledgeDelay is how long events dealt with are collected before they are forgotten in one commit.
const acknowledgeDelay = 50 * time.Millisecond

// feed is events on their way to the application's loops. A stored event counts as dealt with once every loop that runs has asked for the one
// after it; with no loop running events wait, so that the first loop sees all of them.
type feed struct {
	onAcknowledged func(number uint64)

	mu      sync.Mutex
	changed sync.Cond
	events  []Event
	// base is the index of the first event in events.
	base         int
	readers      map[*reader]bool
	acknowledged uint64
	// told is what onAcknowledged knows.
	told   uint64
	timer  *time.Timer
	closed bool
}

type reader struct {
	// next is the index into the feed of the next event.
	next int
}

func newFeed(onAcknowledged func(number uint64)) *feed {
	f := &feed{onAcknowledged: onAcknowledged, readers: map[*reader]bool{}}
	f.changed.L = &f.mu
	return f
}

func (f *feed) push(event Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Of the moment only: for those who listen now.
	if event.EventNumber() == 0 && len(f.readers) == 0 {
		return
	}
	f.events = append(f.events, event)
	f.changed.Broadcast()
}

// close ends all loops. What they have dealt with is still acknowledged.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.changed.Broadcast()
	f.mu.Unlock()
	f.tell()
}

func (f *feed) read(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if ctx == nil {
			yield(nil, fault.OfContext(ctx))
			return
		}
		defer context.AfterFunc(ctx, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.changed.Broadcast()
		})()
		reader := f.join()
		defer f.leave(reader)
		for {
			event, more := f.take(ctx, reader)
			if !more {
				if ctx.Err() != nil {
					yield(nil, fault.Because(abi.ErrorCode_ABORTED, fault.CauseOf(ctx), "the loop of events was aborted"))
				}
				return
			}
			if !yield(event, nil) {
				return
			}
			f.dealtWith(reader)
		}
	}
}

func (f *feed) join() *reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	reader := &reader{next: f.base}
	f.readers[reader] = true
	return reader
}

func (f *feed) leave(reader *reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, reader)
	if len(f.readers) > 0 {
		// What only this one held up.
		f.forget()
	}
}

func (f *feed) take(ctx context.Context, reader *reader) (Event, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed && ctx.Err() == nil {
		if at := reader.next - f.base; at < len(f.events) {
			return f.events[at], true
		}
		f.changed.Wait()
	}
	return nil, false
}

func (f *feed) dealtWith(reader *reader) {
	f.mu.Lock()
	reader.next++
	f.forget()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		// The engine waits for nobody.
		f.tell()
	}
}

// forget is for the holder of the mutex.
func (f *feed) forget() {
	least := f.base + len(f.events)
	for reader := range f.readers {
		least = min(least, reader.next)
	}
	for _, event := range f.events[:least-f.base] {
		f.acknowledged = max(f.acknowledged, event.EventNumber())
	}
	clear(f.events[:least-f.base])
	f.events, f.base = f.events[least-f.base:], least
	if f.acknowledged > f.told && f.timer == nil {
		f.timer = time.AfterFunc(acknowledgeDelay, f.tell)
	}
}

func (f *feed) tell() {
	f.mu.Lock()
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	number := f.acknowledged
	fresh := number > f.told
	f.told = number
	f.mu.Unlock()
	if fresh {
		f.onAcknowledged(number)
	}
}
