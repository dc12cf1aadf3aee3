package relay

import (
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"go.uber.org/zap"
)

// dropLog reports the messages that gossipsub throws away because a queue is full. gossipsub itself
// does so without a word.
type dropLog struct{ logger *zap.Logger }

var _ pubsub.RawTracer = dropLog{}

func (d dropLog) RejectMessage(message *pubsub.Message, reason string) {
	switch reason {
	case pubsub.RejectValidationQueueFull, pubsub.RejectValidationThrottled:
		d.logger.Error("message lost before validation", zap.String("pubsubTopic", message.GetTopic()),
			zap.Stringer("from", message.ReceivedFrom), zap.String("reason", reason))
	}
}

func (d dropLog) UndeliverableMessage(message *pubsub.Message) {
	d.logger.Error("message lost for filter subscribers", zap.String("pubsubTopic", message.GetTopic()))
}

func (d dropLog) DropRPC(rpc *pubsub.RPC, to peer.ID) {
	d.logger.Warn("gossip to a slow peer lost", zap.Stringer("peer", to), zap.Int("messages", len(rpc.GetPublish())))
}

func (dropLog) AddPeer(peer.ID, protocol.ID)     {}
func (dropLog) RemovePeer(peer.ID)               {}
func (dropLog) Join(string)                      {}
func (dropLog) Leave(string)                     {}
func (dropLog) Graft(peer.ID, string)            {}
func (dropLog) Prune(peer.ID, string)            {}
func (dropLog) ValidateMessage(*pubsub.Message)  {}
func (dropLog) DeliverMessage(*pubsub.Message)   {}
func (dropLog) DuplicateMessage(*pubsub.Message) {}
func (dropLog) ThrottlePeer(peer.ID)             {}
func (dropLog) RecvRPC(*pubsub.RPC)              {}
func (dropLog) SendRPC(*pubsub.RPC, peer.ID)     {}
