// Package wire speaks the Waku protocols of a light client: each is one request and one answer on a libp2p stream of its own.
//
// It is written on libp2p streams and not on go-waku's clients (0.10.0). Their light push speaks version 2 alone, whose answer does not tell
// "refused for ever" from "too busy, try again"; their filter looks once a minute whether a subscription still exists; and they need a replaced
// go-libp2p-pubsub, cgo, and a module that the checksum database lacks, in every program that uses the SDK.
package wire

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio/pbio"
	"google.golang.org/protobuf/proto"
)

// Protocol identifiers.
const (
	LightPush       protocol.ID = "/vac/waku/lightpush/3.0.0"
	FilterSubscribe protocol.ID = "/vac/waku/filter-subscribe/2.0.0-beta1"
	FilterPush      protocol.ID = "/vac/waku/filter-push/2.0.0-beta1"
	Store           protocol.ID = "/vac/waku/store-query/3.0.0"
	MetadataID      protocol.ID = "/vac/waku/metadata/1.0.0"
)

const (
	// maximumFrame holds a page of 100 messages of the network's largest size (150 KB); everything else is far smaller.
	maximumFrame      = 32 << 20
	maximumSmallFrame = 1 << 20
	// maximumPush holds the largest message that nodes relay (go-waku, nwaku: 150 KiB, encoded), and what surrounds it.
	maximumPush = 200 << 10
	// pushTimeout is how long a pushed frame may take, from its first byte on, and the first one of a stream to begin.
	pushTimeout   = 10 * time.Second
	drainTimeout  = 2 * time.Second
	answerTimeout = 30 * time.Second
)

// Status says that the node answered, and the answer is no. Codes as in HTTP, and Waku's own 42x and 50x.
type Status struct {
	What        string
	Code        uint32
	Description string
}

func (s *Status) Error() string {
	text := fmt.Sprintf("%s: the node answered %d", s.What, s.Code)
	if s.Description != "" {
		text += fmt.Sprintf(" (%.200q)", s.Description)
	}
	return text
}

// Busy tells whether the node asks for patience: 429 too many requests, 503 no capacity now.
func (s *Status) Busy() bool { return s.Code == 429 || s.Code == 503 }

// Final tells whether no node will take this message as it is: malformed, too large, invalid.
func (s *Status) Final() bool { return s.Code == 400 || s.Code == 413 || s.Code == 420 }

func expectSuccess(what string, code uint32, description string) error {
	if code >= 200 && code < 300 {
		return nil
	}
	return &Status{what, code, description}
}

// Push hands a message to the node's relay.
func Push(ctx context.Context, h host.Host, node peer.ID, pubsubTopic string, message *WakuMessage) error {
	request := &LightPushRequest{RequestId: requestID(), PubsubTopic: &pubsubTopic, Message: message}
	response := &LightPushResponse{}
	if err := ask(ctx, h, node, LightPush, request, response, maximumSmallFrame); err != nil {
		return err
	}
	return expectSuccess("publish", response.GetStatusCode(), response.GetStatusDesc())
}

// Filter changes or checks this client's subscription at a node. pubsubTopic and topics belong to SUBSCRIBE and UNSUBSCRIBE only.
func Filter(ctx context.Context, h host.Host, node peer.ID, action FilterAction, pubsubTopic string, topics []string) error {
	request := &FilterRequest{RequestId: requestID(), Action: action, ContentTopics: topics}
	if pubsubTopic != "" {
		request.PubsubTopic = &pubsubTopic
	}
	response := &FilterResponse{}
	if err := ask(ctx, h, node, FilterSubscribe, request, response, maximumSmallFrame); err != nil {
		return err
	}
	return expectSuccess("filter "+action.String(), response.GetStatusCode(), response.GetStatusDesc())
}

// Query asks a store node for one page of history.
func Query(ctx context.Context, h host.Host, node peer.ID, request *StoreRequest) (*StoreResponse, error) {
	request = proto.CloneOf(request)
	request.RequestId = requestID()
	response := &StoreResponse{}
	if err := ask(ctx, h, node, Store, request, response, maximumFrame); err != nil {
		return nil, err
	}
	return response, expectSuccess("store query", response.GetStatusCode(), response.GetStatusDesc())
}

// AskCluster asks a node which cluster it serves; false: it does not say.
func AskCluster(ctx context.Context, h host.Host, node peer.ID, ownCluster uint16) (cluster uint32, said bool, err error) {
	response := &Metadata{}
	request := &Metadata{ClusterId: proto.Uint32(uint32(ownCluster))}
	if err := ask(ctx, h, node, MetadataID, request, response, maximumSmallFrame); err != nil {
		return 0, false, err
	}
	return response.GetClusterId(), response.ClusterId != nil, nil
}

