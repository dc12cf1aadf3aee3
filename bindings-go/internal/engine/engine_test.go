package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/engine"
	"chatsdk/internal/fault"
	"chatsdk/internal/localnet"
	"chatsdk/internal/module"
	"chatsdk/internal/wasm"
	"chatsdk/storage/sqlite"
)

// host is an engine whose storage and transport a test controls and counts.
type host struct {
	*engine.Engine
	chat *abi.Chat

	mu        sync.Mutex
	broken    func() error // nil: the storage works
	events    []*abi.Event
	forgotten int // events
	published int
}

type storage struct {
	abi.Storage
	host *host
}

// Read breaks as the test says.
func (s storage) Read(ctx context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	if err := s.host.breaks(); err != nil {
		return nil, err
	}
	return s.Storage.Read(ctx, read)
}

// Commit counts the events that are forgotten.
func (s storage) Commit(ctx context.Context, batch *abi.ChangeBatch) error {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	for _, change := range batch.GetChanges() {
		if strings.HasPrefix(change.GetDelete(), "event/") {
			s.host.forgotten++
		}
	}
	return s.Storage.Commit(ctx, batch)
}

type transport struct {
	abi.Transport
	host *host
}

// Publish counts.
func (t transport) Publish(ctx context.Context, request *abi.Publish) error {
	t.host.mu.Lock()
	t.host.published++
	t.host.mu.Unlock()
	return t.Transport.Publish(ctx, request)
}

func (h *host) breaks() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken == nil {
		return nil
	}
	return h.broken()
}

func (h *host) breakWith(broken func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = broken
}

func (h *host) acknowledge(number uint64) {
	request := &abi.AcknowledgeEventsRequest{EventNumber: number}
	h.Feed(&abi.Input{Input: &abi.Input_AcknowledgeEvents{AcknowledgeEvents: request}})
}

func (h *host) numbers() (numbers []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, event := range h.events {
		numbers = append(numbers, event.GetEventNumber())
	}
	return numbers
}

func (h *host) counts() (forgotten, published int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.forgotten, h.published
}

func (h *host) isSent(messageID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.events, func(event *abi.Event) bool {
		change := event.GetMessageStatusChanged()
		return change.GetMessageId() == messageID && change.GetStatus() == abi.DeliveryStatus_SENT
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func start(t *testing.T, compiled *wasm.Module, network *localnet.Network) *host {
	t.Helper()
	ctx := context.Background()
	file := must(sqlite.Open(filepath.Join(t.TempDir(), "a.db"), sqlite.Options{Create: true}))
	t.Cleanup(func() { _ = file.Close(ctx) })
	h := &host{}
	derivation := &abi.KeyDerivation{Derivation: &abi.KeyDerivation_Unprotected{Unprotected: &abi.Unprotected{}}}
	header := must(engine.CreateVault(ctx, compiled, engine.SystemEntropy{}, derivation, make([]byte, 32)))
	h.Engine = must(engine.New(ctx, engine.Parts{
		Module: compiled, Config: &abi.Config{}, Header: header, HostKey: make([]byte, 32), Storage: storage{file, h}, Transport: transport{network.Transport(), h},
		Clock: engine.SystemClock{}, Entropy: engine.SystemEntropy{}, Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(event *abi.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, event)
		},
		OnConnection: func(bool) {},
	}))
	h.chat = abi.NewChat(h.Engine)
	if err := h.Start(ctx, &abi.Start{}); err != nil {
		t.Fatal(err)
	}
	return h
}

// failures that a step may end with.
var failures = map[string]func() error{
	"a trap of the module":          func() error { panic("on purpose") },
	"a database locked by another":  func() error { return fault.New(abi.ErrorCode_DATABASE_LOCKED, "locked") },
	"a full disk":                   func() error { return fault.New(abi.ErrorCode_STORAGE_FULL, "full") },
	"an error of the storage alone": func() error { return errors.New("disk I/O error") },
}

// meet has bob write to alice, and waits until all is quiet. Time is that of a synctest bubble.
func meet(t *testing.T, compiled *wasm.Module) (alice, bob *host, network *localnet.Network, conversationID string) {
	t.Helper()
	ctx := t.Context()
	network = localnet.New()
	alice, bob = start(t, compiled, network), start(t, compiled, network)
	account := must(alice.chat.CreateAccount(ctx, &abi.CreateAccountRequest{}))
	me := must(bob.chat.CreateAccount(ctx, &abi.CreateAccountRequest{}))
	invite := must(alice.chat.CreateInvite(ctx, &abi.CreateInviteRequest{AccountId: account.GetAccountId()}))
	sent := must(bob.chat.AcceptInvite(ctx, &abi.AcceptInviteRequest{AccountId: me.GetAccountId(), Link: invite.GetLink(), Content: text("Hello!")}))
	time.Sleep(time.Minute)
	synctest.Wait()
	return alice, bob, network, sent.GetConversation().GetConversationId()
}

func text(content string) *abi.Content {
	return &abi.Content{Domain: 1, Tag: 1, Version: 1, Payload: []byte(content)}
}

// inBubble runs the test with a clock that passes at once where all wait.
func inBubble(t *testing.T, run func(t *testing.T, compiled *wasm.Module)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "cache")
		run(t, must(wasm.Shared(context.Background(), module.Code, wasm.Options{CacheFolder: folder, Logger: slog.New(slog.DiscardHandler)})))
	})
}

