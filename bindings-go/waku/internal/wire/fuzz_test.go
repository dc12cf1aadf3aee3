package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-msgio/pbio"
	"google.golang.org/protobuf/proto"
)

// patient is a stream whose bytes are all there.
type patient struct{ io.Reader }

func (patient) SetReadDeadline(time.Time) error { return nil }

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
		_ = readPushes(patient{bytes.NewReader(stream)}, make(chan struct{}, 1), func(_ string, message *WakuMessage) { total += len(message.GetPayload()) })
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
		err = readPushes(patient{bytes.NewReader(stream)}, make(chan struct{}, 1), func(_ string, message *WakuMessage) { payloads += string(message.GetPayload()) + " " })
		return payloads, err
	}
	if payloads, err := read(stream.Bytes()); err != nil || payloads != "one two " {
		t.Errorf("%q, %v", payloads, err)
	}
	if payloads, err := read(stream.Bytes()[:stream.Len()-1]); err == nil || payloads != "one " {
		t.Errorf("cut: %q, %v", payloads, err)
	}
	if _, err := read(append([]byte{0x81, 0xc0, 0x0c}, make([]byte, 200<<10+1)...)); err == nil {
		t.Error("a push of more than 200 KiB was read")
	}
	largest := &MessagePush{PubsubTopic: proto.String("p"), Message: &WakuMessage{Payload: make([]byte, 150<<10)}}
	stream.Reset()
	if err := writer.WriteMsg(largest); err != nil {
		t.Fatal(err)
	}
	if _, err := read(stream.Bytes()); err != nil {
		t.Errorf("the largest message: %v", err)
	}
}

func TestF3_PushesThatAreBegunAndNotFinishedEndInTimeAndFewOfANodeAreReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reading := make(chan struct{}, PushesAtOnce)
		begun := time.Now()
		var took []time.Duration
		ended := make(chan time.Duration)
		for range 2 * PushesAtOnce {
			node, client := net.Pipe()
			go func() {
				// 100 bytes are promised.
				if _, err := node.Write([]byte{100, 1, 2}); err != nil {
					t.Error(err)
				}
			}()
			go func() {
				if err := readPushes(client, reading, func(string, *WakuMessage) { t.Error("a push") }); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				ended <- time.Since(begun)
			}()
		}
		for range 2 * PushesAtOnce {
			took = append(took, <-ended)
		}
		if first := took[PushesAtOnce-1]; first != pushTimeout {
			t.Errorf("those that were read ended after %v", first)
		}
		if last := took[2*PushesAtOnce-1]; last != 2*pushTimeout {
			t.Errorf("those that waited ended after %v", last)
		}
	})
}

func TestF3_AStreamThatANodeKeepsForItsNextPushStaysAndOneThatBringsNothingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, client := net.Pipe()
		heard := make(chan string, 2)
		ended := make(chan error, 2)
		reading := make(chan struct{}, 1)
		go func() {
			ended <- readPushes(client, reading, func(_ string, message *WakuMessage) { heard <- string(message.GetPayload()) })
		}()
		for _, text := range []string{"one", "an hour later"} {
			push := &MessagePush{PubsubTopic: proto.String("p"), Message: &WakuMessage{Payload: []byte(text)}}
			if err := pbio.NewDelimitedWriter(node).WriteMsg(push); err != nil {
				t.Fatal(err)
			}
			if got := <-heard; got != text {
				t.Errorf("%q", got)
			}
			time.Sleep(time.Hour)
		}
		_ = node.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		silent, client := net.Pipe()
		defer func() { _ = silent.Close() }()
		if err := readPushes(client, reading, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}
