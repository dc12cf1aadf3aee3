// Package filter serves 12/WAKU2-FILTER: clients subscribe to content topics and the node pushes the
// matching messages to them.
//
// go-waku 0.10.0 has a filter server too. It is not used, because it
//   - drops every subscription that was active in the last five minutes, once a minute (the comparison
//     in SubscribersMap.cleanUp is the wrong way round), and so loses messages of live clients;
//   - leaves the closing of push streams to the client. js-waku does not close them and refuses more
//     than 100 open ones, so it receives 100 messages and no more;
//   - pushes each message in a goroutine of its own, without order, bound or write deadline;
//   - reads a subscriber's topics without the lock, which can end the process when one client sends two
//     requests at once.
package filter

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	waku "github.com/waku-org/go-waku/waku/v2/protocol"
	"github.com/waku-org/go-waku/waku/v2/protocol/filter/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/shard"
	"waku-node/internal/unary"
)

// The two protocols of 12/WAKU2-FILTER.
const (
	SubscribeProtocolID = protocol.ID("/vac/waku/filter-subscribe/2.0.0-beta1")
	PushProtocolID      = protocol.ID("/vac/waku/filter-push/2.0.0-beta1")
)

const maxRequestSize = 1 << 20

// Options configure a Server.
type Options struct {
	Shards shard.Set
	// IdleTimeout is how long a subscription lives without a subscribe, unsubscribe or ping request.
	IdleTimeout time.Duration
	// UnreachableTimeout is how long a subscription outlives its client's last connection, or last
	// successful push. Messages of that time are kept for the client, up to a bound.
	UnreachableTimeout time.Duration
	// SweepInterval is how often both are checked.
	SweepInterval time.Duration
	Limiter       *unary.Limiter
	Logger        *zap.Logger
}

// Server keeps the subscriptions of all clients. It is safe for concurrent use.
type Server struct {
	options       Options
	host          host.Host
	subscriptions *registry
	ctx           context.Context // ends every pusher
}

// Mount serves filter requests on a host until ctx ends.
func Mount(ctx context.Context, h host.Host, options Options) *Server {
	s := &Server{options: options, host: h, subscriptions: newRegistry(), ctx: ctx}
	h.SetStreamHandler(SubscribeProtocolID, unary.Service[pb.FilterSubscribeRequest, pb.FilterSubscribeResponse, *pb.FilterSubscribeRequest, *pb.FilterSubscribeResponse]{
		MaxRequestSize: maxRequestSize,
		Limiter:        options.Limiter,
		Logger:         options.Logger,
		Handle:         s.handle,
		Refuse:         refuse,
	}.Stream(ctx))
	go s.sweep()
	return s
}

// Deliver queues a message for every subscriber that wants it. It never waits for a client.
func (s *Server) Deliver(envelope *waku.Envelope) {
	message := envelope.Message()
	subscribers := s.subscriptions.matching(envelope.PubsubTopic(), message.ContentTopic)
	if len(subscribers) == 0 {
		return
	}
	frame, err := encodePush(envelope)
	if err != nil {
		s.options.Logger.Error("message not pushed", zap.Stringer("hash", envelope.Hash()), zap.Error(err))
		return
	}
	for _, subscriber := range subscribers {
		if dropped := subscriber.queue.push(frame); dropped {
			s.options.Logger.Warn("subscriber is too slow, its oldest message was dropped", zap.Stringer("peer", subscriber.peer))
		}
	}
}

// encodePush encodes a message once for all subscribers, length prefix included.
func encodePush(envelope *waku.Envelope) ([]byte, error) {
	push := &pb.MessagePush{WakuMessage: envelope.Message(), PubsubTopic: proto.String(envelope.PubsubTopic())}
	var frame bytes.Buffer
	if _, err := protodelim.MarshalTo(&frame, push); err != nil {
		return nil, fmt.Errorf("encoding a filter push: %w", err)
	}
	return frame.Bytes(), nil
}

func (s *Server) handle(_ context.Context, from peer.ID, request *pb.FilterSubscribeRequest) *pb.FilterSubscribeResponse {
	if err := request.Validate(); err != nil {
		return status(request.RequestId, http.StatusBadRequest, err.Error())
	}
	var err error
	switch request.FilterSubscribeType {
	case pb.FilterSubscribeRequest_SUBSCRIBER_PING:
		err = s.subscriptions.refresh(from)
	case pb.FilterSubscribeRequest_SUBSCRIBE:
		if !s.options.Shards.Serves(request.GetPubsubTopic()) {
			return status(request.RequestId, http.StatusBadRequest,
				fmt.Sprintf("this node does not serve pubsub topic %q", request.GetPubsubTopic()))
		}
		err = s.subscriptions.subscribe(from, request.GetPubsubTopic(), request.ContentTopics, s.startPushing)
	case pb.FilterSubscribeRequest_UNSUBSCRIBE:
		err = s.subscriptions.unsubscribe(from, request.GetPubsubTopic(), request.ContentTopics)
	case pb.FilterSubscribeRequest_UNSUBSCRIBE_ALL:
		err = s.subscriptions.remove(from)
	default:
		return status(request.RequestId, http.StatusBadRequest,
			fmt.Sprintf("unknown filter_subscribe_type %d", request.FilterSubscribeType))
	}
	switch err {
	case nil:
		return status(request.RequestId, http.StatusOK, "OK")
	case errNoSubscription:
		return status(request.RequestId, http.StatusNotFound, err.Error())
	default:
		return status(request.RequestId, http.StatusServiceUnavailable, err.Error())
	}
}

// sweep drops subscriptions of clients that are gone or silent.
func (s *Server) sweep() {
	ticker := time.NewTicker(s.options.SweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-ticker.C:
			s.dropStale(now)
		}
	}
}

func (s *Server) dropStale(now time.Time) {
	for _, subscriber := range s.subscriptions.all() {
		var reason string
		switch {
		case now.Sub(subscriber.lastReached()) > s.options.UnreachableTimeout:
			reason = "unreachable"
		case now.Sub(subscriber.lastRequest()) > s.options.IdleTimeout:
			reason = "idle"
		default:
			continue
		}
		if s.subscriptions.remove(subscriber.peer) == nil {
			s.options.Logger.Info("filter subscription dropped", zap.Stringer("peer", subscriber.peer), zap.String("reason", reason))
		}
	}
}

func refuse(why unary.Refusal, detail string) *pb.FilterSubscribeResponse {
	code := http.StatusBadRequest
	if why == unary.RateLimited {
		code = http.StatusTooManyRequests
	}
	return status(unary.UnknownRequestID, code, detail)
}

func status(requestID string, code int, description string) *pb.FilterSubscribeResponse {
	return &pb.FilterSubscribeResponse{RequestId: requestID, StatusCode: uint32(code), StatusDesc: proto.String(description)}
}
