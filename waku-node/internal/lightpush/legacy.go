package lightpush

import (
	"context"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/waku-org/go-waku/waku/v2/protocol/lightpush/pb"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/unary"
)

// LegacyProtocolID is light push before version 3: a response has a success flag and a text.
const LegacyProtocolID = protocol.ID("/vac/waku/lightpush/2.0.0-beta1")

// MountLegacy serves the legacy light push on a host.
func MountLegacy(ctx context.Context, h host.Host, publisher Publisher, limiter *unary.Limiter) {
	h.SetStreamHandler(LegacyProtocolID, unary.Service[pb.PushRpc, pb.PushRpc, *pb.PushRpc, *pb.PushRpc]{
		MaxRequestSize: maxRequestSize,
		Limiter:        limiter,
		Logger:         publisher.Logger,
		Handle: func(ctx context.Context, _ peer.ID, request *pb.PushRpc) *pb.PushRpc {
			if err := request.ValidateRequest(); err != nil {
				return respondLegacy(request.RequestId, Outcome{Status: BadRequest, Description: "invalid request: " + err.Error()})
			}
			return respondLegacy(request.RequestId, publisher.Push(ctx, request.Request.PubsubTopic, request.Request.Message))
		},
		Refuse: func(why unary.Refusal, detail string) *pb.PushRpc {
			return respondLegacy(unary.UnknownRequestID, Outcome{Status: statusOf(why), Description: detail})
		},
	}.Stream(ctx))
}

func respondLegacy(requestID string, outcome Outcome) *pb.PushRpc {
	return &pb.PushRpc{
		RequestId: requestID,
		Response:  &pb.PushResponse{IsSuccess: outcome.Status == Success, Info: proto.String(outcome.Description)},
	}
}
