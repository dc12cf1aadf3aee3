package chatsdk_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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

// hookedStorage lets a test come between the core and its database.
type hookedStorage struct {
	abi.Storage
	onRead   atomic.Pointer[func() error]
	onCommit atomic.Pointer[func() error]
}

// Read runs the hook first.
func (s *hookedStorage) Read(ctx context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	if hook := s.onRead.Load(); hook != nil {
		if err := (*hook)(); err != nil {
			return nil, err
		}
	}
	return s.Storage.Read(ctx, read)
}

// Commit runs the hook first.
func (s *hookedStorage) Commit(ctx context.Context, changes *abi.ChangeBatch) error {
	if hook := s.onCommit.Load(); hook != nil {
		if err := (*hook)(); err != nil {
			return err
		}
	}
	return s.Storage.Commit(ctx, changes)
}

// hooked is bob, whose storage a test controls, in conversation with alice.
func hooked(t *testing.T) (alice, bob *person, storage *hookedStorage, conversation chatsdk.Conversation) {
	t.Helper()
	network := localnet.New()
	folder := t.TempDir()
	alice = join(t, options(t, network, filepath.Join(folder, "alice.db")))
	file, err := sqlite.Open(filepath.Join(folder, "bob.db"), sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	storage = &hookedStorage{Storage: file}
	settings := options(t, network, "")
	settings.Storage = storage
	bob = join(t, settings)
	return alice, bob, storage, meet(alice, bob)
}

// once arms a hook that runs one time.
func once(hook *atomic.Pointer[func() error], run func() error) {
	var first sync.Once
	armed := func() (err error) {
		first.Do(func() { err = run() })
		return err
	}
	hook.Store(&armed)
}

func TestS4_ATrapInTheMiddleLosesNothingAndTheClientGoesOn(t *testing.T) {
	alice, bob, storage, conversation := hooked(t)
	var fired atomic.Int64
	for i := range 5 {
		// A panic of the host's function is a trap in the middle of a step: of this call, or of an input of the network beside it.
		once(&storage.onRead, func() error {
			fired.Add(1)
			panic("injected")
		})
		text := fmt.Sprint("message ", i)
		_, err := bob.Send(t.Context(), conversation.ID, chatsdk.Text(text))
		if errors.Is(err, chatsdk.ErrInternal) {
			bob.says(conversation.ID, text)
		} else if err != nil {
			t.Fatal(err)
		}
		alice.hears(text)
	}
	if fired.Load() != 5 {
		t.Errorf("%d traps", fired.Load())
	}
	messages, err := bob.Messages(t.Context(), conversation.ID, chatsdk.Page{})
	if err != nil || len(messages) != 6 || len(alice.heardTexts()) != 6 {
		t.Errorf("%d messages, %q, %v", len(messages), alice.heardTexts(), err)
	}
	bob.mu.Lock()
	defer bob.mu.Unlock()
	numbers := map[uint64]bool{}
	for _, event := range bob.events {
		if number := event.EventNumber(); number != 0 {
			if numbers[number] {
				t.Errorf("event %d was shown twice", number)
			}
			numbers[number] = true
		}
	}
}

func TestS4_ATrapOnAnIncomingEnvelopeLosesNothing(t *testing.T) {
	alice, bob, storage, conversation := hooked(t)
	once(&storage.onRead, func() error { panic("injected") })
	alice.says(conversation.ID, "in the trap")
	bob.hears("in the trap")
}

func TestS4_ACallCancelledInTheMiddleHasNoEffect(t *testing.T) {
	alice, bob, storage, conversation := hooked(t)
	before, err := bob.Messages(t.Context(), conversation.ID, chatsdk.Page{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	once(&storage.onRead, func() error {
		cancel()
		return nil
	})
	_, err = bob.Send(ctx, conversation.ID, chatsdk.Text("cancelled"))
	wantError(t, err, chatsdk.ErrAborted)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is missing: %v", err)
	}
	_, err = bob.Send(ctx, conversation.ID, chatsdk.Text("cancelled before"))
	wantError(t, err, chatsdk.ErrAborted)
	after, err := bob.Messages(t.Context(), conversation.ID, chatsdk.Page{})
	if err != nil || len(after) != len(before) {
		t.Errorf("%d messages instead of %d, %v", len(after), len(before), err)
	}
	bob.says(conversation.ID, "not cancelled")
	alice.hears("not cancelled")
}

func TestS4_AFailedReadKeepsItsCause(t *testing.T) {
	_, bob, storage, _ := hooked(t)
	disk := errors.New("EIO on the disk")
	for name, test := range map[string]struct {
		failure error
		want    error
	}{
		"typed":           {abi.NewError(abi.ErrorCode_STORAGE_FAILED, "disk: failed; see the cause", disk), chatsdk.ErrStorageFailed},
		"wrapped":         {fmt.Errorf("reading: %w", abi.NewError(abi.ErrorCode_STORAGE_FAILED, "disk: failed; see the cause", disk)), chatsdk.ErrStorageFailed},
		"of another kind": {disk, chatsdk.ErrInternal},
		"of a code alone": {errors.Join(chatsdk.ErrDatabaseLocked, disk), chatsdk.ErrDatabaseLocked},
		"with two causes": {abi.NewError(abi.ErrorCode_STORAGE_FULL, "disk: full", errors.Join(disk, context.Canceled)), chatsdk.ErrStorageFull},
	} {
		failing := func() error { return test.failure }
		storage.onRead.Store(&failing)
		_, err := bob.CreateInvite(t.Context(), bob.me.ID, chatsdk.InviteOptions{})
		storage.onRead.Store(nil)
		var typed *chatsdk.Error
		if !errors.Is(err, test.want) || !errors.Is(err, disk) || !errors.As(err, &typed) {
			t.Errorf("%s: %v, cause %v", name, err, errors.Unwrap(err))
		}
		// What failed has not spoilt what comes after.
		if _, err := bob.CreateInvite(t.Context(), "nobody", chatsdk.InviteOptions{}); !errors.Is(err, chatsdk.ErrAccountNotFound) || errors.Is(err, disk) {
			t.Errorf("after %s: %v, cause %v", name, err, errors.Unwrap(err))
		}
	}
}

// lateClock is the computer's, and runs a hook when a step begins.
type lateClock struct {
	engine.SystemClock
	onNow atomic.Pointer[func() error]
}

// Now runs the hook first.
func (c *lateClock) Now(ctx context.Context) (*abi.Instant, error) {
	if hook := c.onNow.Load(); hook != nil {
		if err := (*hook)(); err != nil {
			return nil, err
		}
	}
	return c.SystemClock.Now(ctx)
}

func TestS4_ACallWhoseContextEndsDuringItsStepSaysHowItEnded(t *testing.T) {
	settings := options(t, localnet.New(), filepath.Join(t.TempDir(), "chat.db"))
	clock := &lateClock{}
	settings.Clock = clock
	client := join(t, settings)
	reason := errors.New("the window was closed")
	for name, test := range map[string]struct {
		begin func() (context.Context, func())
		want  []error
	}{
		"a deadline": {func() (context.Context, func()) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			t.Cleanup(cancel)
			return ctx, func() { <-ctx.Done() }
		}, []error{context.DeadlineExceeded}},
		"a cause": {func() (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(t.Context())
			return ctx, func() { cancel(reason) }
		}, []error{context.Canceled, reason}},
	} {
		ctx, end := test.begin()
		once(&clock.onNow, func() error {
			end()
			return nil
		})
		_, err := client.CreateInvite(ctx, client.me.ID, chatsdk.InviteOptions{})
		for _, want := range append(test.want, chatsdk.ErrAborted) {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, cause %v, want %v", name, err, errors.Unwrap(err), want)
			}
		}
	}
	if invites, err := client.Invites(t.Context(), client.me.ID); err != nil || len(invites) != 0 {
		t.Errorf("%v, %v", invites, err)
	}
}

