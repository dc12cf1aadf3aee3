package sqlite_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/storage/sqlite"
)

// repository is the root of the whole project, of which this module is a part.
const repository = "../../.."

// node skips the test unless this is a checkout with Node in place: the same file must serve both languages.
func node(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	program, err := filepath.Abs(filepath.Join(repository, "node_modules/.bin/node"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skipf("SKIPPED: no Node in the checkout (npm ci brings it), so nothing is known about files shared with TypeScript: %v", err)
	}
	arguments = append([]string{"--no-warnings", "--conditions=source", "--experimental-transform-types"}, arguments...)
	return exec.CommandContext(t.Context(), program, arguments...)
}

func TestF6_TheSchemaIsThatOfTheTypeScriptSDK(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(repository, "bindings-ts/src/storage/sqlite/schema.ts"))
	if err != nil {
		t.Skipf("SKIPPED: no checkout of the whole project: %v", err)
	}
	text := regexp.MustCompile("(?s)SCHEMA = `(.*?)`").FindSubmatch(source)
	if text == nil {
		t.Fatal("no schema in schema.ts")
	}
	if string(text[1]) != sqlite.Schema {
		t.Error("the schema differs from that of bindings-ts")
	}
}

func TestF6_AFileWrittenByTypeScriptReadsTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	module, err := filepath.Abs(filepath.Join(repository, "bindings-ts/src/storage/sqlite-storage.ts"))
	if err != nil {
		t.Fatal(err)
	}
	if output, err := node(t, "testdata/write.mjs", module, path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	storage := open(t, path)
	if got := get(t, storage, "conv/c1"); got != "\x09\x08" {
		t.Errorf("record %q", got)
	}
	found, err := storage.Read(t.Context(), &abi.Read{Read: &abi.Read_FindTag{FindTag: []byte("\x03\x03\x03\x03\x03\x03\x03\x03")}})
	if err != nil || len(found.GetRecords()) != 1 || found.GetRecords()[0].GetKey() != "conv/c1" {
		t.Errorf("tag: %v, %v", found, err)
	}
	first := &abi.Message{
		MessageId: "m1", ConversationId: "c1", Sequence: 1, Lamport: 1<<63 + 5, TimestampMs: 1, StoredMs: 2, Tag: 1, Version: 1,
		Payload: []byte{1, 0, 2}, Text: proto.String("Crème\x00 brûlée"),
	}
	second := proto.CloneOf(first)
	second.MessageId, second.Outgoing, second.Lamport, second.Text, second.RefersTo = "m2", true, 7, nil, proto.String("m1")
	second.Status, second.FailureReason = abi.DeliveryStatus_FAILED, abi.FailureReason_CANCELLED
	rows, err := storage.ListMessages(t.Context(), &abi.ListMessagesRequest{ConversationId: "c1", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	// As SQLite sorts: from 2^63 on they are negative.
	for i, want := range []*abi.MessageRow{{Message: second, ReadByUs: true}, {Message: first}} {
		if !proto.Equal(rows.GetRows()[i], want) {
			t.Errorf("message %d:\n%v\n%v", i, rows.GetRows()[i], want)
		}
	}
	conversation, err := storage.GetConversation(t.Context(), &abi.GetConversationRequest{ConversationId: "c1"})
	want := &abi.Conversation{
		ConversationId: "c1", AccountId: "a1", PeerIdentityKey: []byte(strings.Repeat("\x04", 32)), CreatedMs: 5, Suite: 2,
		SessionState: abi.SessionState_ESTABLISHED, Verified: true, LastActivityMs: 6,
	}
	if err != nil || len(conversation.GetConversations()) != 1 || !proto.Equal(conversation.GetConversations()[0], want) {
		t.Errorf("conversation %v, %v", conversation, err)
	}
	hits, err := storage.SearchMessages(t.Context(), &abi.SearchMessagesRequest{Query: "CREME bru", Limit: 10})
	if err != nil || len(hits.GetRows()) != 1 || hits.GetRows()[0].GetMessage().GetMessageId() != "m1" {
		t.Errorf("search: %v, %v", hits, err)
	}
}

func TestS1_ANodeProcessAndThisOneExcludeEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	storage := open(t, path)
	commit(t, storage, put("conv/1", []byte("one")))
	if said := hold(t, path, func() {}); said != "busy" {
		t.Errorf("Node beside us: %s", said)
	}
	closeStorage(t, storage)
	said := hold(t, path, func() {
		_, err := sqlite.Open(path, sqlite.Options{Create: true})
		wantCode(t, err, abi.ErrorCode_DATABASE_LOCKED)
	})
	if said != "held" {
		t.Errorf("Node alone: %s", said)
	}
	if got := get(t, open(t, path), "conv/1"); got != "one" {
		t.Errorf("got %q", got)
	}
}

// hold runs work while Node has the file, or has failed to take it, and returns what Node said.
func hold(t *testing.T, path string, work func()) string {
	t.Helper()
	holder := node(t, "testdata/hold.mjs", path)
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		said = fmt.Sprint(err)
	}
	work()
	if err := stdin.Close(); err != nil {
		t.Error(err)
	}
	if err := holder.Wait(); err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(said)
}
