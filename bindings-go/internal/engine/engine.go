// Package engine drives the core module over a database and a network: one input at a time, its reads answered from the storage, its changes
// committed before anything leaves. If the commit fails nothing leaves: a call fails; an envelope is dropped and comes back with the history,
// since nobody was told that it arrived.
package engine

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/internal/wasm"
)

const (
	// retryAfter an input of the host that could not be committed.
	retryAfter = 5 * time.Second
	// closeGrace is how long Close waits for messages on their way to a node; what is not taken by then is sent at the next start.
	closeGrace = 3 * time.Second
)

// Anchor is told how far the database has come.
type Anchor interface {
	Write(ctx context.Context, databaseID string, generation uint64) error
	// Flush makes durable what was written.
	Flush(ctx context.Context) error
}

// Parts of an engine. It takes over the host key and the config, whose secrets it wipes; the rest is the caller's to close after the engine.
type Parts struct {
	Module    *wasm.Module
	Config    *abi.Config
	Header    *abi.VaultHeader
	HostKey   []byte
	Storage   abi.Storage
	Transport abi.Transport
	Clock     abi.Clock
	Entropy   abi.Entropy
	Anchor    Anchor // nil: none
	Logger    *slog.Logger
	// OnEvent gets each event once, after the commit of what led to it; it must not block.
	OnEvent func(*abi.Event)
	// OnConnection is told when the transport gained or lost its connection; it must not block.
	OnConnection func(online bool)
}

// Engine is safe for concurrent use.
type Engine struct {
	parts Parts
	// opened is what the core said when the database was first opened.
	opened *abi.CoreOpened
	// running ends when nothing more is taken in: the network calls end with it.
	running context.Context
	end     context.CancelFunc
	// background are goroutines of effects and of the transport.
	background sync.WaitGroup
	publishing inOrder
	subscribe  inOrder

	mu    sync.Mutex
	idle  sync.Cond // the queue, state or number of publishes changed
	state state
	queue []*job
	busy  bool
	// publishes under way.
	publishes int
	wake      context.CancelFunc

	// The rest belongs to whose job runs, and to New before there is any.

	core core
	// current is the context of the job that runs: its end fails the core's reads.
	current context.Context
	// shown is the number of the last event shown: a core that was started again replays those not acknowledged.
	shown uint64
	// untaken is, of what nobody tells again, the newest input of each subject that was not taken in.
	untaken map[string]*abi.Input
}

type state int

const (
	waiting state = iota // for Start
	open
	closing
	ended
)

// New opens the core over the database. It fails with WRONG_KEY, UNSUPPORTED_VERSION, INVALID_ARGUMENT, DATABASE_CORRUPT.
func New(ctx context.Context, parts Parts) (*Engine, error) {
	e := &Engine{parts: parts, current: ctx, untaken: map[string]*abi.Input{}}
	e.idle.L = &e.mu
	e.running, e.end = context.WithCancel(context.Background())
	e.wake = func() {}
	opened, err := e.openCore(ctx)
	if err != nil {
		e.end()
		return nil, err
	}
	e.opened = opened
	return e, nil
}

// Generation is how often the database was committed when the core was opened.
func (e *Engine) Generation() uint64 { return e.opened.GetGeneration() }

// SealsMessages tells whether rows of the message store are sealed: OpenMessages opens them.
func (e *Engine) SealsMessages() bool { return e.opened.GetSealsMessages() }

// TakeCredentials gives, once, what the prover of rate limit proofs needs; it is the caller's to wipe.
func (e *Engine) TakeCredentials() []byte {
	credentials := e.opened.GetRateLimitCredentials()
	e.opened.RateLimitCredentials = nil
	return credentials
}

// Start connects, and feeds the first input; what was called before waits behind it. If it fails the engine is of no use, and to be closed.
func (e *Engine) Start(ctx context.Context, start *abi.Start) error {
	e.listen()
	first := newJob(ctx, func(ctx context.Context) error {
		// A core that breaks here is not started again: that would forget what start says.
		_, err := e.stepOnce(ctx, &abi.Input{Input: &abi.Input_Start{Start: start}})
		if broke(err) {
			return defect(err)
		}
		if err == nil {
			e.forgetCredentials()
		}
		return err
	})
	e.mu.Lock()
	e.queue = append([]*job{first}, e.queue...)
	e.state = open
	e.background.Go(func() { e.work(first) })
	e.mu.Unlock()
	return <-first.done
}

