package relay_test

import (
	"testing"

	"chatsdk/internal/consumer"
)

func TestS1_AProgramGetsClientAndRelayAtOnce(t *testing.T) {
	consumer.Get(t, "go.sum", "gowaku_no_rln", []string{
		consumer.Replace(t, "chatsdk", "../.."),
		consumer.Replace(t, "chatsdk/waku/relay", "."),
		"github.com/libp2p/go-libp2p-pubsub v0.13.1 => github.com/waku-org/go-libp2p-pubsub v0.13.1-gowaku",
	}, "chatsdk", "chatsdk/waku/relay")
}
