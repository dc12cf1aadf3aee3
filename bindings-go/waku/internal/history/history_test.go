package history_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"chatsdk/waku/internal/history"
	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

// archive is a store node over a fixed list of messages, sorted by time and hash as store nodes do, whose cursors are hashes.
type archive struct {
	messages []*wire.WakuMessage
	// failAfter answers; negative: never fails.
	failAfter int
	// omits a message whose hash it gives.
	omits *wire.WakuMessage
	// most messages in an answer by hash; 0: any number.
	most int
	// fetched counts the messages that it gave whole.
	fetched int
}

const pubsubTopic = "/waku/2/rs/42/0"

func hashOf(message *wire.WakuMessage) []byte {
	hash := shards.MessageHash(pubsubTopic, message)
	return hash[:]
}

func (a *archive) node(_ context.Context, request *wire.StoreRequest) (*wire.StoreResponse, error) {
	if a.failAfter == 0 {
		return nil, errors.New("the node is gone")
	}
	a.failAfter--
	if len(request.GetMessageHashes()) > 0 {
		return a.byHash(request)
	}
	var found []*wire.WakuMessage
	for _, message := range a.messages {
		if slices.Contains(request.GetContentTopics(), message.GetContentTopic()) && message.GetTimestamp() >= request.GetTimeStart() && message.GetTimestamp() < request.GetTimeEnd() {
			found = append(found, message)
		}
	}
	if cursor := request.GetPaginationCursor(); cursor != nil {
		at := slices.IndexFunc(found, func(m *wire.WakuMessage) bool { return bytes.Equal(hashOf(m), cursor) })
		if at < 0 {
			return nil, &wire.Status{What: "store query", Code: 400}
		}
		found = found[at+1:]
	}
	response := &wire.StoreResponse{}
	for i, message := range found {
		if uint64(i) == request.GetPaginationLimit() {
			response.PaginationCursor = hashOf(found[i-1])
			break
		}
		response.Messages = append(response.Messages, a.entry(message, request.GetIncludeData()))
	}
	return response, nil
}

// byHash allows what nodes allow.
func (a *archive) byHash(request *wire.StoreRequest) (*wire.StoreResponse, error) {
	if !request.GetIncludeData() || len(request.GetContentTopics()) > 0 || request.TimeStart != nil || request.TimeEnd != nil || uint64(len(request.GetMessageHashes())) > request.GetPaginationLimit() {
		return nil, &wire.Status{What: "store query", Code: 400}
	}
	response := &wire.StoreResponse{}
	for _, message := range a.messages {
		asked := slices.ContainsFunc(request.GetMessageHashes(), func(hash []byte) bool { return bytes.Equal(hash, hashOf(message)) })
		if a.most > 0 && len(response.GetMessages()) == a.most {
			response.PaginationCursor = response.GetMessages()[0].GetMessageHash()
			break
		}
		if asked && message != a.omits {
			// In no order.
			response.Messages = slices.Insert(response.Messages, 0, a.entry(message, true))
		}
	}
	return response, nil
}

func (a *archive) entry(message *wire.WakuMessage, whole bool) *wire.StoreEntry {
	entry := &wire.StoreEntry{MessageHash: hashOf(message)}
	if whole {
		a.fetched++
		entry.Message = message
	}
	return entry
}

func archiveOf(times []int, topic string) []*wire.WakuMessage {
	var messages []*wire.WakuMessage
	for i, ms := range times {
		messages = append(messages, &wire.WakuMessage{Payload: []byte(topic + strconv.Itoa(i)), ContentTopic: topic, Timestamp: proto.Int64(int64(ms) * 1_000_000)})
	}
	slices.SortStableFunc(messages, func(a, b *wire.WakuMessage) int {
		if a.GetTimestamp() != b.GetTimestamp() {
			return int(a.GetTimestamp() - b.GetTimestamp())
		}
		return bytes.Compare(hashOf(a), hashOf(b))
	})
	return messages
}

