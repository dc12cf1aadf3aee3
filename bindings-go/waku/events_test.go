package waku

import (
	"testing"
	"testing/synctest"

	"chatsdk/abi"
)

func TestF3_EnvelopesThatNobodyTakesYetAreBoundedInNumberAndSize(t *testing.T) {
	for _, test := range []struct{ size, fit int }{{size: 1, fit: waitingEnvelopes}, {size: 1 << 20, fit: 32}} {
		synctest.Test(t, func(t *testing.T) {
			events := newEvents()
			put := 0
			go func() {
				for range test.fit + 10 {
					envelope := &abi.EnvelopeReceived{Payload: make([]byte, test.size)}
					events.put(event{TransportEvent: &abi.TransportEvent{Event: &abi.TransportEvent_Envelope{Envelope: envelope}}}, true)
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
