package chatsdk_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"chatsdk"
	"chatsdk/internal/localnet"
	"chatsdk/internal/servicenode"
)

func onNode(t *testing.T, path, address string) chatsdk.Options {
	t.Helper()
	settings := options(t, localnet.New(), path)
	settings.Transport, settings.Peers = nil, []string{address}
	return settings
}

func TestF2_F3_TwoClientsChatOverARealNodeAndOneOfThemIsAwayForAWhile(t *testing.T) {
	node := servicenode.Start(t)
	tcp, websocket := node.TCP, node.Websocket
	folder := t.TempDir()
	alice := join(t, onNode(t, filepath.Join(folder, "alice.db"), tcp))
	path := filepath.Join(folder, "bob.db")
	bob := join(t, onNode(t, path, websocket))
	conversation := meet(alice, bob)
	first := alice.says(conversation.ID, "over the network")
	bob.hears("over the network")
	alice.gets(first.ID, chatsdk.StatusDelivered)
	bob.close()
	for i := range 10 {
		alice.gets(alice.says(conversation.ID, fmt.Sprint("while away ", i)).ID, chatsdk.StatusSent)
	}
	again := join(t, onNode(t, path, websocket))
	for i := range 10 {
		again.hears(fmt.Sprint("while away ", i))
	}
	if got := len(again.heardTexts()); got != 10 {
		t.Errorf("%d messages: %q", got, again.heardTexts())
	}
	again.says(conversation.ID, "back again")
	alice.hears("back again")
}

func TestF3_AnInviteIsAcceptedWhileItsAuthorIsAway(t *testing.T) {
	node := servicenode.Start(t)
	tcp, websocket := node.TCP, node.Websocket
	folder := t.TempDir()
	path := filepath.Join(folder, "alice.db")
	alice := join(t, onNode(t, path, tcp))
	invite, err := alice.CreateInvite(t.Context(), alice.me.ID, chatsdk.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	alice.close()
	bob := join(t, onNode(t, filepath.Join(folder, "bob.db"), websocket))
	conversation, err := bob.AcceptInvite(t.Context(), bob.me.ID, invite.Link, chatsdk.Text("are you there?"))
	if err != nil {
		t.Fatal(err)
	}
	again := join(t, onNode(t, path, tcp))
	again.hears("are you there?")
	again.says(conversation.ID, "now I am")
	bob.hears("now I am")
}