func TestS3_NothingLeavesThatWasNotCommitted(t *testing.T) {
	network := localnet.New()
	file, err := sqlite.Open(filepath.Join(t.TempDir(), "bob.db"), sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	storage := &hookedStorage{Storage: file}
	settings := options(t, network, "")
	settings.Storage = storage
	bob := join(t, settings)
	alice := join(t, options(t, network, filepath.Join(t.TempDir(), "alice.db")))
	conversation := meet(alice, bob)
	alice.gets(alice.says(conversation.ID, "an answer").ID, chatsdk.StatusDelivered)
	sent := len(network.Envelopes())
	full := func() error { return abi.NewError(abi.ErrorCode_STORAGE_FULL, "no space", nil) }
	storage.onCommit.Store(&full)
	_, err = bob.Send(t.Context(), conversation.ID, chatsdk.Text("never"))
	wantError(t, err, chatsdk.ErrStorageFull)
	if now := len(network.Envelopes()); now != sent {
		t.Errorf("%d envelopes left", now-sent)
	}
	storage.onCommit.Store(nil)
	bob.says(conversation.ID, "now there is space")
	alice.hears("now there is space")
	for _, message := range alice.heardTexts() {
		if message == "never" {
			t.Error("a message that failed was sent")
		}
	}
}

func (p *person) heardTexts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var texts []string
	for _, event := range p.events {
		if event, ok := event.(chatsdk.MessageReceived); ok {
			texts = append(texts, event.Message.Text)
		}
	}
	return texts
}

