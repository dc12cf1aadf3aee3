package history_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"chatsdk/waku/internal/history"
	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

const missedTopic = "/a/1/x/proto"

// missed reads what is left of the messages without those of the indexes.
func missed(messages []*wire.WakuMessage, without []int, nodes ...history.Node) (payloads []string, failure error) {
	timestamps := map[shards.Hash]int64{}
	for _, i := range without {
		timestamps[shards.Hash(hashOf(messages[i]))] = messages[i].GetTimestamp()
	}
	options := history.Options{Nodes: func() []history.Node { return nodes }, Pushed: pushed(timestamps), PageSize: 2, Rounds: 2, Pause: time.Microsecond}
	groups := []history.Group{{PubsubTopic: pubsubTopic, Topics: []string{missedTopic}}}
	for page, err := range history.Messages(context.Background(), groups, 0, 100, options) {
		failure = err
		for _, message := range page {
			payloads = append(payloads, string(message.GetPayload()))
		}
	}
	return payloads, failure
}

func TestF4_WhatWasPushedIsNotDownloadedAgain(t *testing.T) {
	messages := archiveOf([]int{1, 2, 3, 4, 5, 6, 7}, missedTopic)
	all := []int{0, 1, 2, 3, 4, 5, 6}
	for name, test := range map[string]struct{ without, want []int }{
		"nothing was missed":                      {all, nil},
		"the last one, after pages of known ones": {all[:6], all[6:]},
		"the first one":                           {all[1:], all[:1]},
		"known and unknown ones mixed":            {[]int{0, 3, 4}, []int{1, 2, 5, 6}},
		"everything was missed":                   {nil, all},
	} {
		t.Run(name, func(t *testing.T) {
			store := &archive{messages: messages, failAfter: -1}
			got, err := missed(messages, test.without, store.node)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, i := range test.want {
				want = append(want, string(messages[i].GetPayload()))
			}
			if !slices.Equal(got, want) || store.fetched != len(want) {
				t.Errorf("got %v, want %v; %d were downloaded", got, want, store.fetched)
			}
		})
	}
}

