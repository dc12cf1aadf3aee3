package chatsdk_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"chatsdk"
	"chatsdk/internal/localnet"
)

// liveNode starts the repository's service node, whose program WAKU_NODE_BIN names, and returns its TCP and websocket addresses.
func liveNode(t *testing.T) (tcp, websocket string) {
	t.Helper()
	program := os.Getenv("WAKU_NODE_BIN")
	if program == "" {
		t.Skip("SKIPPED: WAKU_NODE_BIN does not name the service node's program (waku-node/README.md), so nothing is known about a real network")
	}
	command := exec.CommandContext(t.Context(), program, "--exit-on-stdin-close", "--log-level", "error")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Ends the program; what it then reports does not matter.
		_ = stdin.Close()
		_ = command.Wait()
	})
	var ready struct{ TCP, Websocket string }
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatal(err)
	}
	return ready.TCP, ready.Websocket
}

func onNode(t *testing.T, path, address string) chatsdk.Options {
	t.Helper()
	settings := options(t, localnet.New(), path)
	settings.Transport, settings.Peers = nil, []string{address}
	return settings
}

func TestF2_F3_TwoClientsChatOverARealNodeAndOneOfThemIsAwayForAWhile(t *testing.T) {
	tcp, websocket := liveNode(t)
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
	tcp, websocket := liveNode(t)
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
