// Package unary serves the request/response shape that Waku's service protocols share: a client opens
// a stream, writes one length-delimited protobuf message, reads one back, and the stream ends.
package unary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio/pbio"
	"github.com/waku-org/go-waku/waku/v2/utils"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"
)

// UnknownRequestID answers requests whose own id was not read, as go-waku and nwaku do.
const UnknownRequestID = "N/A"

// deadline bounds a whole exchange, so that a client that stops reading or writing frees its stream.
const deadline = 30 * time.Second

// Refusal says why a request was turned away before its handler saw it.
type Refusal int

// Why a request is refused.
const (
	Unreadable  Refusal = iota + 1 // not a protobuf message of the expected type
	TooLarge                       // above Service.MaxRequestSize
	RateLimited                    // above the Limiter's rate
)

// Limiter is a token bucket for each peer; nil means no limit.
type Limiter = utils.RateLimiter

// NewLimiter allows perSecond requests a second from each peer, with bursts of twice as many. With 0
// there is no limit.
func NewLimiter(perSecond int) *Limiter {
	if perSecond <= 0 {
		return nil
	}
	return utils.NewRateLimiter(rate.Limit(perSecond), 2*perSecond)
}

// message is a pointer to a generated protobuf struct.
type message[T any] interface {
	*T
	proto.Message
}

// Service answers the requests of one protocol.
type Service[Q, A any, Request message[Q], Response message[A]] struct {
	MaxRequestSize int
	Limiter        *Limiter
	Logger         *zap.Logger
	Handle         func(ctx context.Context, from peer.ID, request Request) Response
	Refuse         func(why Refusal, detail string) Response
}

// Stream is the libp2p handler of the service. Requests still running when ctx ends see it cancelled.
func (s Service[Q, A, Request, Response]) Stream(ctx context.Context) network.StreamHandler {
	return func(stream network.Stream) {
		from := stream.Conn().RemotePeer()
		if err := s.serve(ctx, stream, from); err != nil {
			s.Logger.Debug("request not answered", zap.Stringer("peer", from), zap.Error(err))
			_ = stream.Reset() // the stream is broken or hostile: nothing more to tell the client
		}
	}
}

func (s Service[Q, A, Request, Response]) serve(ctx context.Context, stream network.Stream, from peer.ID) error {
	if err := stream.SetDeadline(time.Now().Add(deadline)); err != nil {
		return fmt.Errorf("setting the stream deadline: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()

	request := Request(new(Q))
	err := pbio.NewDelimitedReader(stream, s.MaxRequestSize).ReadMsg(request)
	switch {
	case err == nil && s.Limiter != nil && !s.Limiter.Allow(from):
		return finish(stream, s.Refuse(RateLimited, "more requests than the node's rate limit allows"))
	case err == nil:
		return finish(stream, s.Handle(ctx, from, request))
	case errors.Is(err, io.ErrShortBuffer):
		return finish(stream, s.Refuse(TooLarge, fmt.Sprintf("request is above the limit of %d bytes", s.MaxRequestSize)))
	case errors.Is(err, proto.Error):
		return finish(stream, s.Refuse(Unreadable, err.Error()))
	default:
		return fmt.Errorf("reading the request: %w", err)
	}
}

// finish sends the response and closes the stream. What the client still writes is read and dropped
// first: closing at once could reset the stream under a client that has not read its answer yet.
func finish(stream network.Stream, response proto.Message) error {
	if err := pbio.NewDelimitedWriter(stream).WriteMsg(response); err != nil {
		return fmt.Errorf("writing the response: %w", err)
	}
	if err := stream.CloseWrite(); err != nil {
		return fmt.Errorf("ending the response: %w", err)
	}
	if err := stream.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("setting the read deadline: %w", err)
	}
	const drainLimit = 8 << 20
	_, _ = io.CopyN(io.Discard, stream, drainLimit) // EOF, a deadline or a reset all end the exchange
	return stream.Close()
}