func TestF4_ANodeThatOmitsAMessageWhoseHashItGaveIsNotBelieved(t *testing.T) {
	messages := archiveOf([]int{1, 2, 3, 4, 5}, missedTopic)
	faulty := &archive{messages: messages, failAfter: -1, omits: messages[3]}
	sound := &archive{messages: messages, failAfter: -1}
	got, err := missed(messages, []int{0}, faulty.node, sound.node)
	if want := []string{"/a/1/x/proto1", "/a/1/x/proto2", "/a/1/x/proto3", "/a/1/x/proto4"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := missed(messages, []int{0}, faulty.node); err == nil {
		t.Errorf("ended as if complete, with %v", got)
	}
}

func TestF4_ANodeThatEndsItsAnswersAtSomeSizeIsAskedForTheRest(t *testing.T) {
	messages := archiveOf([]int{1, 2, 3, 4, 5, 6, 7}, missedTopic)
	var want []string
	for _, message := range messages {
		want = append(want, string(message.GetPayload()))
	}
	small := &archive{messages: messages, failAfter: -1, most: 1}
	if got, err := missed(messages, nil, small.node); err != nil || !slices.Equal(got, want) || small.fetched != len(want) {
		t.Errorf("got %v, %v, want %v; %d were downloaded", got, err, want, small.fetched)
	}
	small.omits = messages[2]
	if got, err := missed(messages, nil, small.node); err == nil {
		t.Errorf("ended as if complete, with %v", got)
	}
}

// hashOfGoWaku: a message without a timestamp has 8 zero bytes in its place.
func hashOfGoWaku(message *wire.WakuMessage) []byte {
	dated := proto.CloneOf(message)
	dated.Timestamp = proto.Int64(message.GetTimestamp())
	return hashOf(dated)
}

func TestF4_AMessageWithoutATimestampFailsNoQuery(t *testing.T) {
	sound := &wire.WakuMessage{Payload: []byte("sound"), ContentTopic: missedTopic, Timestamp: proto.Int64(2_000_000)}
	undated := &wire.WakuMessage{Payload: []byte("undated"), ContentTopic: missedTopic}
	// Filed under the time when it arrived.
	node := func(_ context.Context, request *wire.StoreRequest) (*wire.StoreResponse, error) {
		response := &wire.StoreResponse{}
		for _, message := range []*wire.WakuMessage{undated, sound} {
			entry := &wire.StoreEntry{MessageHash: hashOfGoWaku(message)}
			if request.GetIncludeData() {
				entry.Message = message
			}
			response.Messages = append(response.Messages, entry)
		}
		return response, nil
	}
	options := history.Options{Nodes: func() []history.Node { return []history.Node{node} }, Pushed: pushed(nil), PageSize: 2, Rounds: 2, Pause: time.Microsecond}
	groups := []history.Group{{PubsubTopic: pubsubTopic, Topics: []string{missedTopic}}}
	var got []string
	for page, err := range history.Messages(t.Context(), groups, 1, 100, options) {
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range page {
			got = append(got, string(message.GetPayload()))
		}
	}
	if !slices.Equal(got, []string{"sound"}) {
		t.Errorf("got %v", got)
	}
}

func TestS3_ANodeThatNamesAPushedMessageOfAnotherTimeSkipsNothingAtTheNext(t *testing.T) {
	messages := archiveOf([]int{1, 2, 3, 200}, missedTopic)
	asked := 0
	hostile := func(context.Context, *wire.StoreRequest) (*wire.StoreResponse, error) {
		if asked++; asked > 1 {
			return nil, errors.New("the node is gone")
		}
		late := hashOf(messages[3])
		return &wire.StoreResponse{Messages: []*wire.StoreEntry{{MessageHash: late}}, PaginationCursor: late}, nil
	}
	sound := &archive{messages: messages, failAfter: -1}
	got, err := missed(messages, []int{3}, hostile, sound.node)
	if want := []string{"/a/1/x/proto0", "/a/1/x/proto1", "/a/1/x/proto2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestF4_AnotherNodeGoesOnInTheMiddleOfKnownAndUnknownMessages(t *testing.T) {
	// Several at one time, where the one node stops.
	messages := archiveOf([]int{1, 2, 2, 2, 2, 3, 4}, missedTopic)
	for stops := range 8 {
		first := &archive{messages: messages, failAfter: stops}
		second := &archive{messages: messages, failAfter: -1}
		got, err := missed(messages, []int{0, 2, 5}, first.node, second.node)
		var want []string
		for _, i := range []int{1, 3, 4, 6} {
			want = append(want, string(messages[i].GetPayload()))
		}
		// Those of one time come in any order.
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("after %d answers: got %v, %v, want %v", stops, got, err, want)
		}
	}
}

func TestF4_KnownMessagesAreProgressWhereANodeFailsNowAndThen(t *testing.T) {
	messages := archiveOf([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, missedTopic)
	asked := 0
	store := &archive{messages: messages, failAfter: -1}
	got, err := missed(messages, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, func(ctx context.Context, request *wire.StoreRequest) (*wire.StoreResponse, error) {
		if asked++; asked%3 == 0 {
			return nil, errors.New("not now")
		}
		return store.node(ctx, request)
	})
	if err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestF4_ANodeThatFailsAfterEveryPageOfKnownMessagesIsNotAskedForEver(t *testing.T) {
	messages := archiveOf([]int{1, 1, 1, 1}, missedTopic)
	asked := 0
	store := &archive{messages: messages, failAfter: -1}
	_, err := missed(messages, []int{0, 1}, func(ctx context.Context, request *wire.StoreRequest) (*wire.StoreResponse, error) {
		if asked++; asked > 1000 {
			t.Fatal("still asking")
		}
		if request.GetPaginationCursor() != nil {
			return nil, errors.New("no further page")
		}
		return store.node(ctx, request)
	})
	if err == nil {
		t.Error("ended as if complete")
	}
}

func TestS3_AnswersThatANodeShouldNotGiveAreErrorsAndNotTheEnd(t *testing.T) {
	messages := archiveOf([]int{1, 2}, missedTopic)
	of := func(hashes ...[]byte) *wire.StoreResponse {
		response := &wire.StoreResponse{}
		for _, hash := range hashes {
			response.Messages = append(response.Messages, &wire.StoreEntry{MessageHash: hash})
		}
		return response
	}
	another := &wire.WakuMessage{Payload: []byte("not asked for"), ContentTopic: missedTopic, Timestamp: proto.Int64(2_000_000)}
	for name, response := range map[string]*wire.StoreResponse{
		"no hash":                                of(nil),
		"a short hash":                           of([]byte{1, 2}),
		"more than wanted":                       of(hashOf(messages[0]), hashOf(messages[1]), hashOf(another)),
		"a hash of nothing, and another message": {Messages: []*wire.StoreEntry{{MessageHash: hashOf(messages[0]), Message: another}}},
	} {
		got, err := missed(messages, nil, func(context.Context, *wire.StoreRequest) (*wire.StoreResponse, error) { return response, nil })
		if err == nil || len(got) > 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
