package filter

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"go.uber.org/zap"
)

// reachPoll is how often a pusher with messages looks whether its client is back.
const reachPoll = 100 * time.Millisecond

// pusher sends a subscriber what its queue receives, in order. Every subscriber has its own, so that
// none waits for another.
type pusher struct {
	server     *Server
	subscriber *subscriber
	outlet     outlet
	failing    bool // the last push failed
}

// startPushing runs the pusher of a new subscriber until the subscription ends.
func (s *Server) startPushing(subscriber *subscriber) {
	p := &pusher{server: s, subscriber: subscriber, outlet: outlet{host: s.host, client: subscriber.peer}}
	go p.run()
}

func (p *pusher) run() {
	defer p.outlet.close()
	ticker := time.NewTicker(p.server.options.SweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.server.ctx.Done():
			return
		case <-p.subscriber.queue.done:
			return
		case <-ticker.C:
			if p.connected() && !p.failing {
				p.subscriber.markReached()
			}
		case <-p.subscriber.queue.ready:
			p.drain()
		}
	}
}

func (p *pusher) drain() {
	for {
		frame, ok := p.subscriber.queue.pop()
		if !ok || !p.deliver(frame) {
			return
		}
	}
}

// deliver pushes one message, waiting for a client that is not connected. A client that is connected
// and does not take the message loses it. It returns false when the subscription ended.
func (p *pusher) deliver(frame []byte) bool {
	for p.awaitConnection() {
		err := p.outlet.send(p.server.ctx, frame)
		if err == nil {
			p.failing = false
			p.subscriber.markReached()
			return true
		}
		p.failing = true
		if p.connected() {
			p.server.options.Logger.Warn("message not pushed", zap.Stringer("peer", p.subscriber.peer), zap.Error(err))
			return true
		}
	}
	return false
}

func (p *pusher) connected() bool {
	return p.server.host.Network().Connectedness(p.subscriber.peer) == network.Connected
}

// awaitConnection returns true once the client is connected, false when the subscription ended.
func (p *pusher) awaitConnection() bool {
	for {
		select {
		case <-p.server.ctx.Done():
			return false
		case <-p.subscriber.queue.done:
			return false
		default:
		}
		if p.connected() {
			return true
		}
		time.Sleep(reachPoll)
	}
}
