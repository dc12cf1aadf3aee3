package filter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// pushTimeout bounds one push. A client that does not read for so long has not got the message.
	pushTimeout = 10 * time.Second
	// maxOpen is how many push streams may be open at once. js-waku refuses more than 100.
	maxOpen = 64
	// A client that has not closed a push stream for so long is one that closes none; one that did
	// close streams before is only slow, and gets more time.
	patience       = 2 * time.Second
	closerPatience = 10 * time.Second
)

// outlet writes messages to one client, over streams that suit it.
//
// The specification leaves open whether a push stream carries one message or many, and clients differ:
// go-waku reads one message and closes the stream; js-waku reads on and never closes, and after 100
// streams refuses more. (A reset from this side does not help: mplex sends none for a stream that was
// closed for writing, and without that an unread message could be lost.) An outlet begins with a
// stream for each message, and keeps to one stream once it has seen that the client closes none.
type outlet struct {
	host   host.Host
	client peer.ID

	connection string        // id of the connection that the rest is about
	open       []*pushStream // not closed by the client when last looked, oldest first
	shared     *pushStream   // carries all messages, of a client that closes no streams
	closes     *atomic.Bool  // the client was seen to close a stream
}

type pushStream struct {
	network.Stream
	opened time.Time
	ended  chan struct{} // closed when the client closed or reset the stream
}

// send writes one message. An error means that the client, as far as is known, did not get it.
func (o *outlet) send(ctx context.Context, frame []byte) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	if o.shared != nil {
		if !o.closes.Load() && o.shared.write(frame) == nil {
			return nil
		}
		o.shared.discard()
		o.shared = nil
	}
	stream, err := o.newStream(ctx)
	if err != nil {
		return err
	}
	if err := stream.write(frame); err != nil {
		stream.discard()
		return err
	}
	if o.closesNone(ctx) {
		o.shared = stream
	} else {
		o.open = append(o.open, stream)
	}
	return nil
}

// newStream opens a stream and starts to watch for its end.
func (o *outlet) newStream(ctx context.Context) (*pushStream, error) {
	stream, err := o.host.NewStream(network.WithNoDial(ctx, "filter push"), o.client, PushProtocolID)
	if err != nil {
		return nil, fmt.Errorf("opening a push stream: %w", err)
	}
	if id := stream.Conn().ID(); id != o.connection {
		*o = outlet{host: o.host, client: o.client, connection: id, closes: new(atomic.Bool)}
	}
	s := &pushStream{Stream: stream, opened: time.Now(), ended: make(chan struct{})}
	closes := o.closes
	go func() {
		defer close(s.ended)
		if _, err := s.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			closes.Store(true) // EOF and nothing else is the client's own doing
			_ = s.Close()      // nothing left to tell
			return
		}
		s.discard()
	}()
	return s, nil
}

// closesNone looks at the streams that the client could have closed by now. While too many are open it
// waits for the oldest, until that is closed or patience with it ends.
func (o *outlet) closesNone(ctx context.Context) bool {
	for {
		for len(o.open) > 0 && o.open[0].hasEnded() {
			o.open = o.open[1:]
		}
		if len(o.open) == 0 {
			return false
		}
		limit := patience
		if o.closes.Load() {
			limit = closerPatience
		}
		wait := time.Until(o.open[0].opened.Add(limit))
		if wait <= 0 {
			o.closes.Store(false)
			return true
		}
		if len(o.open) < maxOpen {
			return false
		}
		select {
		case <-o.open[0].ended:
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
}

// close ends what is open, when the subscription ended.
func (o *outlet) close() {
	for _, stream := range o.open {
		stream.discard()
	}
	if o.shared != nil {
		o.shared.discard()
	}
}

func (s *pushStream) write(frame []byte) error {
	if err := s.SetWriteDeadline(time.Now().Add(pushTimeout)); err != nil {
		return fmt.Errorf("setting the push deadline: %w", err)
	}
	if _, err := s.Write(frame); err != nil {
		return fmt.Errorf("writing a push: %w", err)
	}
	return nil
}

func (s *pushStream) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// discard frees a stream that is of no more use. It fails only if the stream is gone already.
func (s *pushStream) discard() { _ = s.Reset() }
