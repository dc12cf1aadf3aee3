package history_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"chatsdk/waku/internal/history"
	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

// endless is a node that has always a further page, which bring makes of the number of the query.
func endless(t *testing.T, asked *int, bring func(query int) []*wire.WakuMessage) history.Node {
	named := map[shards.Hash]*wire.WakuMessage{}
	return func(_ context.Context, request *wire.StoreRequest) (*wire.StoreResponse, error) {
		if *asked++; *asked > 10_000 {
			t.Fatal("it is asked for ever")
		}
		response := &wire.StoreResponse{PaginationCursor: bytes.Repeat([]byte{1}, 32)}
		for _, hash := range request.GetMessageHashes() {
			response.Messages = append(response.Messages, &wire.StoreEntry{MessageHash: hash, Message: named[shards.Hash(hash)]})
		}
		if len(response.GetMessages()) > 0 {
			return response, nil
		}
		for _, message := range bring(*asked) {
			entry := &wire.StoreEntry{MessageHash: hashOf(message)}
			named[shards.Hash(entry.GetMessageHash())] = message
			if request.GetIncludeData() {
				entry.Message = message
			}
			response.Messages = append(response.Messages, entry)
		}
		return response, nil
	}
}

// read gives the payloads of what is in the interval from 1 to 100 ms.
func read(ctx context.Context, leftOut map[shards.Hash]int64, nodes ...history.Node) (payloads []string, failure error) {
	options := history.Options{Nodes: func() []history.Node { return nodes }, PageSize: 20, Rounds: 4, Pause: time.Second}
	if leftOut != nil {
		options.Pushed = pushed(leftOut)
	}
	for page, err := range history.Messages(ctx, []history.Group{{PubsubTopic: pubsubTopic, Topics: []string{missedTopic}}}, 1, 100, options) {
		failure = err
		for _, message := range page {
			payloads = append(payloads, string(message.GetPayload()))
		}
	}
	return payloads, failure
}

func TestS3_ANodeWhosePagesNeverEndAndBringNothingNewIsLeft(t *testing.T) {
	messages := archiveOf([]int{5, 6, 7}, missedTopic)
	of := func(payload string, topic string, timestamp *int64) []*wire.WakuMessage {
		return []*wire.WakuMessage{{Payload: []byte(payload), ContentTopic: topic, Timestamp: timestamp}}
	}
	for name, test := range map[string]struct {
		bring func(query int) []*wire.WakuMessage
		most  int
	}{
		"one message":                {func(int) []*wire.WakuMessage { return messages[:1] }, 20},
		"two messages":               {func(int) []*wire.WakuMessage { return messages[:2] }, 20},
		"one after the other":        {func(query int) []*wire.WakuMessage { return messages[query%3 : query%3+1] }, 50},
		"others without a timestamp": {func(query int) []*wire.WakuMessage { return of(fmt.Sprint(query), missedTopic, nil) }, 1100},
		"others of another time":     {func(query int) []*wire.WakuMessage { return of(fmt.Sprint(query), missedTopic, proto.Int64(1)) }, 1100},
		"others of another topic": {func(query int) []*wire.WakuMessage {
			return of(fmt.Sprint(query), "/b/1/x/proto", proto.Int64(6_000_000))
		}, 1100},
	} {
		for missedOnly, leftOut := range map[bool]map[shards.Hash]int64{false: nil, true: {}} {
			t.Run(fmt.Sprintf("%s, missed only: %v", name, missedOnly), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					asked, begun := 0, time.Now()
					got, err := read(t.Context(), leftOut, endless(t, &asked, test.bring))
					if err == nil || asked > test.most || len(got) > 20 {
						t.Errorf("asked %d times, got %d messages, %v", asked, len(got), err)
					}
					if took := time.Since(begun); took < 3*time.Second || took > time.Minute {
						t.Errorf("it took %v", took)
					}
					asked = 0
					sound := &archive{messages: messages, failAfter: -1}
					got, err = read(t.Context(), leftOut, endless(t, &asked, test.bring), sound.node)
					for _, message := range messages {
						if !slices.Contains(got, string(message.GetPayload())) {
							err = errors.Join(err, fmt.Errorf("no %q", message.GetPayload()))
						}
					}
					if err != nil || asked > test.most {
						t.Errorf("with another node: asked %d times, got %q, %v", asked, got, err)
					}
				})
			})
		}
	}
}

func TestS3_ANodeThatGivesNoMessagesWithItsEntriesIsNotAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty := func(context.Context, *wire.StoreRequest) (*wire.StoreResponse, error) {
			return &wire.StoreResponse{Messages: []*wire.StoreEntry{{MessageHash: make([]byte, 32)}}}, nil
		}
		if got, err := read(t.Context(), nil, empty); err == nil {
			t.Errorf("ended as if complete, with %q", got)
		}
	})
}

func TestF4_ThousandsOfMessagesOfOneTimeComeFromOneNodeAndAnother(t *testing.T) {
	times := slices.Repeat([]int{5}, 2000)
	messages := archiveOf(times, missedTopic)
	for name, without := range map[string]int{"all": 0, "missed only": 1000, "none was missed": 2000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leftOut := map[shards.Hash]int64{}
				for _, message := range messages[:without] {
					leftOut[shards.Hash(hashOf(message))] = message.GetTimestamp()
				}
				first, second := &archive{messages: messages, failAfter: 60}, &archive{messages: messages, failAfter: -1}
				got, err := read(t.Context(), leftOut, first.node, second.node)
				slices.Sort(got)
				if different := len(slices.Compact(slices.Clone(got))); err != nil || different != len(got) || different != len(messages)-without {
					t.Errorf("%d, of which %d differ, %v", len(got), different, err)
				}
			})
		})
	}
}

func TestF4_WhereEachNodeFailsAfterItsFirstPageTheyTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := archiveOf(append(slices.Repeat([]int{1}, 30), 2, 3), missedTopic)
		halting := func(ctx context.Context, request *wire.StoreRequest) (*wire.StoreResponse, error) {
			if request.GetPaginationCursor() != nil {
				return nil, errors.New("no further page")
			}
			return (&archive{messages: messages, failAfter: -1}).node(ctx, request)
		}
		sound := &archive{messages: messages, failAfter: -1}
		got, err := read(t.Context(), nil, halting, halting, halting, halting, halting, halting, sound.node)
		if err != nil || len(got) != len(messages) {
			t.Errorf("%q, %v", got, err)
		}
	})
}