func TestF4_AnAcknowledgementIsMadeAgainUntilItIsTakenIn(t *testing.T) {
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, compiled *wasm.Module) {
				alice, bob, _, _ := meet(t, compiled)
				defer bob.Close()
				defer alice.Close()
				numbers := alice.numbers()
				if len(numbers) == 0 || !slices.IsSorted(numbers) {
					t.Fatalf("events %v", numbers)
				}
				before, _ := alice.counts()
				alice.breakWith(failure)
				alice.acknowledge(numbers[len(numbers)-1])
				time.Sleep(12 * time.Second)
				alice.breakWith(nil)
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if after, _ := alice.counts(); after-before != len(numbers) {
					t.Errorf("%d of %d events are forgotten", after-before, len(numbers))
				}
				if shown := alice.numbers(); len(shown) != len(numbers) {
					t.Errorf("shown again: %v", shown)
				}
			})
		})
	}
}

func TestF4_APublicationsResultIsToldAgainUntilItIsTakenIn(t *testing.T) {
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, compiled *wasm.Module) {
				alice, bob, network, conversation := meet(t, compiled)
				defer bob.Close()
				defer alice.Close()
				network.Drop(func(string, []byte) bool {
					// On its way: the answer finds the storage broken.
					bob.breakWith(failure)
					return true
				})
				_, before := bob.counts()
				sent := must(bob.chat.SendMessage(t.Context(), &abi.SendMessageRequest{ConversationId: conversation, Content: text("lost")}))
				id := sent.GetMessage().GetMessageId()
				time.Sleep(12 * time.Second)
				if bob.isSent(id) {
					t.Fatal("the storage works")
				}
				network.Drop(func(string, []byte) bool { return true })
				bob.breakWith(nil)
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if !bob.isSent(id) {
					t.Error("nobody told the core that a node took it")
				}
				// A module that is started again publishes what is not known to be sent.
				if _, after := bob.counts(); after-before != 1 && name != "a trap of the module" {
					t.Errorf("published %d times", after-before)
				}
			})
		})
	}
}

func TestS4_ClosingTriesOnceMoreAndWaitsForNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, compiled *wasm.Module) {
		alice, bob, _, _ := meet(t, compiled)
		numbers := alice.numbers()
		before, _ := alice.counts()
		broken := failures["a full disk"]
		alice.breakWith(broken)
		bob.breakWith(broken)
		for _, h := range []*host{alice, bob} {
			h.acknowledge(numbers[len(numbers)-1])
			h.Feed(&abi.Input{Input: &abi.Input_ConnectionChanged{ConnectionChanged: &abi.ConnectionChanged{Online: true}}})
		}
		synctest.Wait()
		alice.breakWith(nil)
		began := time.Now()
		alice.Close()
		if after, _ := alice.counts(); after-before != len(numbers) {
			t.Errorf("%d of %d events are forgotten", after-before, len(numbers))
		}
		bob.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("closing took %v", took)
		}
	})
}
