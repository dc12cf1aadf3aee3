// Package mesh keeps connections to the peers that an operator names, so that the relays of several
// nodes form one gossip mesh.
package mesh

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"go.uber.org/zap"
)

const (
	dialTimeout  = 10 * time.Second
	firstRetry   = 250 * time.Millisecond
	slowestRetry = 15 * time.Second
	// stableAfter is how long a link has to hold before retries start fast again. A peer that hangs up
	// on us at once, for being in another cluster, is not dialled in a tight loop.
	stableAfter = 5 * time.Second
)

// Keep connects a host to peers and connects again, with growing delays, whenever one cannot be
// reached or goes away. It returns at once; the links are kept until ctx ends.
func Keep(ctx context.Context, h host.Host, peers []peer.AddrInfo, logger *zap.Logger) error {
	for _, info := range peers {
		if info.ID == h.ID() {
			return fmt.Errorf("peer %s is this node itself", info.ID)
		}
	}
	for _, info := range peers {
		h.ConnManager().Protect(info.ID, "mesh")
		l := link{host: h, info: info, lost: make(chan struct{}, 1), logger: logger.With(zap.Stringer("peer", info.ID))}
		go l.keep(ctx)
	}
	return nil
}

type link struct {
	host   host.Host
	info   peer.AddrInfo
	lost   chan struct{} // holds a token when a connection to the peer closed
	logger *zap.Logger
}

func (l link) keep(ctx context.Context) {
	notify := &network.NotifyBundle{DisconnectedF: func(_ network.Network, c network.Conn) {
		if c.RemotePeer() == l.info.ID {
			select {
			case l.lost <- struct{}{}:
			default:
			}
		}
	}}
	l.host.Network().Notify(notify)
	defer l.host.Network().StopNotify(notify)

	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval, delays.MaxElapsedTime = firstRetry, slowestRetry, 0
	delays.Reset()
	for ctx.Err() == nil {
		if err := l.dial(ctx); err != nil {
			l.logger.Info("mesh peer not reached", zap.Error(err))
		} else {
			l.logger.Info("mesh peer connected")
			since := time.Now()
			l.awaitLoss(ctx)
			if time.Since(since) >= stableAfter {
				delays.Reset()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(delays.NextBackOff()):
		}
	}
}

func (l link) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// The swarm has a back-off of its own, which would refuse dials for minutes.
	if s, ok := l.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(l.info.ID)
	}
	return l.host.Connect(ctx, l.info)
}

func (l link) awaitLoss(ctx context.Context) {
	for l.host.Network().Connectedness(l.info.ID) == network.Connected {
		select {
		case <-ctx.Done():
			return
		case <-l.lost:
		}
	}
	l.logger.Info("mesh peer lost")
}
