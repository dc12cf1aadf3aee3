package filter

import (
	"fmt"
	"testing"
)

func TestQueueKeepsOrderAndBounds(t *testing.T) {
	q := newQueue()
	for i := range maxQueued + 10 {
		if dropped := q.push(fmt.Append(nil, i)); dropped != (i >= maxQueued) {
			t.Fatalf("push %d: dropped %v", i, dropped)
		}
	}
	for i := 10; i < maxQueued+10; i++ {
		if frame, ok := q.pop(); !ok || string(frame) != fmt.Sprint(i) {
			t.Fatalf("got %q, %v, want %d", frame, ok, i)
		}
	}
	if _, ok := q.pop(); ok {
		t.Error("an empty queue had a frame")
	}

	large := make([]byte, maxQueuedBytes/4)
	for i := range 6 {
		if dropped := q.push(large); dropped != (i >= 4) {
			t.Errorf("large push %d: dropped %v", i, dropped)
		}
	}
	q.push(make([]byte, maxQueuedBytes+1)) // is alone, and does not loop for ever
	if len(q.frames) != 1 {
		t.Errorf("%d frames", len(q.frames))
	}

	q.close()
	q.close()
	q.push([]byte("x"))
	if _, ok := q.pop(); ok {
		t.Error("a closed queue took a frame")
	}
}
