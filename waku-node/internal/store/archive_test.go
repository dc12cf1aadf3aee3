package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"google.golang.org/protobuf/proto"
)

func testMessage(text string, timestamp int64) *pb.WakuMessage {
	return &pb.WakuMessage{Payload: []byte(text), ContentTopic: "/test/1/x/proto", Timestamp: proto.Int64(timestamp)}
}

func payloads(t *testing.T, archive *Archive) []string {
	t.Helper()
	var texts []string
	query := Query{Forward: true, IncludeData: true}
	for {
		page := find(t, archive, query)
		for _, entry := range page.Entries {
			texts = append(texts, string(entry.Message.Payload))
		}
		if page.Next == nil {
			return texts
		}
		query.Cursor = page.Next
	}
}

func rows(t *testing.T, archive *Archive) int {
	t.Helper()
	var count int
	if err := archive.db.QueryRow("SELECT count(*) FROM message").Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}

func TestPutOnceAndNotEphemeral(t *testing.T) {
	archive := openTest(t, nil)
	put(t, archive, topicA, testMessage("a", 1))
	put(t, archive, topicA, testMessage("a", 1))
	archive.recent.Purge() // the table itself must refuse a repetition too
	put(t, archive, topicA, testMessage("a", 1))
	put(t, archive, topicB, testMessage("a", 1)) // another pubsub topic makes another message
	ephemeral := testMessage("b", 2)
	ephemeral.Ephemeral = proto.Bool(true)
	put(t, archive, topicA, ephemeral)
	if got := payloads(t, archive); !slices.Equal(got, []string{"a", "a"}) {
		t.Errorf("stored %q", got)
	}
}

// A message without timestamp is found by the time of its arrival.
func TestMissingTimestamp(t *testing.T) {
	now := time.Unix(100, 0)
	archive := openTest(t, func(o *Options) { o.Now = func() time.Time { return now } })
	put(t, archive, topicA, &pb.WakuMessage{Payload: []byte("x"), ContentTopic: "/test/1/x/proto"})
	page := find(t, archive, Query{Start: proto.Int64(now.UnixNano()), End: proto.Int64(now.UnixNano() + 1)})
	if len(page.Entries) != 1 {
		t.Errorf("%d entries", len(page.Entries))
	}
}

// Whatever Put has answered is in the store, also with many callers at once.
func TestConcurrentPuts(t *testing.T) {
	for name, path := range map[string]string{"memory": "", "file": filepath.Join(t.TempDir(), "store.db")} {
		archive := openTest(t, func(o *Options) { o.Path = path })
		var callers sync.WaitGroup
		for caller := range 16 {
			callers.Go(func() {
				for i := range 100 {
					message := testMessage(fmt.Sprintf("%d/%d", caller, i), int64(i+1))
					if err := archive.Put(context.Background(), topicA, message); err != nil {
						t.Error(err)
					}
					page, err := archive.Find(Query{Hashes: [][]byte{message.Hash(topicA).Bytes()}})
					if err != nil || len(page.Entries) != 1 {
						t.Errorf("%s: message %d of caller %d is not there after Put: %v", name, i, caller, err)
					}
				}
			})
		}
		callers.Wait()
		if got := rows(t, archive); got != 1600 {
			t.Errorf("%s: %d messages, want 1600", name, got)
		}
	}
}

func TestReopenFile(t *testing.T) {
	// Characters that mean something in a URI must not change which file is opened.
	path := filepath.Join(t.TempDir(), "a store?mode=memory#100%.db")
	options := func(o *Options) { o.Path = path }
	first := openTest(t, options)
	put(t, first, topicA, testMessage("before", 1))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	second := openTest(t, options)
	put(t, second, topicA, testMessage("before", 1))
	put(t, second, topicA, testMessage("after", 2))
	if got := payloads(t, second); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("stored %q", got)
	}
}

func TestRefusesForeignSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	archive := openTest(t, func(o *Options) { o.Path = path })
	if _, err := archive.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(archive.options); err == nil || !strings.Contains(err.Error(), "schema version 99") {
		t.Errorf("opened a file of schema version 99: %v", err)
	}
}

