package waku

import (
	"slices"
	"testing"
	"testing/synctest"

	"chatsdk/abi"
)

func envelope(size int) event {
	received := &abi.EnvelopeReceived{Payload: make([]byte, size)}
	return event{TransportEvent: &abi.TransportEvent{Event: &abi.TransportEvent_Envelope{Envelope: received}}}
}

func TestF3_EnvelopesThatNobodyTakesYetAreBoundedInNumberAndSize(t *testing.T) {
	for _, test := range []struct{ size, fit int }{{size: 1, fit: waitingEnvelopes}, {size: 1 << 20, fit: 32}} {
		synctest.Test(t, func(t *testing.T) {
			events := newEvents()
			put := 0
			go func() {
				for range test.fit + 10 {
					events.put(envelope(test.size))
					put++
				}
			}()
			synctest.Wait()
			if put != test.fit {
				t.Errorf("%d of %d bytes wait", put, test.size)
			}
			for range test.fit + 10 {
				if _, more := events.take(t.Context()); !more {
					t.Error("one was lost")
				}
			}
			synctest.Wait()
			if put != test.fit+10 || events.bytes != 0 {
				t.Errorf("%d were put, and %d bytes are left", put, events.bytes)
			}
		})
	}
}

// changes takes so many events, and gives the connection changes among them.
func changes(t *testing.T, events *events, count int) (online []bool) {
	t.Helper()
	for range count {
		event, more := events.take(t.Context())
		if !more {
			t.Fatal("one was lost")
		}
		if change := event.GetConnection(); change != nil {
			online = append(online, change.GetOnline())
		}
	}
	return online
}

func TestF4_WhatASlowListenerLosesIsToldOnceThereIsRoom(t *testing.T) {
	for name, test := range map[string]struct {
		lose func(events *events)
		told []bool
	}{
		"nothing": {func(*events) {}, nil},
		"pushes": {func(events *events) {
			events.lose()
			events.lose()
		}, []bool{true}},
		"relayed": {func(events *events) {
			if events.offer(envelope(1)) {
				t.Error("there was room")
			}
		}, []bool{true}},
		"pushes, and the connection": {func(events *events) {
			events.lose()
			events.connection(false)
		}, []bool{false}},
	} {
		for _, size := range []int{1, waitingBytes / 8} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					events := newEvents()
					events.lose()
					events.connection(true)
					fit := min(waitingEnvelopes-1, waitingBytes/size)
					for range fit {
						events.put(envelope(size))
					}
					go events.put(envelope(size))
					synctest.Wait()
					test.lose(events)
					if told := changes(t, events, fit/2); len(told) != 1 {
						t.Errorf("%v, while there was hardly room", told)
					}
					synctest.Wait()
					told := changes(t, events, len(events.waiting))
					told = append(told, changes(t, events, len(events.waiting))...)
					if !slices.Equal(told, test.told) {
						t.Errorf("told %v, want %v", told, test.told)
					}
					// It is no slower than the node now.
					events.lose()
					events.put(envelope(1))
					if told := changes(t, events, len(events.waiting)); len(told) > 0 {
						t.Errorf("told %v afterwards", told)
					}
				})
			})
		}
	}
}
