package store

import (
	"bytes"
	"testing"

	"github.com/waku-org/go-waku/waku/v2/protocol/store/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

func TestRequests(t *testing.T) {
	archive := openTest(t, nil)
	hash := put(t, archive, topicA, testMessage("x", 5))
	s := server{archive: archive, logger: zap.NewNop()}
	for _, test := range []struct {
		name    string
		change  func(*pb.StoreQueryRequest)
		code    uint32
		entries int
	}{
		{"everything", func(*pb.StoreQueryRequest) {}, 200, 1},
		{"no request id", func(r *pb.StoreQueryRequest) { r.RequestId = "" }, 400, 0},
		{"topics", func(r *pb.StoreQueryRequest) {
			r.PubsubTopic, r.ContentTopics = proto.String(topicA), []string{"/test/1/x/proto"}
		}, 200, 1},
		{"pubsub topic alone", func(r *pb.StoreQueryRequest) { r.PubsubTopic = proto.String(topicA) }, 400, 0},
		{"content topics alone", func(r *pb.StoreQueryRequest) { r.ContentTopics = []string{"/test/1/x/proto"} }, 400, 0},
		{"empty content topic", func(r *pb.StoreQueryRequest) {
			r.PubsubTopic, r.ContentTopics = proto.String(topicA), []string{""}
		}, 400, 0},
		{"start is inclusive", func(r *pb.StoreQueryRequest) { r.TimeStart = proto.Int64(5) }, 200, 1},
		{"end is exclusive", func(r *pb.StoreQueryRequest) { r.TimeEnd = proto.Int64(5) }, 200, 0},
		{"end before start", func(r *pb.StoreQueryRequest) { r.TimeStart, r.TimeEnd = proto.Int64(5), proto.Int64(4) }, 400, 0},
		{"hash", func(r *pb.StoreQueryRequest) { r.MessageHashes = [][]byte{hash} }, 200, 1},
		{"hash with its pubsub topic", func(r *pb.StoreQueryRequest) {
			r.MessageHashes, r.PubsubTopic = [][]byte{hash}, proto.String(topicA)
		}, 200, 1},
		{"hash with content topics", func(r *pb.StoreQueryRequest) {
			r.MessageHashes, r.PubsubTopic, r.ContentTopics = [][]byte{hash}, proto.String(topicA), []string{"/test/1/x/proto"}
		}, 400, 0},
		{"hash with a time", func(r *pb.StoreQueryRequest) {
			r.MessageHashes, r.TimeStart = [][]byte{hash}, proto.Int64(1)
		}, 400, 0},
		{"hash of 31 bytes", func(r *pb.StoreQueryRequest) { r.MessageHashes = [][]byte{hash[:31]} }, 400, 0},
		{"hash of no message", func(r *pb.StoreQueryRequest) { r.MessageHashes = [][]byte{make([]byte, 32)} }, 200, 0},
		{"cursor", func(r *pb.StoreQueryRequest) { r.PaginationCursor = hash }, 200, 0},
		{"unknown cursor", func(r *pb.StoreQueryRequest) { r.PaginationCursor = make([]byte, 32) }, 400, 0},
	} {
		request := &pb.StoreQueryRequest{RequestId: "id"}
		test.change(request)
		response := s.handle(t.Context(), "", request)
		if response.GetStatusCode() != test.code || len(response.Messages) != test.entries || response.GetStatusDesc() == "" {
			t.Errorf("%s: %v", test.name, response)
		}
		if response.RequestId != request.RequestId {
			t.Errorf("%s: request id %q", test.name, response.RequestId)
		}
	}
}

// Value fields are set together or not at all.
func TestResponseValues(t *testing.T) {
	archive := openTest(t, nil)
	message := testMessage("x", 5)
	hash := put(t, archive, topicA, message)
	s := server{archive: archive, logger: zap.NewNop()}
	with := s.handle(t.Context(), "", &pb.StoreQueryRequest{RequestId: "id", IncludeData: true}).Messages[0]
	if !bytes.Equal(with.MessageHash, hash) || with.GetPubsubTopic() != topicA || !proto.Equal(with.Message, message) {
		t.Errorf("with data: %v", with)
	}
	without := s.handle(t.Context(), "", &pb.StoreQueryRequest{RequestId: "id"}).Messages[0]
	if !bytes.Equal(without.MessageHash, hash) || without.PubsubTopic != nil || without.Message != nil {
		t.Errorf("without data: %v", without)
	}
}

// A database that cannot be read is the server's fault.
func TestBrokenDatabase(t *testing.T) {
	archive := openTest(t, nil)
	if _, err := archive.db.Exec("ALTER TABLE message RENAME TO gone"); err != nil {
		t.Fatal(err)
	}
	s := server{archive: archive, logger: zap.NewNop()}
	if response := s.handle(t.Context(), "", &pb.StoreQueryRequest{RequestId: "id"}); response.GetStatusCode() != 500 {
		t.Errorf("got %v", response)
	}
}
