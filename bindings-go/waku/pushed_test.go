package waku

import (
	"encoding/binary"
	"testing"

	"google.golang.org/protobuf/proto"

	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

func TestF4_AMessageCountsAsPushedOnceTheListenerHasTakenIt(t *testing.T) {
	transport, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	const topic = "/chatsdk/2/pushed/proto"
	pubsubTopic, err := transport.network.PubsubTopic(topic)
	if err != nil {
		t.Fatal(err)
	}
	transport.topics = topics{topic: pubsubTopic}
	var hashes []shards.Hash
	for i := range 3 {
		message := &wire.WakuMessage{Payload: []byte{byte(i)}, ContentTopic: topic, Timestamp: proto.Int64(int64(i) + 7)}
		hashes = append(hashes, shards.MessageHash(pubsubTopic, message))
		transport.receive(pubsubTopic, message)
		transport.receive(pubsubTopic, message)
	}
	taken := func(i int) bool {
		timestamp, taken := transport.pushed.taken(hashes[i])
		if taken && timestamp != int64(i)+7 {
			t.Errorf("message %d is of %d", i, timestamp)
		}
		return taken
	}
	heard := 0
	for event := range transport.Start(t.Context()) {
		if event.GetEnvelope() == nil {
			continue
		}
		if heard > 0 && !taken(heard-1) || taken(heard) {
			t.Errorf("while message %d is being taken: %v, %v", heard, heard > 0 && taken(heard-1), taken(heard))
		}
		if heard++; heard == 2 {
			break
		}
	}
	if !taken(0) || taken(1) || taken(2) {
		t.Errorf("after the listener was gone: %v, %v, %v", taken(0), taken(1), taken(2))
	}
	if err := transport.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestF4_TheOldestOfTooManyPushedMessagesAreForgotten(t *testing.T) {
	remembered := newPushed()
	hash := func(i int) (hash shards.Hash) {
		binary.BigEndian.PutUint64(hash[:], uint64(i))
		return hash
	}
	for i := range pushedMessages + 10 {
		if !remembered.isNew(hash(i), int64(i)) || remembered.isNew(hash(i), int64(i)) {
			t.Fatalf("message %d", i)
		}
		remembered.take(hash(i))
	}
	for i := range pushedMessages + 10 {
		if timestamp, taken := remembered.taken(hash(i)); taken != (i >= 10) || taken && timestamp != int64(i) {
			t.Fatalf("message %d: %d, %v", i, timestamp, taken)
		}
	}
	// Of a message that is forgotten, or was never there.
	remembered.take(hash(0))
	if _, taken := remembered.taken(hash(0)); taken || len(remembered.byHash) != pushedMessages {
		t.Errorf("%d are remembered", len(remembered.byHash))
	}
}
