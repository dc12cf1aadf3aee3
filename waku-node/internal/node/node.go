// Package node assembles a Waku service node: relay, filter, light push, store and metadata on one
// libp2p host.
//
// It takes go-waku's relay and generated protobuf types, and not go-waku's WakuNode: that one also runs
// peer discovery and a peer manager, and the manager closes connections to relay peers whose shards
// its own metadata exchange has not recorded (see package metadata).
package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"go.uber.org/zap"

	"waku-node/internal/config"
	"waku-node/internal/filter"
	"waku-node/internal/lightpush"
	"waku-node/internal/mesh"
	"waku-node/internal/metadata"
	"waku-node/internal/relay"
	"waku-node/internal/rlnrelay"
	"waku-node/internal/rules"
	"waku-node/internal/store"
	"waku-node/internal/unary"
)

// A subscriber whose client is gone is dropped after the minute that 12/WAKU2-FILTER recommends.
const (
	filterUnreachableTimeout = time.Minute
	filterSweepInterval      = time.Second
)

// Node is a running service node.
type Node struct {
	config  config.Config
	logger  *zap.Logger
	host    host.Host
	archive *store.Archive
	guard   *rlnrelay.Guard // nil without RLN
	relay   *relay.Relay
	cancel  context.CancelFunc
	fed     chan struct{} // closed when the relay's messages have ended
}

// Start starts a node. When it returns, the node listens and serves.
func Start(cfg config.Config, logger *zap.Logger) (*Node, error) {
	ctx, cancel := context.WithCancel(context.Background())
	n := &Node{config: cfg, logger: logger, cancel: cancel}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) (err error) {
	key := n.config.NodeKey
	if key == nil {
		if key, _, err = crypto.GenerateSecp256k1Key(rand.Reader); err != nil {
			return fmt.Errorf("generating a node key: %w", err)
		}
	}
	if n.host, err = newHost(key); err != nil {
		return err
	}
	n.archive, err = store.Open(store.Options{
		Path:        n.config.Store,
		Retention:   n.config.StoreRetention,
		MaxMessages: n.config.StoreMaxMessages,
		Now:         time.Now,
		Logger:      n.logger.Named("store"),
	})
	if err != nil {
		return err
	}
	if n.config.RLNGroup != "" {
		n.guard, err = rlnrelay.Open(rlnrelay.Options{
			GroupFile: n.config.RLNGroup,
			EpochGap:  n.config.RLNEpochGap,
			Now:       time.Now,
			Logger:    n.logger.Named("rln"),
		})
		if err != nil {
			return err
		}
	}
	if err := n.mount(ctx); err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	return mesh.Keep(ctx, n.host, n.config.Peers, n.logger.Named("mesh"))
}

// mount starts every protocol. The host does not listen yet.
func (n *Node) mount(ctx context.Context) (err error) {
	checks := rules.Rules{MaxClockSkew: n.config.MaxClockSkew, Now: time.Now}
	var proofs rules.Proofs = rules.AnyAuthor{}
	if n.guard != nil {
		proofs = n.guard
	}
	if n.relay, err = relay.Start(ctx, n.host, n.config.Shards, checks, proofs, n.archive, n.logger.Named("relay")); err != nil {
		return err
	}
	if err := metadata.Mount(ctx, n.host, n.config.Shards, n.logger.Named("metadata")); err != nil {
		return err
	}
	store.Mount(ctx, n.host, n.archive, unary.NewLimiter(n.config.RateLimit), n.logger.Named("store"))
	publisher := lightpush.Publisher{
		Shards:        n.config.Shards,
		Rules:         checks,
		Proofs:        proofs,
		Archive:       n.archive,
		Relay:         n.relay,
		MinRelayPeers: n.config.MinRelayPeers,
		Logger:        n.logger.Named("lightpush"),
	}
	limiter := unary.NewLimiter(n.config.RateLimit)
	lightpush.Mount(ctx, n.host, publisher, limiter)
	lightpush.MountLegacy(ctx, n.host, publisher, limiter)
	subscribers := filter.Mount(ctx, n.host, filter.Options{
		Shards:             n.config.Shards,
		IdleTimeout:        n.config.FilterIdleTimeout,
		UnreachableTimeout: filterUnreachableTimeout,
		SweepInterval:      filterSweepInterval,
		Limiter:            unary.NewLimiter(n.config.RateLimit),
		Logger:             n.logger.Named("filter"),
	})
	n.fed = make(chan struct{})
	messages := n.relay.Messages()
	go func() {
		defer close(n.fed)
		for envelope := range messages {
			subscribers.Deliver(envelope)
		}
	}()
	return nil
}

// Stop ends the node: first the connections, so that nothing new comes in, then the relay, whose last
// messages are still delivered, then what they all use.
func (n *Node) Stop() error {
	var errs []error
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	if n.relay != nil {
		n.relay.Stop()
	}
	if n.fed != nil {
		<-n.fed
	}
	n.cancel()
	if n.guard != nil {
		n.guard.Close()
	}
	if n.archive != nil {
		errs = append(errs, n.archive.Close())
	}
	return errors.Join(errs...)
}
