package rules

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"google.golang.org/protobuf/proto"
)

func TestCheck(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	at := func(offset time.Duration) *int64 { return proto.Int64(now.Add(offset).UnixNano()) }
	message := func(change func(*pb.WakuMessage)) *pb.WakuMessage {
		m := &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "/a/1/b/proto", Timestamp: at(0)}
		change(m)
		return m
	}
	// The largest payload that keeps the whole message at the limit.
	fitting := MaxMessageSize - proto.Size(message(func(m *pb.WakuMessage) { m.Payload = make([]byte, 100_000) })) + 100_000

	for _, test := range []struct {
		name    string
		message *pb.WakuMessage
		want    Kind
	}{
		{"valid", message(func(*pb.WakuMessage) {}), 0},
		{"nil", nil, Malformed},
		{"no payload", message(func(m *pb.WakuMessage) { m.Payload = nil }), Malformed},
		{"no content topic", message(func(m *pb.WakuMessage) { m.ContentTopic = "" }), Malformed},
		{"meta of 65 bytes", message(func(m *pb.WakuMessage) { m.Meta = make([]byte, 65) }), Malformed},
		{"at the size limit", message(func(m *pb.WakuMessage) { m.Payload = make([]byte, fitting) }), 0},
		{"a byte above the size limit", message(func(m *pb.WakuMessage) { m.Payload = make([]byte, fitting+1) }), TooLarge},
		{"20 s old", message(func(m *pb.WakuMessage) { m.Timestamp = at(-20 * time.Second) }), 0},
		{"20 s ahead", message(func(m *pb.WakuMessage) { m.Timestamp = at(20 * time.Second) }), 0},
		{"older", message(func(m *pb.WakuMessage) { m.Timestamp = at(-20*time.Second - 1) }), Untimely},
		{"further ahead", message(func(m *pb.WakuMessage) { m.Timestamp = at(20*time.Second + 1) }), Untimely},
		{"no timestamp", message(func(m *pb.WakuMessage) { m.Timestamp = nil }), Untimely},
		{"smallest timestamp", message(func(m *pb.WakuMessage) { m.Timestamp = proto.Int64(math.MinInt64) }), Untimely},
		{"largest timestamp", message(func(m *pb.WakuMessage) { m.Timestamp = proto.Int64(math.MaxInt64) }), Untimely},
	} {
		err := Rules{MaxClockSkew: 20 * time.Second, Now: func() time.Time { return now }}.Check(test.message)
		var violation *Violation
		switch {
		case test.want == 0 && err != nil:
			t.Errorf("%s: refused: %v", test.name, err)
		case test.want != 0 && (!errors.As(err, &violation) || violation.Kind != test.want):
			t.Errorf("%s: got %v, want kind %d", test.name, err, test.want)
		}
	}
}

func TestClockCheckOff(t *testing.T) {
	m := &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "/a/1/b/proto"}
	if err := (Rules{}).Check(m); err != nil {
		t.Errorf("a message without timestamp was refused: %v", err)
	}
}