func TestClosed(t *testing.T) {
	archive := openTest(t, nil)
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := archive.Put(context.Background(), topicA, testMessage("x", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Close: %v, want ErrClosed", err)
	}
}

// A write error reaches the caller of Put, and the message can be stored later.
func TestWriteErrorIsReported(t *testing.T) {
	archive := openTest(t, nil)
	if _, err := archive.db.Exec("CREATE TRIGGER fail BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'disk is full'); END"); err != nil {
		t.Fatal(err)
	}
	if err := archive.Put(context.Background(), topicA, testMessage("x", 1)); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("Put: %v, want the error of the insert", err)
	}
	if _, err := archive.db.Exec("DROP TRIGGER fail"); err != nil {
		t.Fatal(err)
	}
	put(t, archive, topicA, testMessage("x", 1))
	if got := payloads(t, archive); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}

// clock is a clock that a test sets.
type clock struct{ nanoseconds atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanoseconds.Load()) }
func (c *clock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

func TestRetention(t *testing.T) {
	var c clock
	c.advance(time.Hour)
	path := filepath.Join(t.TempDir(), "store.db")
	archive := openTest(t, func(o *Options) { o.Path, o.Retention, o.Now = path, time.Minute, c.now })
	old := put(t, archive, topicA, testMessage("the expired secret", 1))
	c.advance(40 * time.Second)
	put(t, archive, topicA, testMessage("young", 2))
	if got := payloads(t, archive); len(got) != 2 {
		t.Fatalf("stored %q", got)
	}

	// Past its retention a message is hidden at once, whatever the sweep does.
	c.advance(20*time.Second + 1)
	if got := payloads(t, archive); !slices.Equal(got, []string{"young"}) {
		t.Errorf("after expiry: %q", got)
	}
	if page := find(t, archive, Query{Hashes: [][]byte{old}}); len(page.Entries) != 0 {
		t.Error("an expired message was found by its hash")
	}
	if _, err := archive.Find(Query{Cursor: old}); !errors.Is(err, ErrUnknownCursor) {
		t.Errorf("an expired message as cursor: %v", err)
	}

	// The periodic sweep deletes it, from the files as well.
	deadline := time.Now().Add(20 * time.Second)
	for rows(t, archive) != 1 {
		if time.Now().After(deadline) {
			t.Fatal("the expired message was not deleted")
		}
		time.Sleep(50 * time.Millisecond)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no database files")
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "the expired secret") {
			t.Errorf("%s still holds the deleted message", filepath.Base(file))
		}
	}

	// It may come again, as any message may.
	put(t, archive, topicA, testMessage("the expired secret", 1))
	if got := rows(t, archive); got != 2 {
		t.Errorf("%d rows after the message came again", got)
	}
}

// What expired while the program did not run is deleted at the start.
func TestRetentionAcrossRestart(t *testing.T) {
	var c clock
	c.advance(time.Hour)
	options := func(o *Options) {
		o.Path, o.Retention, o.Now = filepath.Join(t.TempDir(), "store.db"), time.Hour, c.now
	}
	first := openTest(t, options)
	put(t, first, topicA, testMessage("old", 1))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Hour + 1)
	second, err := Open(first.options)
	if err != nil {
		t.Fatal(err)
	}
	put(t, second, topicA, testMessage("new", 2)) // the writer has swept before it writes
	if got := rows(t, second); got != 1 {
		t.Errorf("%d rows", got)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestMaxMessages(t *testing.T) {
	archive := openTest(t, func(o *Options) { o.MaxMessages = 10 })
	for i := range 25 {
		// The newest arrivals stay, not the newest timestamps.
		put(t, archive, topicA, testMessage(fmt.Sprint(i), int64(1000-i)))
		if got, want := rows(t, archive), min(i+1, 10); got != want {
			t.Fatalf("%d rows after %d messages", got, i+1)
		}
	}
	if got := payloads(t, archive); got[0] != "24" || got[9] != "15" {
		t.Errorf("kept %q", got)
	}
}
