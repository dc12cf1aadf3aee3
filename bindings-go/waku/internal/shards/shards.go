// Package shards finds the pubsub topic of a content topic, as WAKU2-RELAY-SHARDING has it ("autosharding"), and the hash of a message.
package shards

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/waku/internal/wire"
)

// Network is a cluster and its number of shards, the same for all who talk to each other.
type Network struct {
	ClusterID  uint16
	ShardCount uint16
}

// PubsubTopic is the pubsub topic of a content topic, which is /application/version/name/encoding, or the same with generation 0 before it.
// It fails with INVALID_ARGUMENT for any other text.
func (n Network) PubsubTopic(contentTopic string) (string, error) {
	parts := strings.Split(contentTopic, "/")
	if len(parts) == 6 && parts[1] == "0" {
		parts = append(parts[:1], parts[2:]...)
	}
	if len(parts) != 5 || parts[0] != "" || parts[1] == "" || parts[2] == "" || parts[3] == "" || parts[4] == "" {
		return "", fault.New(abi.ErrorCode_INVALID_ARGUMENT, "topic: %q is no content topic such as \"/app/1/name/proto\"", contentTopic)
	}
	digest := sha256.Sum256([]byte(parts[1] + parts[2]))
	shard := binary.BigEndian.Uint64(digest[24:]) % uint64(n.ShardCount)
	return fmt.Sprintf("/waku/2/rs/%d/%d", n.ClusterID, shard), nil
}

// Hash is a message's hash.
type Hash = [sha256.Size]byte

// MessageHash is the deterministic message hash of 14/WAKU2-MESSAGE.
func MessageHash(pubsubTopic string, message *wire.WakuMessage) (hash Hash) {
	digest := sha256.New()
	// A hash does not fail to be written.
	_, _ = digest.Write([]byte(pubsubTopic))
	_, _ = digest.Write(message.GetPayload())
	_, _ = digest.Write([]byte(message.GetContentTopic()))
	_, _ = digest.Write(message.GetMeta())
	if message.Timestamp != nil {
		_, _ = digest.Write(binary.BigEndian.AppendUint64(nil, uint64(message.GetTimestamp())))
	}
	digest.Sum(hash[:0])
	return hash
}