func TestF4_HistoryIsCompleteAndWithoutDuplicatesThoughNodesFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.IntRange(1, 40), 0, 60).Draw(t, "times")
		messages := archiveOf(times, "/a/1/x/proto")
		start, end := rapid.IntRange(0, 41).Draw(t, "start"), rapid.IntRange(0, 41).Draw(t, "end")
		var nodes []history.Node
		for i := range rapid.IntRange(1, 3).Draw(t, "nodes") {
			failAfter := rapid.IntRange(1, 5).Draw(t, fmt.Sprint("fails ", i))
			if i == 0 {
				failAfter = -1
			}
			// The one that never fails comes last.
			nodes = slices.Insert(nodes, 0, (&archive{messages: messages, failAfter: failAfter}).node)
		}
		options := history.Options{Nodes: func() []history.Node { return nodes }, PageSize: rapid.Uint64Range(1, 7).Draw(t, "page"), Rounds: 4, Pause: time.Microsecond}
		groups := []history.Group{{PubsubTopic: pubsubTopic, Topics: []string{"/a/1/x/proto"}}}
		leftOut := map[shards.Hash]int64{}
		if rapid.Bool().Draw(t, "missed only") {
			for _, message := range messages {
				if rapid.Bool().Draw(t, "pushed") {
					leftOut[shards.Hash(hashOf(message))] = message.GetTimestamp()
				}
			}
			options.Pushed = pushed(leftOut)
		}
		var got []string
		newest := int64(0)
		for page, err := range history.Messages(context.Background(), groups, uint64(start), uint64(end), options) {
			if err != nil {
				t.Fatal(err)
			}
			for _, message := range page {
				got = append(got, string(message.GetPayload()))
				if message.GetTimestamp() < newest {
					t.Fatalf("%d after %d", message.GetTimestamp(), newest)
				}
				newest = message.GetTimestamp()
			}
		}
		var want []string
		for _, message := range messages {
			_, left := leftOut[shards.Hash(hashOf(message))]
			if ms := message.GetTimestamp() / 1_000_000; !left && ms >= int64(start) && ms <= int64(end) {
				want = append(want, string(message.GetPayload()))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func pushed(timestamps map[shards.Hash]int64) func(hash shards.Hash) (int64, bool) {
	return func(hash shards.Hash) (int64, bool) {
		timestamp, found := timestamps[hash]
		return timestamp, found
	}
}

func TestF4_SeveralShardsAreMergedByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var groups []history.Group
		var all []*wire.WakuMessage
		for i := range rapid.IntRange(2, 4).Draw(t, "groups") {
			topic := fmt.Sprintf("/a%d/1/x/proto", i)
			groups = append(groups, history.Group{PubsubTopic: pubsubTopic, Topics: []string{topic}})
			all = append(all, archiveOf(rapid.SliceOfN(rapid.IntRange(1, 40), 0, 20).Draw(t, topic), topic)...)
		}
		slices.SortStableFunc(all, func(a, b *wire.WakuMessage) int { return int(a.GetTimestamp() - b.GetTimestamp()) })
		node := (&archive{messages: all, failAfter: -1}).node
		options := history.Options{Nodes: func() []history.Node { return []history.Node{node} }, PageSize: 3, Rounds: 1}
		count, newest := 0, int64(0)
		for page, err := range history.Messages(context.Background(), groups, 0, 100, options) {
			if err != nil {
				t.Fatal(err)
			}
			for _, message := range page {
				if message.GetTimestamp() < newest {
					t.Fatalf("%d after %d", message.GetTimestamp(), newest)
				}
				newest = message.GetTimestamp()
				count++
			}
		}
		if count != len(all) {
			t.Fatalf("%d of %d", count, len(all))
		}
	})
}

func TestF4_HistoryFailsWhenNoNodeAnswers(t *testing.T) {
	groups := []history.Group{{PubsubTopic: pubsubTopic, Topics: []string{"/a/1/x/proto"}}}
	for _, nodes := range [][]history.Node{nil, {(&archive{}).node}} {
		options := history.Options{Nodes: func() []history.Node { return nodes }, PageSize: 3, Rounds: 2, Pause: time.Microsecond}
		failed := false
		for _, err := range history.Messages(context.Background(), groups, 0, 100, options) {
			failed = err != nil
		}
		if !failed {
			t.Error("ended as if complete")
		}
	}
}

func TestF3_PausesGrowToTheLongestHoweverLongItIs(t *testing.T) {
	for _, test := range []struct {
		attempt              int
		first, longest, full time.Duration
	}{
		{0, time.Second, time.Minute, time.Second},
		{3, time.Second, time.Minute, 8 * time.Second},
		{6, time.Second, time.Minute, time.Minute},
		{1 << 40, time.Second, time.Minute, time.Minute},
		{1 << 40, 24 * time.Hour, 24 * time.Hour, 24 * time.Hour},
		{0, time.Hour, time.Minute, time.Minute},
	} {
		for range 100 {
			if pause := history.Backoff(test.attempt, test.first, test.longest); pause < test.full/2 || pause > test.full {
				t.Fatalf("attempt %d from %v: %v, want half of to the full %v", test.attempt, test.first, pause, test.full)
			}
		}
	}
}