// Call makes a call of the application: abi.ChatCaller. The end of ctx aborts it until it is committed, with ABORTED.
func (e *Engine) Call(ctx context.Context, input *abi.Input) (reply *abi.Reply, err error) {
	err = e.do(ctx, func(ctx context.Context) (err error) {
		reply, err = e.step(ctx, input)
		return err
	})
	if err == nil && reply == nil {
		err = fault.New(abi.ErrorCode_INTERNAL, "the core gave no reply; report this")
	}
	return reply, err
}

// OpenMessages opens sealed rows.
func (e *Engine) OpenMessages(ctx context.Context, batch *abi.MessageBatch) (opened *abi.MessageBatch, err error) {
	err = e.do(ctx, func(ctx context.Context) error {
		return e.ask(ctx, func(ctx context.Context, module abi.CoreModule) (err error) {
			opened, err = module.OpenMessages(ctx, batch)
			return err
		})
	})
	return opened, err
}

// OpenConversations opens sealed rows.
func (e *Engine) OpenConversations(ctx context.Context, batch *abi.ConversationBatch) (opened *abi.ConversationBatch, err error) {
	err = e.do(ctx, func(ctx context.Context) error {
		return e.ask(ctx, func(ctx context.Context, module abi.CoreModule) (err error) {
			opened, err = module.OpenConversations(ctx, batch)
			return err
		})
	})
	return opened, err
}

// Rekey puts the database under another host key, which the engine takes over. It fails with WRONG_KEY if the old one does not open it.
func (e *Engine) Rekey(ctx context.Context, oldHostKey []byte, derivation *abi.KeyDerivation, newHostKey []byte) error {
	return e.do(ctx, func(ctx context.Context) error {
		seed, err := e.parts.Entropy.Draw(ctx)
		if err != nil {
			return err
		}
		defer clear(seed.GetBytes())
		return e.ask(ctx, func(ctx context.Context, module abi.CoreModule) error {
			header, err := module.RekeyVault(ctx, &abi.RekeyVaultRequest{
				Header: e.parts.Header, OldHostKey: oldHostKey, Derivation: derivation, NewHostKey: newHostKey, Entropy: seed.GetBytes(),
			})
			if err != nil {
				return err
			}
			if err := e.parts.Storage.PutHeader(context.WithoutCancel(ctx), header); err != nil {
				return err
			}
			clear(e.parts.HostKey)
			e.parts.Header, e.parts.HostKey = header, newHostKey
			return nil
		})
	})
}

// Feed takes in an input of the host. Its failure is logged: there is nobody to tell.
func (e *Engine) Feed(input *abi.Input) {
	e.take(input)
}

// MemoryBytes is the memory of the module's instance.
func (e *Engine) MemoryBytes() uint64 { return e.core.memoryBytes.Load() }

// Close finishes the calls taken and, within the grace, what is being published; then it ends what is under way on the network.
func (e *Engine) Close() {
	// Once more: there is no later. It is refused if somebody closes already.
	_ = e.enqueue(newJob(e.running, e.takeAllAgain), closing)
	e.mu.Lock()
	started := e.state != waiting
	e.state = max(e.state, closing)
	graceOver := false
	grace := time.AfterFunc(closeGrace, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		graceOver = true
		e.idle.Broadcast()
	})
	for started && e.state != ended && (e.busy || len(e.queue) > 0 || e.publishes > 0 && !graceOver) {
		e.idle.Wait()
	}
	e.mu.Unlock()
	grace.Stop()
	e.stop()
	e.background.Wait()
	e.closeCore()
	clear(e.parts.HostKey)
	clear(e.TakeCredentials())
	e.forgetCredentials()
}

// forgetCredentials: once the core's first step is committed, the database has them for a core that is started again.
func (e *Engine) forgetCredentials() {
	if limit := e.parts.Config.GetRateLimit(); limit != nil {
		clear(limit.GetCredentials())
		limit.Credentials = nil
	}
}
