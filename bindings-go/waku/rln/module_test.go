package rln_test

import (
	"testing"

	"chatsdk/internal/consumer"
)

func TestS1_AProgramGetsClientAndMembershipAtOnce(t *testing.T) {
	consumer.Get(t, "go.sum", "", []string{
		consumer.Replace(t, "chatsdk", "../.."),
		consumer.Replace(t, "chatsdk/waku/rln", "."),
		consumer.Replace(t, "waku-node/rln", "../../../waku-node/rln"),
	}, "chatsdk", "chatsdk/waku/rln")
}
