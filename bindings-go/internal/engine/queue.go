package engine

import (
	"context"
	"errors"
	"slices"
	"sync"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// job is something that needs the core. Jobs run one after the other.
type job struct {
	ctx  context.Context
	work func(ctx context.Context) error
	// done gets the outcome, once.
	done chan error
}

func newJob(ctx context.Context, work func(ctx context.Context) error) *job {
	return &job{ctx: ctx, work: work, done: make(chan error, 1)}
}

// do runs work as a job of the application. The end of ctx takes it out of the queue; once begun, what it does decides.
func (e *Engine) do(ctx context.Context, work func(ctx context.Context) error) error {
	// A context that cannot be asked must fail here, in the caller's goroutine, not in the engine's.
	if err := fault.OfContext(ctx); err != nil {
		return err
	}
	job := newJob(ctx, work)
	if err := e.enqueue(job, closing); err != nil {
		return err
	}
	select {
	case err := <-job.done:
		return err
	case <-ctx.Done():
	}
	e.mu.Lock()
	if at := slices.Index(e.queue, job); at >= 0 {
		e.queue = slices.Delete(e.queue, at, at+1)
		e.idle.Broadcast()
		e.mu.Unlock()
		return fault.Aborted(ctx)
	}
	e.mu.Unlock()
	return <-job.done
}

// enqueue fails with CLOSED from the state refusing on.
func (e *Engine) enqueue(job *job, refusing state) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state >= refusing {
		return closed()
	}
	e.queue = append(e.queue, job)
	e.idle.Broadcast()
	return nil
}

// work is the engine's goroutine. If the first job fails, nothing that waits is served.
func (e *Engine) work(first *job) {
	for {
		e.mu.Lock()
		for len(e.queue) == 0 && e.state != ended {
			e.idle.Wait()
		}
		if e.state == ended {
			e.mu.Unlock()
			return
		}
		job := e.queue[0]
		e.queue[0] = nil
		e.queue = e.queue[1:]
		e.busy = true
		e.mu.Unlock()

		err := e.run(job)
		if job == first && err != nil {
			e.stop()
		}
		job.done <- err

		e.mu.Lock()
		e.busy = false
		e.idle.Broadcast()
		e.mu.Unlock()
	}
}

func (e *Engine) run(job *job) error {
	if job.ctx.Err() != nil {
		return fault.Aborted(job.ctx)
	}
	e.current = job.ctx
	err := job.work(job.ctx)
	var typed *abi.Error
	if err != nil && !errors.As(err, &typed) {
		// Its text may hold anything; the cause has it.
		return fault.Because(abi.FailureOf(err).GetCode(), err, "%s", abi.FailureOf(err).GetMessage())
	}
	return err
}

// stop takes in nothing more.
func (e *Engine) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state = ended
	e.end()
	e.wake()
	for _, job := range e.queue {
		job.done <- closed()
	}
	e.queue = nil
	e.idle.Broadcast()
}

func closed() error {
	return fault.New(abi.ErrorCode_CLOSED, "the client is closed; open a new one")
}

// inOrder starts work in the order in which it was given.
type inOrder struct {
	mu   sync.Mutex
	last chan struct{} // closed when the one before has let the next one go
}

// next returns a function that waits for its turn, and one that lets the next one go.
func (o *inOrder) next() (wait, pass func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, own := o.last, make(chan struct{})
	o.last = own
	wait = func() {
		if before != nil {
			<-before
		}
	}
	return wait, func() { close(own) }
}
