// Package metadata implements 66/WAKU2-METADATA: peers tell each other their cluster and shards, and
// peers of another cluster part.
//
// The specification and js-waku carry the shards in field 2, unpacked; nwaku and go-waku in field 3,
// packed. go-waku 0.10.0 writes only field 3, and js-waku then finds no shard in common. This node
// writes both.
package metadata

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-msgio/pbio"
	"github.com/multiformats/go-multistream"
	"github.com/waku-org/go-waku/waku/v2/protocol/metadata/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/shard"
	"waku-node/internal/unary"
)

// ProtocolID is the protocol of 66/WAKU2-METADATA.
const ProtocolID = protocol.ID("/vac/waku/metadata/1.0.0")

const (
	maxMessageSize = 16 << 10
	// checkTimeout is generous: many clients may start at once on a slow machine.
	checkTimeout = 30 * time.Second
	// A client may connect before it has mounted its protocols.
	mountRetries = 4
	mountWait    = 500 * time.Millisecond
)

// errWrongCluster and errNoMetadata are the two reasons to part from a peer. Errors of a single
// exchange (a timeout, a broken stream) are not: the connection itself tells whether the peer is gone.
var (
	errWrongCluster = errors.New("peer is in another cluster")
	errNoMetadata   = errors.New("peer does not speak the metadata protocol")
)

// Mount answers metadata requests, and asks every peer that connects, until ctx ends.
func Mount(ctx context.Context, h host.Host, shards shard.Set, logger *zap.Logger) error {
	m := &metadata{host: h, shards: shards, logger: logger}
	h.SetStreamHandler(ProtocolID, unary.Service[pb.WakuMetadataRequest, pb.WakuMetadataResponse, *pb.WakuMetadataRequest, *pb.WakuMetadataResponse]{
		MaxRequestSize: maxMessageSize,
		Logger:         logger,
		Handle: func(context.Context, peer.ID, *pb.WakuMetadataRequest) *pb.WakuMetadataResponse {
			return m.response()
		},
		Refuse: func(unary.Refusal, string) *pb.WakuMetadataResponse { return m.response() },
	}.Stream(ctx))
	identified, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted), eventbus.BufSize(1024))
	if err != nil {
		return fmt.Errorf("subscribing to peer identifications: %w", err)
	}
	go m.checkPeers(ctx, identified)
	return nil
}

type metadata struct {
	host   host.Host
	shards shard.Set
	logger *zap.Logger
}

func (m *metadata) response() *pb.WakuMetadataResponse {
	return &pb.WakuMetadataResponse{
		ClusterId:        proto.Uint32(uint32(m.shards.Cluster)),
		Shards:           m.shards.Indexes(),
		ShardsDeprecated: m.shards.Indexes(),
	}
}

func (m *metadata) request() *pb.WakuMetadataRequest {
	return &pb.WakuMetadataRequest{
		ClusterId:        proto.Uint32(uint32(m.shards.Cluster)),
		Shards:           m.shards.Indexes(),
		ShardsDeprecated: m.shards.Indexes(),
	}
}

func (m *metadata) checkPeers(ctx context.Context, identified event.Subscription) {
	defer func() { _ = identified.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-identified.Out():
			if !open {
				return
			}
			go m.check(ctx, e.(event.EvtPeerIdentificationCompleted))
		}
	}
}

// check parts from a peer that cannot be of this network. Whether the peer speaks the protocol is found
// by asking: the list in its identification may be older than the protocols it has just mounted.
func (m *metadata) check(ctx context.Context, identified event.EvtPeerIdentificationCompleted) {
	id := identified.Peer
	err := m.ask(ctx, id)
	for range mountRetries {
		if !errors.Is(err, errNoMetadata) || ctx.Err() != nil {
			break
		}
		time.Sleep(mountWait)
		err = m.ask(ctx, id)
	}
	switch {
	case err == nil:
	case errors.Is(err, errWrongCluster), errors.Is(err, errNoMetadata):
		m.logger.Warn("disconnecting from peer", zap.Stringer("peer", id), zap.String("agent", identified.AgentVersion), zap.Error(err))
		if err := m.host.Network().ClosePeer(id); err != nil {
			m.logger.Warn("disconnecting failed", zap.Stringer("peer", id), zap.Error(err))
		}
	default:
		m.logger.Debug("metadata of peer not known", zap.Stringer("peer", id), zap.Error(err))
	}
}

// ask tells a peer our cluster and shards and compares its cluster.
func (m *metadata) ask(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	stream, err := m.host.NewStream(network.WithNoDial(ctx, "metadata"), id, ProtocolID)
	if errors.Is(err, multistream.ErrNotSupported[protocol.ID]{}) {
		return errNoMetadata
	}
	if err != nil {
		return fmt.Errorf("opening a metadata stream: %w", err)
	}
	defer func() { _ = stream.Reset() }() // after Close this does nothing
	if err := stream.SetDeadline(time.Now().Add(checkTimeout)); err != nil {
		return fmt.Errorf("setting the metadata deadline: %w", err)
	}
	if err := pbio.NewDelimitedWriter(stream).WriteMsg(m.request()); err != nil {
		return fmt.Errorf("writing the metadata request: %w", err)
	}
	if err := stream.CloseWrite(); err != nil {
		return fmt.Errorf("ending the metadata request: %w", err)
	}
	response := new(pb.WakuMetadataResponse)
	if err := pbio.NewDelimitedReader(stream, maxMessageSize).ReadMsg(response); err != nil {
		return fmt.Errorf("reading the metadata response: %w", err)
	}
	if response.GetClusterId() != uint32(m.shards.Cluster) {
		return fmt.Errorf("%w: %d, not %d", errWrongCluster, response.GetClusterId(), m.shards.Cluster)
	}
	return nil
}
