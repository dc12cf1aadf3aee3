// Package shard names the pubsub topics that a node serves: static shards 0..n-1 of one cluster, as
// in WAKU2-RELAY-SHARDING ("/waku/2/rs/<cluster>/<shard>").
package shard

import (
	"fmt"

	"github.com/waku-org/go-waku/waku/v2/protocol"
)

// Set is shards 0..Count-1 of one cluster.
type Set struct {
	Cluster uint16
	Count   uint16
}

// Topic is the pubsub topic of one shard of the set's cluster.
func (s Set) Topic(index uint16) string {
	return protocol.NewStaticShardingPubsubTopic(s.Cluster, index).String()
}

// Topics lists the pubsub topics of all shards in the set.
func (s Set) Topics() []string {
	topics := make([]string, s.Count)
	for i := range topics {
		topics[i] = s.Topic(uint16(i))
	}
	return topics
}

// Indexes lists the shard indexes of the set.
func (s Set) Indexes() []uint32 {
	indexes := make([]uint32, s.Count)
	for i := range indexes {
		indexes[i] = uint32(i)
	}
	return indexes
}

// Serves tells whether a pubsub topic is one of the set's.
func (s Set) Serves(topic string) bool {
	var parsed protocol.StaticShardingPubsubTopic
	if err := parsed.Parse(topic); err != nil {
		return false
	}
	// The comparison refuses spellings that parse to the same shard ("/waku/2/rs/42/007").
	return parsed.Shard() < s.Count && topic == s.Topic(parsed.Shard())
}

// TopicFor derives the pubsub topic of a content topic by autosharding over the set's shards, for
// requests that leave the pubsub topic out.
func (s Set) TopicFor(contentTopic string) (string, error) {
	parsed, err := protocol.StringToContentTopic(contentTopic)
	if err != nil {
		return "", fmt.Errorf("autosharding %q: %w", contentTopic, err)
	}
	return s.Topic(protocol.GetShardFromContentTopic(parsed, int(s.Count)).Shard()), nil
}
