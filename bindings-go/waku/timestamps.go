package waku

import (
	"sync"
	"time"
)

// maxAhead: nodes refuse a timestamp that is more than 20 s from their clock. Far below that, and far above what a burst adds.
const maxAhead = 5 * time.Second

// timestamps of messages are Unix time in nanoseconds. No two in a row are alike: the network takes messages that differ in nothing for one. They
// run ahead of the clock only briefly, so that a clock that was ahead and was put right is followed.
type timestamps struct {
	mu   sync.Mutex
	last int64
}

func (t *timestamps) next(clock time.Time) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := clock.UnixMilli() * int64(time.Millisecond)
	if stale := t.last > now+int64(maxAhead); now > t.last || stale {
		t.last = now
	} else {
		t.last++
	}
	return t.last
}
