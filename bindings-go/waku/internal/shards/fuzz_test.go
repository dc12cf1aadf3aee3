package shards_test

import (
	"errors"
	"strings"
	"testing"

	"chatsdk/abi"
	"chatsdk/waku/internal/shards"
)

func FuzzContentTopic(f *testing.F) {
	f.Add("/toychat/2/huilong/proto")
	f.Add("/0/toychat/2/huilong/proto")
	f.Add("////")
	f.Fuzz(func(t *testing.T, topic string) {
		pubsubTopic, err := shards.Network{ClusterID: 42, ShardCount: 8}.PubsubTopic(topic)
		if err == nil && !strings.HasPrefix(pubsubTopic, "/waku/2/rs/42/") || err != nil && !errors.Is(err, abi.ErrInvalidArgument) {
			t.Errorf("%q, %v", pubsubTopic, err)
		}
	})
}
