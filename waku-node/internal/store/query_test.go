package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

const (
	topicA = "/waku/2/rs/42/0"
	topicB = "/waku/2/rs/42/1"
)

// openTest opens an archive with changes to the defaults of tests, and closes it with the test.
func openTest(t *testing.T, change func(*Options)) *Archive {
	t.Helper()
	options := Options{Now: time.Now, Logger: zap.NewNop()}
	if change != nil {
		change(&options)
	}
	archive, err := Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := archive.Close(); err != nil {
			t.Error(err)
		}
	})
	return archive
}

func put(t *testing.T, archive *Archive, pubsubTopic string, message *pb.WakuMessage) []byte {
	t.Helper()
	if err := archive.Put(context.Background(), pubsubTopic, message); err != nil {
		t.Fatal(err)
	}
	return message.Hash(pubsubTopic).Bytes()
}

func find(t *testing.T, archive *Archive, query Query) Page {
	t.Helper()
	page, err := archive.Find(query)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// record is what the tests' model of the store knows of a message.
type record struct {
	hash                      []byte
	timestamp                 int64
	pubsubTopic, contentTopic string
}

// fill stores messages on two pubsub and three content topics; up to seven of them share a timestamp.
// It returns them in the order of the specification.
func fill(t *testing.T, archive *Archive) []record {
	t.Helper()
	var records []record
	for i := range 60 {
		timestamp := int64(1000 + i/7*10)
		pubsubTopic := []string{topicA, topicA, topicB}[i%3]
		contentTopic := fmt.Sprintf("/test/1/%d/proto", i%4%3)
		hash := put(t, archive, pubsubTopic, &pb.WakuMessage{
			Payload:      fmt.Appendf(nil, "message %d", i),
			ContentTopic: contentTopic,
			Timestamp:    proto.Int64(timestamp),
			Meta:         []byte{byte(i)},
		})
		records = append(records, record{hash, timestamp, pubsubTopic, contentTopic})
	}
	slices.SortFunc(records, func(a, b record) int {
		if a.timestamp != b.timestamp {
			return int(a.timestamp - b.timestamp)
		}
		return bytes.Compare(a.hash, b.hash)
	})
	return records
}

// selections are queries with the model of what they select.
func selections(records []record) map[string]struct {
	query Query
	wants func(record) bool
} {
	type selection = struct {
		query Query
		wants func(record) bool
	}
	some := []record{records[0], records[7], records[8], records[30], records[59]}
	var hashes [][]byte
	for _, r := range some {
		hashes = append(hashes, r.hash)
	}
	hashes = append(hashes, bytes.Repeat([]byte{0xee}, 32)) // of no message
	return map[string]selection{
		"all": {Query{}, func(record) bool { return true }},
		"one content topic": {
			Query{PubsubTopic: topicA, ContentTopics: []string{"/test/1/1/proto"}},
			func(r record) bool { return r.pubsubTopic == topicA && r.contentTopic == "/test/1/1/proto" },
		},
		"two content topics": {
			Query{PubsubTopic: topicB, ContentTopics: []string{"/test/1/2/proto", "/test/1/0/proto", "/test/1/none/proto"}},
			func(r record) bool { return r.pubsubTopic == topicB && r.contentTopic != "/test/1/1/proto" },
		},
		"time range": {
			Query{Start: proto.Int64(1010), End: proto.Int64(1050)},
			func(r record) bool { return r.timestamp >= 1010 && r.timestamp < 1050 },
		},
		"from a time on a topic": {
			Query{PubsubTopic: topicA, ContentTopics: []string{"/test/1/0/proto"}, Start: proto.Int64(1030)},
			func(r record) bool {
				return r.pubsubTopic == topicA && r.contentTopic == "/test/1/0/proto" && r.timestamp >= 1030
			},
		},
		"up to a time": {Query{End: proto.Int64(1031)}, func(r record) bool { return r.timestamp < 1031 }},
		"empty time range": {
			Query{Start: proto.Int64(1010), End: proto.Int64(1010)},
			func(record) bool { return false },
		},
		"hashes": {
			Query{Hashes: hashes},
			func(r record) bool {
				return slices.ContainsFunc(some, func(s record) bool { return bytes.Equal(r.hash, s.hash) })
			},
		},
		"hashes on a pubsub topic": {
			Query{Hashes: hashes, PubsubTopic: topicA},
			func(r record) bool {
				return r.pubsubTopic == topicA && slices.ContainsFunc(some, func(s record) bool { return bytes.Equal(r.hash, s.hash) })
			},
		},
		"no such topic": {
			Query{PubsubTopic: topicA, ContentTopics: []string{"/test/1/none/proto"}},
			func(record) bool { return false },
		},
	}
}

// Every query, in both directions and with every page size, gives each matching message once and in
// order, with a cursor exactly while there is more.
func TestPaging(t *testing.T) {
	archive := openTest(t, nil)
	records := fill(t, archive)
	for name, selection := range selections(records) {
		var want []string
		for _, r := range records {
			if selection.wants(r) {
				want = append(want, hex.EncodeToString(r.hash))
			}
		}
		for _, forward := range []bool{true, false} {
			for limit := range uint64(len(want) + 2) {
				query := selection.query
				query.Forward, query.Limit = forward, limit
				pages := 0
				var got []string
				for {
					page := find(t, archive, query)
					hashes := hashesOf(page)
					if limit > 0 && len(hashes) > int(limit) {
						t.Fatalf("%s, limit %d: page of %d entries", name, limit, len(hashes))
					}
					if forward {
						got = append(got, hashes...)
					} else {
						got = append(hashes, got...)
					}
					pages++
					if page.Next == nil {
						break
					}
					if last := hashes[len(hashes)-1]; forward && last != hex.EncodeToString(page.Next) {
						t.Fatalf("%s: forward cursor is not the last entry", name)
					}
					if !forward && hashes[0] != hex.EncodeToString(page.Next) {
						t.Fatalf("%s: backward cursor is not the first entry", name)
					}
					query.Cursor = page.Next
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s, forward %v, limit %d: got %d messages in the wrong order or number, want %d", name, forward, limit, len(got), len(want))
				}
				if wantPages := pagesFor(len(want), limit); pages != wantPages {
					t.Fatalf("%s, forward %v, limit %d: %d pages, want %d", name, forward, limit, pages, wantPages)
				}
			}
		}
	}
}

// The cursor may be any stored message: also one in a group of equal timestamps, one that the query
// itself does not select, and the last one (as @waku/sdk sends it to see that there is no more).
func TestCursorAtEveryMessage(t *testing.T) {
	archive := openTest(t, nil)
	records := fill(t, archive)
	for name, selection := range selections(records) {
		for i, at := range records {
			for _, forward := range []bool{true, false} {
				rest := records[:i]
				if forward {
					rest = records[i+1:]
				}
				var want []string
				for _, r := range rest {
					if selection.wants(r) {
						want = append(want, hex.EncodeToString(r.hash))
					}
				}
				query := selection.query
				query.Forward, query.Cursor = forward, at.hash
				page := find(t, archive, query)
				if got := hashesOf(page); !slices.Equal(got, want) || page.Next != nil {
					t.Fatalf("%s from message %d, forward %v: got %d entries, want %d", name, i, forward, len(got), len(want))
				}
			}
		}
	}
}

func TestUnknownCursor(t *testing.T) {
	archive := openTest(t, nil)
	fill(t, archive)
	for _, cursor := range [][]byte{bytes.Repeat([]byte{1}, 32), {1, 2, 3}} {
		if _, err := archive.Find(Query{Cursor: cursor}); !errors.Is(err, ErrUnknownCursor) {
			t.Errorf("cursor %x: %v, want ErrUnknownCursor", cursor, err)
		}
	}
}

func TestPageLimits(t *testing.T) {
	archive := openTest(t, nil)
	for i := range MaxPageSize + 5 {
		put(t, archive, topicA, &pb.WakuMessage{Payload: fmt.Appendf(nil, "%d", i), ContentTopic: "/t/1/x/proto", Timestamp: proto.Int64(int64(i + 1))})
	}
	for _, limit := range []uint64{0, MaxPageSize, MaxPageSize + 1, 1 << 63} {
		if page := find(t, archive, Query{Forward: true, Limit: limit}); len(page.Entries) != MaxPageSize || page.Next == nil {
			t.Errorf("limit %d: %d entries, cursor %x", limit, len(page.Entries), page.Next)
		}
	}
}

// Pages of large messages end before they are too large for a client, and none is lost between them.
func TestPageBytes(t *testing.T) {
	archive := openTest(t, nil)
	const messages, size = 40, 140 * 1024
	for i := range messages {
		payload := bytes.Repeat([]byte{byte(i)}, size)
		put(t, archive, topicA, &pb.WakuMessage{Payload: payload, ContentTopic: "/t/1/x/proto", Timestamp: proto.Int64(int64(i + 1))})
	}
	for _, forward := range []bool{true, false} {
		query := Query{Forward: forward, IncludeData: true}
		got := 0
		for {
			page := find(t, archive, query)
			bytes := 0
			for _, entry := range page.Entries {
				bytes += proto.Size(entry.Message)
			}
			if bytes > maxPageBytes {
				t.Errorf("page of %d bytes", bytes)
			}
			got += len(page.Entries)
			if page.Next == nil {
				break
			}
			query.Cursor = page.Next
		}
		if got != messages {
			t.Errorf("forward %v: %d messages, want %d", forward, got, messages)
		}
	}
}

// Every field of a message comes back as it was stored.
func TestIncludeData(t *testing.T) {
	archive := openTest(t, nil)
	message := &pb.WakuMessage{
		Payload:        []byte("payload"),
		ContentTopic:   "/t/1/x/proto",
		Version:        proto.Uint32(2),
		Timestamp:      proto.Int64(5),
		Meta:           []byte("meta"),
		RateLimitProof: []byte("proof"),
		Ephemeral:      proto.Bool(false),
	}
	hash := put(t, archive, topicB, message)
	entry := find(t, archive, Query{IncludeData: true}).Entries[0]
	if !bytes.Equal(entry.Hash, hash) || entry.PubsubTopic != topicB || !proto.Equal(entry.Message, message) {
		t.Errorf("got %v", entry)
	}
	entry = find(t, archive, Query{}).Entries[0]
	if !bytes.Equal(entry.Hash, hash) || entry.PubsubTopic != "" || entry.Message != nil {
		t.Errorf("without data: got %v", entry)
	}
}

func hashesOf(page Page) []string {
	var hashes []string
	for _, entry := range page.Entries {
		hashes = append(hashes, hex.EncodeToString(entry.Hash))
	}
	return hashes
}

func pagesFor(messages int, limit uint64) int {
	if limit == 0 || messages == 0 {
		return 1
	}
	return (messages + int(limit) - 1) / int(limit)
}
