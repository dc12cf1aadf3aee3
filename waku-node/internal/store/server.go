package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/waku-org/go-waku/waku/v2/protocol/store/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"waku-node/internal/unary"
)

// ProtocolID is the store query protocol of 13/WAKU2-STORE, version 3.
const ProtocolID = protocol.ID("/vac/waku/store-query/3.0.0")

// maxRequestSize leaves room for some 30,000 message hashes, which is below SQLite's limit on the
// number of parameters.
const maxRequestSize = 1 << 20

// Mount serves queries over the archive on a host.
func Mount(ctx context.Context, h host.Host, archive *Archive, limiter *unary.Limiter, logger *zap.Logger) {
	server := server{archive: archive, logger: logger}
	h.SetStreamHandler(ProtocolID, unary.Service[pb.StoreQueryRequest, pb.StoreQueryResponse, *pb.StoreQueryRequest, *pb.StoreQueryResponse]{
		MaxRequestSize: maxRequestSize,
		Limiter:        limiter,
		Logger:         logger,
		Handle:         server.handle,
		Refuse:         refuse,
	}.Stream(ctx))
}

type server struct {
	archive *Archive
	logger  *zap.Logger
}

func (s server) handle(_ context.Context, from peer.ID, request *pb.StoreQueryRequest) *pb.StoreQueryResponse {
	query, err := parse(request)
	if err != nil {
		return status(request.RequestId, http.StatusBadRequest, err.Error())
	}
	page, err := s.archive.Find(query)
	if errors.Is(err, ErrUnknownCursor) {
		return status(request.RequestId, http.StatusBadRequest, err.Error())
	}
	if err != nil {
		s.logger.Error("store query failed", zap.Stringer("peer", from), zap.Error(err))
		return status(request.RequestId, http.StatusInternalServerError, "the store could not be read")
	}
	response := status(request.RequestId, http.StatusOK, "OK")
	response.PaginationCursor = page.Next
	for _, entry := range page.Entries {
		pair := &pb.WakuMessageKeyValue{MessageHash: entry.Hash}
		if query.IncludeData {
			pair.Message, pair.PubsubTopic = entry.Message, proto.String(entry.PubsubTopic)
		}
		response.Messages = append(response.Messages, pair)
	}
	return response
}

// parse checks a request as the specification demands and turns it into a Query. One liberty: a hash
// lookup may name a pubsub topic, because @waku/sdk does.
func parse(request *pb.StoreQueryRequest) (Query, error) {
	lookup := len(request.MessageHashes) > 0
	switch {
	case request.RequestId == "":
		return Query{}, errors.New("request_id is missing")
	case lookup && (len(request.ContentTopics) > 0 || request.TimeStart != nil || request.TimeEnd != nil):
		return Query{}, errors.New("message_hashes cannot be combined with content_topics, time_start or time_end")
	case slices.ContainsFunc(request.MessageHashes, func(h []byte) bool { return len(h) != 32 }):
		return Query{}, errors.New("a message hash is not 32 bytes long")
	case !lookup && (request.GetPubsubTopic() == "") != (len(request.ContentTopics) == 0):
		return Query{}, errors.New("pubsub_topic and content_topics must be set together")
	case slices.Contains(request.ContentTopics, ""):
		return Query{}, errors.New("a content topic is empty")
	case request.TimeStart != nil && request.TimeEnd != nil && request.GetTimeStart() > request.GetTimeEnd():
		return Query{}, fmt.Errorf("time_start %d is after time_end %d", request.GetTimeStart(), request.GetTimeEnd())
	}
	return Query{
		PubsubTopic:   request.GetPubsubTopic(),
		ContentTopics: request.ContentTopics,
		Hashes:        request.MessageHashes,
		Start:         request.TimeStart,
		End:           request.TimeEnd,
		Cursor:        request.PaginationCursor,
		Forward:       request.PaginationForward,
		Limit:         request.GetPaginationLimit(),
		IncludeData:   request.IncludeData,
	}, nil
}

func refuse(why unary.Refusal, detail string) *pb.StoreQueryResponse {
	code := http.StatusBadRequest
	if why == unary.RateLimited {
		code = http.StatusTooManyRequests
	}
	return status(unary.UnknownRequestID, code, detail)
}

func status(requestID string, code int, description string) *pb.StoreQueryResponse {
	return &pb.StoreQueryResponse{
		RequestId:  requestID,
		StatusCode: proto.Uint32(uint32(code)),
		StatusDesc: proto.String(description),
	}
}
