package shards_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

func TestR1_AutoshardingIsThatOfTheSpecification(t *testing.T) {
	// The example of WAKU2-RELAY-SHARDING (51): 8 shards.
	for topic, shard := range map[string]int{"/toychat/2/huilong/proto": 3, "/0/toychat/2/huilong/proto": 3, "/myapp/latest/foo/proto": 0} {
		got, err := shards.Network{ClusterID: 1, ShardCount: 8}.PubsubTopic(topic)
		if want := fmt.Sprintf("/waku/2/rs/1/%d", shard); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", topic, got, err, want)
		}
	}
	for _, topic := range []string{"", "/", "a/b/c/d", "//b/c/d", "/a/b/c", "/a/b/c/", "/1/a/b/c/d", "/0/a/b/c/", "/a/b/c/d/e"} {
		if got, err := (shards.Network{ShardCount: 8}).PubsubTopic(topic); err == nil {
			t.Errorf("%q: %s", topic, got)
		}
	}
}

func TestR1_TheMessageHashIsThatOfTheSpecification(t *testing.T) {
	text, err := os.ReadFile("../../../../conformance/vectors/waku-message-hash.json")
	if err != nil {
		t.Skipf("SKIPPED: no checkout of the whole project: %v", err)
	}
	var file struct {
		Vectors []struct {
			Name, PubsubTopic, ContentTopic, Payload, Timestamp, Hash string
			Meta                                                      *string
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, vector := range file.Vectors {
		timestamp, err := strconv.ParseUint(vector.Timestamp, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		message := &wire.WakuMessage{Payload: unhex(t, vector.Payload), ContentTopic: vector.ContentTopic, Timestamp: proto.Int64(int64(timestamp))}
		if vector.Meta != nil {
			message.Meta = unhex(t, *vector.Meta)
		}
		hash := shards.MessageHash(vector.PubsubTopic, message)
		if got := hex.EncodeToString(hash[:]); got != strings.TrimPrefix(vector.Hash, "0x") {
			t.Errorf("%s: %s, want %s", vector.Name, got, vector.Hash)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	bytes, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