// AnswerCluster answers a node's question for our cluster and shards. A light client serves no shard.
func AnswerCluster(stream network.Stream, ownCluster uint16, shards []uint32) {
	own := &Metadata{ClusterId: proto.Uint32(uint32(ownCluster)), Shards: shards, ShardsUnpacked: shards}
	err := func() error {
		if err := stream.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
		if err := pbio.NewDelimitedReader(stream, maximumSmallFrame).ReadMsg(&Metadata{}); err != nil {
			return err
		}
		if err := pbio.NewDelimitedWriter(stream).WriteMsg(own); err != nil {
			return err
		}
		return stream.CloseWrite()
	}()
	finish(stream, err)
}

// PushesAtOnce is how many pushes of one node may be in memory at a time: others wait unread.
const PushesAtOnce = 64

// ReceivePushes hands on the messages that a node pushes on one stream, and tells if it breaks, maybe with one of them. reading is shared by the streams
// of one node, with PushesAtOnce places.
func ReceivePushes(stream network.Stream, reading chan struct{}, onPush func(pubsubTopic string, message *WakuMessage), onLoss func()) {
	err := readPushes(stream, reading, onPush)
	if err != nil {
		onLoss()
	}
	finish(stream, err)
}

// pushes is what of a stream is needed to read them.
type pushes interface {
	io.Reader
	SetReadDeadline(until time.Time) error
}

func readPushes(from pushes, reading chan struct{}, onPush func(pubsubTopic string, message *WakuMessage)) error {
	buffered := bufio.NewReaderSize(from, 16)
	if err := from.SetReadDeadline(time.Now().Add(pushTimeout)); err != nil {
		return err
	}
	for {
		// Without a place: a node may keep its stream for the next message.
		if _, err := buffered.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := takePush(from, buffered, reading, onPush); err != nil {
			return err
		}
		if err := from.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
}

func takePush(from pushes, buffered *bufio.Reader, reading chan struct{}, onPush func(pubsubTopic string, message *WakuMessage)) error {
	reading <- struct{}{}
	defer func() { <-reading }()
	push, err := readPush(from, buffered)
	if err == nil && push.PubsubTopic != nil && push.Message != nil {
		// It may wait, and with it the others.
		onPush(push.GetPubsubTopic(), push.GetMessage())
	}
	return err
}

func readPush(from pushes, buffered *bufio.Reader) (*MessagePush, error) {
	if err := from.SetReadDeadline(time.Now().Add(pushTimeout)); err != nil {
		return nil, err
	}
	length, err := binary.ReadUvarint(buffered)
	if err == nil && length > maximumPush {
		err = fmt.Errorf("a push of %d bytes", length)
	}
	if err != nil {
		return nil, err
	}
	frame := make([]byte, length)
	if _, err := io.ReadFull(buffered, frame); err != nil {
		return nil, err
	}
	push := &MessagePush{}
	return push, proto.Unmarshal(frame, push)
}

func ask(ctx context.Context, h host.Host, node peer.ID, id protocol.ID, request, response proto.Message, maximum int) error {
	// The connection is somebody else's business.
	stream, err := h.NewStream(network.WithNoDial(ctx, "chatsdk"), node, id)
	if err != nil {
		return inTime(ctx, err)
	}
	release := context.AfterFunc(ctx, func() {
		// What fails because of it says so.
		_ = stream.Reset()
	})
	err = func() error {
		if err := pbio.NewDelimitedWriter(stream).WriteMsg(request); err != nil {
			return err
		}
		if err := stream.CloseWrite(); err != nil {
			return err
		}
		err := pbio.NewDelimitedReader(stream, maximum).ReadMsg(response)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: the node closed the stream without an answer", id)
		}
		return err
	}()
	if !release() && err == nil {
		// The answer came together with the end of the time.
		return nil
	}
	if err != nil {
		// Broken anyway.
		_ = stream.Reset()
		return inTime(ctx, err)
	}
	select {
	case finishing <- struct{}{}:
		go func() {
			defer func() { <-finishing }()
			finish(stream, nil)
		}()
	default:
		// It has done its work.
		_ = stream.Reset()
	}
	return nil
}

// finishing has the answered streams that are read to their end. More would keep a burst of requests from finding room for theirs.
var finishing = make(chan struct{}, 64)

// inTime says why a request failed: its time was over, or something else.
func inTime(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// finish reads to the end, so that the stream closes in order on both sides; not for ever, as some nodes do not end theirs.
func finish(stream network.Stream, err error) {
	if err == nil {
		if err = stream.SetReadDeadline(time.Now().Add(drainTimeout)); err == nil {
			if _, err = io.CopyN(io.Discard, stream, maximumSmallFrame); errors.Is(err, io.EOF) {
				err = stream.Close()
			}
		}
	}
	if err != nil {
		// Nobody is interested any more.
		_ = stream.Reset()
	}
}

// requestID: answers are matched by stream, so the id need not be long; it is sent twice with each message.
func requestID() string { return rand.Text()[:7] }
