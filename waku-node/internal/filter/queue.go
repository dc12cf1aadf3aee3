package filter

import "sync"

// maxQueued bounds the messages that wait for one subscriber, by number and by size. Filter is a best
// effort service: a client that falls further behind gets the rest from the store.
const (
	maxQueued      = 8192
	maxQueuedBytes = 32 << 20
)

// queue holds the encoded pushes of one subscriber in order of arrival.
type queue struct {
	mu     sync.Mutex
	frames [][]byte
	bytes  int
	closed bool
	ready  chan struct{} // holds a token while there may be frames
	done   chan struct{} // closed by close
}

func newQueue() *queue {
	return &queue{ready: make(chan struct{}, 1), done: make(chan struct{})}
}

// push appends a frame and tells whether an older one had to go.
func (q *queue) push(frame []byte) (dropped bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	for len(q.frames) > 0 && (len(q.frames) == maxQueued || q.bytes+len(frame) > maxQueuedBytes) {
		q.take()
		dropped = true
	}
	q.frames = append(q.frames, frame)
	q.bytes += len(frame)
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return dropped
}

// pop removes the oldest frame, if there is one.
func (q *queue) pop() ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) == 0 {
		return nil, false
	}
	return q.take(), true
}

func (q *queue) take() []byte {
	frame := q.frames[0]
	q.frames[0] = nil
	q.frames = q.frames[1:]
	q.bytes -= len(frame)
	return frame
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		q.frames, q.bytes = nil, 0
		close(q.done)
	}
}
