package chatsdk_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/internal/engine"
	"chatsdk/internal/localnet"
	"chatsdk/storage/sqlite"
)

const epoch = 600 * time.Second

// laterClock is the computer's, and so much ahead.
type laterClock struct {
	engine.SystemClock
	ahead atomic.Int64
}

// Now returns the time.
func (c *laterClock) Now(ctx context.Context) (*abi.Instant, error) {
	now, err := c.SystemClock.Now(ctx)
	if err == nil {
		now.UnixMs += uint64(c.ahead.Load())
	}
	return now, err
}

// SleepUntil sleeps as if it were so late.
func (c *laterClock) SleepUntil(ctx context.Context, until *abi.Instant) error {
	ahead := min(until.GetUnixMs(), uint64(c.ahead.Load()))
	return c.SystemClock.SleepUntil(ctx, &abi.Instant{UnixMs: until.GetUnixMs() - ahead})
}

// slots are all that one membership was ever given.
type slots struct {
	mu    sync.Mutex
	given []string
}

func (s *slots) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.given)
}

// countingTransport notes the slots of what is published.
type countingTransport struct {
	*localnet.Transport
	slots *slots
}

// Publish notes the slot.
func (t countingTransport) Publish(ctx context.Context, request *abi.Publish) error {
	t.slots.mu.Lock()
	t.slots.given = append(t.slots.given, fmt.Sprint(request.GetSlot().GetEpoch(), "/", request.GetSlot().GetMessageId()))
	t.slots.mu.Unlock()
	return t.Transport.Publish(ctx, request)
}

// copies are those of one limited database, opened one after the other at one path.
type copies struct {
	t       *testing.T
	network *localnet.Network
	clock   laterClock
	slots   slots
	folder  string
}

func (c *copies) path(name string) string { return filepath.Join(c.folder, name+".db") }

func (c *copies) options(name string, acceptRollback bool) chatsdk.Options {
	settings := options(c.t, c.network, c.path(name))
	settings.Protocol.RateLimit = &abi.RateLimit{EpochSeconds: uint32(epoch.Seconds()), MessagesPerEpoch: 100}
	settings.Transport = countingTransport{c.network.Transport(), &c.slots}
	settings.Clock, settings.AcceptRollback = &c.clock, acceptRollback
	return settings
}

