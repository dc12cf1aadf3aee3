// Package servicenode starts the repository's Waku service node for tests.
package servicenode

import (
	"bufio"
	"encoding/json"
	"io"
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
	return start(t, "WAKU_NODE_BIN", os.Stderr, append([]string{"--log-level", "error"}, arguments...))
}

// StartRLN is Start with the program that WAKU_NODE_RLN_BIN names, which refuses what is not proven by a member of the group in the file. Its log
// goes to the writer, and is complete after Stop.
func StartRLN(t *testing.T, groupFile string, log io.Writer) *Node {
	t.Helper()
	return start(t, "WAKU_NODE_RLN_BIN", log, []string{"--log-level", "info", "--rln-group", groupFile})
}

func start(t *testing.T, variable string, log io.Writer, arguments []string) *Node {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Skipf("SKIPPED: %s does not name the service node's program (waku-node/README.md), so nothing is known about a real network", variable)
	}
	command := exec.CommandContext(t.Context(), program, append([]string{"--exit-on-stdin-close"}, arguments...)...)
	command.Stderr = log
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