func TestS4_TenThousandConcurrentCalls(t *testing.T) {
	network := localnet.New()
	client := join(t, options(t, network, filepath.Join(t.TempDir(), "chat.db")))
	cancelled, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls sync.WaitGroup
	var done, aborted atomic.Int64
	for i := range 10_000 {
		calls.Go(func() {
			ctx := t.Context()
			if i%3 == 0 {
				ctx = cancelled
			}
			if i == 5000 {
				cancel()
			}
			accounts, err := client.Accounts(ctx)
			switch {
			case err == nil && len(accounts) == 1:
				done.Add(1)
			case errors.Is(err, chatsdk.ErrAborted) && ctx == cancelled:
				aborted.Add(1)
			default:
				t.Errorf("call %d: %v, %v", i, accounts, err)
			}
		})
	}
	calls.Wait()
	t.Logf("%d served, %d aborted, %d bytes of memory", done.Load(), aborted.Load(), client.Stats().ModuleBytes)
	if done.Load() < 6666 {
		t.Errorf("only %d calls were served", done.Load())
	}
	if client.Stats().ModuleBytes > 64<<20 {
		t.Errorf("%d bytes of memory", client.Stats().ModuleBytes)
	}
}

// TestP1_MemoryOfAnInstanceIsBounded sends CHATSDK_MESSAGES messages (default 150; 100,000 take a quarter of an hour).
func TestP1_MemoryOfAnInstanceIsBounded(t *testing.T) {
	count := 150
	if text := os.Getenv("CHATSDK_MESSAGES"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	network := localnet.New()
	folder := t.TempDir()
	alice := join(t, options(t, network, filepath.Join(folder, "alice.db")))
	bob := join(t, options(t, network, filepath.Join(folder, "bob.db")))
	conversation := meet(alice, bob)
	var early uint64
	for i := range count {
		message := alice.says(conversation.ID, fmt.Sprint("message ", i))
		if i%50 == 49 {
			alice.gets(message.ID, chatsdk.StatusDelivered)
		}
		if i == count/3 {
			early = alice.Stats().ModuleBytes
		}
	}
	bob.hears(fmt.Sprint("message ", count-1))
	late := alice.Stats().ModuleBytes
	t.Logf("%d messages: sender %d KiB after a third, %d KiB at the end; receiver %d KiB", count, early>>10, late>>10, bob.Stats().ModuleBytes>>10)
	if late > 2*early || late > 64<<20 || bob.Stats().ModuleBytes > 64<<20 {
		t.Error("memory grows with the number of messages")
	}
}