func (c *copies) copy(from, to string) {
	c.t.Helper()
	content, err := os.ReadFile(c.path(from))
	if err == nil {
		err = os.WriteFile(c.path(to), content, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *copies) isRefused(name string) {
	c.t.Helper()
	_, err := chatsdk.Open(c.t.Context(), c.options(name, false))
	wantError(c.t, err, chatsdk.ErrStateRolledBack)
}

func (c *copies) accepts(p *person, link, text string) chatsdk.Conversation {
	c.t.Helper()
	conversation, err := p.AcceptInvite(c.t.Context(), p.me.ID, link, chatsdk.Text(text))
	if err != nil {
		c.t.Fatal(err)
	}
	return conversation
}

// links are somebody's who never reads.
func (c *copies) links(count int) []string {
	c.t.Helper()
	bob := join(c.t, options(c.t, localnet.New(), c.path("bob")))
	defer bob.close()
	var links []string
	for range count {
		invite, err := bob.CreateInvite(c.t.Context(), bob.me.ID, chatsdk.InviteOptions{})
		if err != nil {
			c.t.Fatal(err)
		}
		links = append(links, invite.Link)
	}
	return links
}

func TestS1_TheNewestCopyPutBackAfterAnOlderWasAcceptedIsRefusedAndNoSlotGoesOutTwice(t *testing.T) {
	c := &copies{t: t, network: localnet.New(), folder: t.TempDir()}
	links := c.links(3)
	join(t, c.options("alice", false)).close()
	c.copy("alice", "old")

	alice := join(t, c.options("alice", false))
	conversation := c.accepts(alice, links[0], "hello")
	for i := range 20 {
		alice.says(conversation.ID, fmt.Sprint(i))
	}
	alice.close()
	c.copy("alice", "newest")

	c.copy("old", "alice")
	c.isRefused("alice")
	alice = join(t, c.options("alice", true))
	c.clock.ahead.Add(epoch.Milliseconds())
	c.accepts(alice, links[1], "from the old copy")
	alice.close()
	used := c.slots.all()
	if first, last := strings.Split(used[0], "/")[0], strings.Split(used[len(used)-1], "/")[0]; len(used) < 22 || first == last {
		t.Fatal(used)
	}
	// What was accepted is the newest from now on.
	join(t, c.options("alice", false)).close()
	c.copy("alice", "accepted")

	used = c.slots.all()
	c.copy("newest", "alice")
	c.isRefused("alice")
	if now := c.slots.all(); len(now) != len(used) {
		t.Errorf("a refused copy published: %v", now[len(used):])
	}
	alice = join(t, c.options("alice", true))
	c.clock.ahead.Add(epoch.Milliseconds())
	c.accepts(alice, links[2], "from the newest copy")
	alice.close()
	now := c.slots.all()
	if len(now) == len(used) {
		t.Error("the accepted copy published nothing")
	}
	slices.Sort(now)
	if unique := slices.Compact(slices.Clone(now)); len(unique) != len(now) {
		t.Errorf("slots that went out twice: %v", now)
	}
	c.copy("accepted", "alice")
	c.isRefused("alice")
	// Accepted again, the oldest leaves all the others behind.
	c.copy("old", "alice")
	join(t, c.options("alice", true)).close()
	join(t, c.options("alice", false)).close()
	c.copy("accepted", "alice")
	c.isRefused("alice")
}

func TestS3_OneOfTwoCopiesIsOpenAtATime(t *testing.T) {
	c := &copies{t: t, network: localnet.New(), folder: t.TempDir()}
	join(t, c.options("alice", false)).close()
	c.copy("alice", "copy")
	alice := join(t, c.options("alice", false))
	_, err := chatsdk.Open(t.Context(), c.options("copy", false))
	wantError(t, err, chatsdk.ErrDatabaseLocked)
	if _, err := alice.CreateAccount(t.Context()); err != nil {
		t.Fatal(err)
	}
	alice.close()
	c.isRefused("copy")
	join(t, c.options("copy", true)).close()
}

// notedAnchor holds a number, and notes what is asked of it.
type notedAnchor struct {
	mu    sync.Mutex
	calls []string
	seen  uint64
}

func (a *notedAnchor) note(call string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, call)
	return nil
}

// Lock is granted.
func (a *notedAnchor) Lock(context.Context, string) error { return a.note("lock") }

// Read gives the number.
func (a *notedAnchor) Read(context.Context, string) (uint64, bool, error) {
	return a.seen, true, a.note("read")
}

// Write tells whether the number is larger.
func (a *notedAnchor) Write(_ context.Context, _ string, generation uint64) error {
	if generation <= a.seen {
		return a.note("lowered")
	}
	return a.note("write")
}

// Flush has nothing to write.
func (a *notedAnchor) Flush(context.Context) error { return a.note("flush") }

// Close has nothing to write.
func (a *notedAnchor) Close(context.Context) error { return a.note("close") }

// notedTransport tells the anchor when the client subscribes.
type notedTransport struct {
	*localnet.Transport
	anchor *notedAnchor
}

// Subscribe is noted.
func (t notedTransport) Subscribe(ctx context.Context, request *abi.Subscribe) error {
	_ = t.anchor.note("subscribe")
	return t.Transport.Subscribe(ctx, request)
}

func TestS3_TheAnchorIsDurableBeforeAnythingOfAnAcceptedCopyLeaves(t *testing.T) {
	network := localnet.New()
	anchor := &notedAnchor{seen: 1000}
	settings := options(t, network, filepath.Join(t.TempDir(), "alice.db"))
	settings.Anchor, settings.AcceptRollback = anchor, true
	settings.Transport = notedTransport{network.Transport(), anchor}
	join(t, settings).close()
	if want := []string{"lock", "read", "write", "flush"}; len(anchor.calls) < len(want) || !slices.Equal(anchor.calls[:len(want)], want) {
		t.Errorf("%v", anchor.calls)
	}
	if !slices.Contains(anchor.calls, "subscribe") {
		t.Errorf("nothing left: %v", anchor.calls)
	}
	if slices.Contains(anchor.calls, "lowered") {
		t.Errorf("%v", anchor.calls)
	}
}

// damagingStorage changes a byte of what is read of conversations.
type damagingStorage struct{ abi.Storage }

// Read damages it.
func (s damagingStorage) Read(ctx context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	answer, err := s.Storage.Read(ctx, read)
	for _, record := range answer.GetRecords() {
		if strings.HasPrefix(record.GetKey(), "conv/") {
			record.Value[len(record.GetValue())-1] ^= 1
		}
	}
	return answer, err
}

func TestS3_AStartThatFailsInTheCoreFailsToOpenAndTheRollbackIsNotAccepted(t *testing.T) {
	c := &copies{t: t, network: localnet.New(), folder: t.TempDir()}
	links := c.links(1)
	alice := join(t, c.options("alice", false))
	c.accepts(alice, links[0], "hello")
	alice.close()
	c.copy("alice", "old")
	alice = join(t, c.options("alice", false))
	if _, err := alice.CreateAccount(t.Context()); err != nil {
		t.Fatal(err)
	}
	alice.close()
	c.copy("old", "alice")
	file, err := sqlite.Open(c.path("alice"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	settings := c.options("", true)
	settings.Storage = damagingStorage{file}
	_, err = chatsdk.Open(t.Context(), settings)
	wantError(t, err, chatsdk.ErrDatabaseCorrupt)
	c.isRefused("alice")
}
