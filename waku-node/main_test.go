package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"waku-node/internal/node"
	"waku-node/internal/shard"
	"waku-node/internal/testpeer"
)

// The test binary is also the node and a client, each in a process of its own.
const (
	runAsNode   = "WAKU_NODE_TEST_RUN_AS_NODE"
	runAsClient = "WAKU_NODE_TEST_RUN_AS_CLIENT" // its value is the node's address
)

const (
	pubsubTopic  = "/waku/2/rs/42/0"
	contentTopic = "/test/1/main/proto"
)

var shards = shard.Set{Cluster: 42, Count: 8}

func TestMain(m *testing.M) {
	if os.Getenv(runAsNode) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is a node in a process of its own.
type process struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Reader
	stderr  bytes.Buffer
	ready   node.Ready
}

func command(t *testing.T, arguments ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(os.Args[0], arguments...)}
	p.command.Env = append(os.Environ(), runAsNode+"=1")
	p.command.Stderr = &p.stderr
	var err error
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
	})
	return p
}

func startProcess(t *testing.T, arguments ...string) *process {
	t.Helper()
	p := command(t, arguments...)
	line, err := p.stdout.ReadBytes('\n')
	if err != nil {
		t.Fatalf("no ready line: %v\n%s", err, p.stderr.String())
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p.ready); err != nil {
		t.Fatalf("ready line %q: %v", line, err)
	}
	return p
}

// exit waits for the process and returns its status and what else it wrote to standard output.
func (p *process) exit(t *testing.T) (int, string) {
	t.Helper()
	watchdog := time.AfterFunc(testpeer.Patience, func() { _ = p.command.Process.Kill() })
	defer watchdog.Stop()
	rest, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.command.Wait() // the status tells
	return p.command.ProcessState.ExitCode(), string(rest)
}

func TestCleanStops(t *testing.T) {
	signal := func(s os.Signal) func(*process) error {
		return func(p *process) error { return p.command.Process.Signal(s) }
	}
	for name, stop := range map[string]func(*process) error{
		"SIGTERM":     signal(syscall.SIGTERM),
		"SIGINT":      signal(syscall.SIGINT),
		"stdin close": func(p *process) error { return p.stdin.Close() },
	} {
		p := startProcess(t, "--exit-on-stdin-close", "--log-level", "warn")
		c := testpeer.NewClient(t, shards, p.ready.TCP)
		c.Subscribe(pubsubTopic, contentTopic)
		if err := c.PushLegacy(pubsubTopic, testpeer.Message(contentTopic, "x")); err != nil {
			t.Fatal(err)
		}
		if err := stop(p); err != nil {
			t.Fatal(err)
		}
		code, rest := p.exit(t)
		if code != 0 || rest != "" {
			t.Errorf("%s: status %d, more output %q\n%s", name, code, rest, p.stderr.String())
		}
		if strings.Contains(p.stderr.String(), "panic") {
			t.Errorf("%s: %s", name, p.stderr.String())
		}
	}
}

// Without --exit-on-stdin-close the end of standard input means nothing: services have none.
func TestStdinCloseIsIgnored(t *testing.T) {
	p := startProcess(t)
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	testpeer.NewClient(t, shards, p.ready.Websocket)
}

func TestFailures(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	for _, test := range []struct {
		arguments []string
		code      int
		message   string
	}{
		{[]string{"--shards", "x"}, 2, "-shards"},
		{[]string{"--tcp-port", fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)}, 1, "address already in use"},
		{[]string{"--store", filepath.Join(t.TempDir(), "none", "store.db")}, 1, "unable to open database file"},
	} {
		p := command(t, test.arguments...)
		code, output := p.exit(t)
		if code != test.code || output != "" || !strings.Contains(p.stderr.String(), test.message) {
			t.Errorf("%v: status %d, output %q, errors %q", test.arguments, code, output, p.stderr.String())
		}
	}
}

// What a client was told is stored survives the sudden death of the node.
func TestStoreSurvivesKilledNode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	p := startProcess(t, "--store", path)
	c := testpeer.NewClient(t, shards, p.ready.TCP)
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprint(i))
		if err := c.PushLegacy(pubsubTopic, testpeer.Message(contentTopic, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.exit(t)
	p = startProcess(t, "--store", path)
	got, err := testpeer.NewClient(t, shards, p.ready.TCP).Stored(pubsubTopic, contentTopic)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d messages, %v", len(got), err)
	}
}

// TestClientProcess is not a test by itself: it is the client that TestKilledClients kills. It
// subscribes and pushes for as long as it lives.
func TestClientProcess(t *testing.T) {
	address := os.Getenv(runAsClient)
	if address == "" {
		t.Skip("runs in a process of its own")
	}
	c := testpeer.NewClient(t, shards, address)
	c.Subscribe(pubsubTopic, contentTopic)
	fmt.Println("subscribed")
	for i := 0; ; i++ {
		if err := c.PushLegacy(pubsubTopic, testpeer.Message("/test/1/noise/proto", fmt.Sprint(os.Getpid(), i))); err != nil {
			t.Fatal(err)
		}
	}
}

// Clients that are killed in the middle of everything disturb neither the node nor other clients.
func TestKilledClients(t *testing.T) {
	p := startProcess(t, "--log-level", "warn")
	survivor := testpeer.NewClient(t, shards, p.ready.TCP)
	survivor.Subscribe(pubsubTopic, contentTopic)
	var sent []string
	for round := range 3 {
		var victims []*exec.Cmd
		for range 4 {
			victim := exec.Command(os.Args[0], "-test.run=^TestClientProcess$")
			victim.Env = append(os.Environ(), runAsClient+"="+p.ready.TCP)
			output, err := victim.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			victims = append(victims, victim)
			t.Cleanup(func() { _ = victim.Process.Kill() })
			if line, err := bufio.NewReader(output).ReadString('\n'); line != "subscribed\n" {
				t.Fatalf("client: %q, %v", line, err)
			}
		}
		for i := range 50 {
			text := fmt.Sprintf("%d/%d", round, i)
			sent = append(sent, text)
			if err := survivor.PushLegacy(pubsubTopic, testpeer.Message(contentTopic, text)); err != nil {
				t.Fatal(err)
			}
			if i == 25 {
				for _, victim := range victims {
					if err := victim.Process.Kill(); err != nil {
						t.Fatal(err)
					}
					_ = victim.Wait() // killed
				}
			}
		}
	}
	start := time.Now()
	testpeer.Eventually(t, "the surviving client has all messages", func() bool { return len(survivor.Received()) == len(sent) })
	if elapsed := time.Since(start); elapsed > 5*time.Second {
		t.Errorf("the last messages took %s", elapsed)
	}
	got, err := survivor.Stored(pubsubTopic, contentTopic)
	if err != nil || !slices.Equal(got, sent) {
		t.Errorf("%d of %d messages stored, %v", len(got), len(sent), err)
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, _ := p.exit(t); code != 0 || strings.Contains(p.stderr.String(), "panic") {
		t.Errorf("status %d\n%s", code, p.stderr.String())
	}
}
