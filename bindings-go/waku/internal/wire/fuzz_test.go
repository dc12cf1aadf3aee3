package wire

import (
	"bytes"
	"testing"

	"github.com/libp2p/go-msgio/pbio"
	"google.golang.org/protobuf/proto"
)

// FuzzPushes: what a hostile node pushes ends the stream at worst.
func FuzzPushes(f *testing.F) {
	var good bytes.Buffer
	for range 2 {
		push := &MessagePush{PubsubTopic: proto.String("/waku/2/rs/42/0"), Message: &WakuMessage{Payload: []byte("x"), ContentTopic: "/a/1/b/proto"}}
		if err := pbio.NewDelimitedWriter(&good).WriteMsg(push); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(good.Bytes(), 2)
	f.Add(good.Bytes()[:good.Len()-1], 1)
	f.Add([]byte{}, 0)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, 0)
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 0)
	f.Fuzz(func(t *testing.T, stream []byte, _ int) {
		total := 0
		// The error does not matter: that there is no panic, and no more bytes come out than went in, does.
		_ = readPushes(bytes.NewReader(stream), func(_ string, message *WakuMessage) { total += len(message.GetPayload()) })
		if total > len(stream) {
			t.Errorf("%d bytes of payload from %d", total, len(stream))
		}
	})
}

func TestF3_PushesAreReadToTheEndOfTheStream(t *testing.T) {
	var stream bytes.Buffer
	writer := pbio.NewDelimitedWriter(&stream)
	for _, push := range []*MessagePush{
		{PubsubTopic: proto.String("p"), Message: &WakuMessage{Payload: []byte("one")}},
		{Message: &WakuMessage{Payload: []byte("of no topic")}},
		{PubsubTopic: proto.String("p")},
		{PubsubTopic: proto.String("p"), Message: &WakuMessage{Payload: []byte("two")}},
	} {
		if err := writer.WriteMsg(push); err != nil {
			t.Fatal(err)
		}
	}
	read := func(stream []byte) (payloads string, err error) {
		err = readPushes(bytes.NewReader(stream), func(_ string, message *WakuMessage) { payloads += string(message.GetPayload()) + " " })
		return payloads, err
	}
	if payloads, err := read(stream.Bytes()); err != nil || payloads != "one two " {
		t.Errorf("%q, %v", payloads, err)
	}
	if payloads, err := read(stream.Bytes()[:stream.Len()-1]); err == nil || payloads != "one " {
		t.Errorf("cut: %q, %v", payloads, err)
	}
	if _, err := read([]byte{0x81, 0x80, 0x40}); err == nil {
		t.Error("a push of more than a mebibyte was read")
	}
}
