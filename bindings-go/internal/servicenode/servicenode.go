// Package servicenode starts the repository's Waku service node for tests.
package servicenode

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// Node is a running service node.
type Node struct {
	// TCP and Websocket are its multiaddrs.
	TCP       string `json:"tcp"`
	Websocket string `json:"websocket"`
	// Stop ends it before the test does.
	Stop func() `json:"-"`
}

// Start runs the program that WAKU_NODE_BIN names until the test ends; without one the test is skipped.
func Start(t *testing.T, arguments ...string) *Node {
	t.Helper()
	program := os.Getenv("WAKU_NODE_BIN")
	if program == "" {
		t.Skip("SKIPPED: WAKU_NODE_BIN does not name the service node's program (waku-node/README.md), so nothing is known about a real network")
	}
	command := exec.CommandContext(t.Context(), program, append([]string{"--exit-on-stdin-close", "--log-level", "error"}, arguments...)...)
	command.Stderr = os.Stderr
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
	node := &Node{Stop: func() {
		// Ends the program; what it then reports does not matter.
		_ = stdin.Close()
		_ = command.Wait()
	}}
	t.Cleanup(node.Stop)
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(line, node); err != nil {
		t.Fatal(err)
	}
	return node
}
