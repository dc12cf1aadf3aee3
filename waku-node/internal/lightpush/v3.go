package lightpush

import (
	"context"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	pb "waku-node/internal/lightpush/lightpushpb"
	"waku-node/internal/unary"
)

// ProtocolID is light push version 3.
const ProtocolID = protocol.ID("/vac/waku/lightpush/3.0.0")

// Mount serves light push version 3 on a host.
func Mount(ctx context.Context, h host.Host, publisher Publisher, limiter *unary.Limiter) {
	h.SetStreamHandler(ProtocolID, unary.Service[pb.LightPushRequest, pb.LightPushResponse, *pb.LightPushRequest, *pb.LightPushResponse]{
		MaxRequestSize: maxRequestSize,
		Limiter:        limiter,
		Logger:         publisher.Logger,
		Handle: func(ctx context.Context, _ peer.ID, request *pb.LightPushRequest) *pb.LightPushResponse {
			if request.RequestId == "" {
				return respond("", Outcome{Status: BadRequest, Description: "request_id is missing"})
			}
			return respond(request.RequestId, publisher.Push(ctx, request.GetPubsubTopic(), request.Message))
		},
		Refuse: func(why unary.Refusal, detail string) *pb.LightPushResponse {
			return respond(unary.UnknownRequestID, Outcome{Status: statusOf(why), Description: detail})
		},
	}.Stream(ctx))
}

func respond(requestID string, outcome Outcome) *pb.LightPushResponse {
	response := &pb.LightPushResponse{
		RequestId:  requestID,
		StatusCode: uint32(outcome.Status),
		StatusDesc: proto.String(outcome.Description),
	}
	if outcome.Status == Success {
		response.RelayPeerCount = proto.Uint32(uint32(outcome.RelayPeers))
	}
	return response
}
