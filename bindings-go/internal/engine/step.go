package engine

import (
	"context"
	"errors"
	"maps"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/internal/wasm"
)

// step runs one step and, if the core broke at it, starts the core again.
func (e *Engine) step(ctx context.Context, input *abi.Input) (reply *abi.Reply, err error) {
	err = e.ask(ctx, func(ctx context.Context, _ abi.CoreModule) (err error) {
		reply, err = e.stepOnce(ctx, input)
		return err
	})
	return reply, err
}

// stepOnce commits before anything leaves. An input that the core answers with a failure has failed.
func (e *Engine) stepOnce(ctx context.Context, input *abi.Input) (*abi.Reply, error) {
	now, err := e.parts.Clock.Now(ctx)
	if err != nil {
		return nil, err
	}
	seed, err := e.parts.Entropy.Draw(ctx)
	if err != nil {
		return nil, err
	}
	input.NowMs, input.Entropy = now.GetUnixMs(), seed.GetBytes()
	result, err := e.core.module.Step(ctx, input)
	clear(input.GetEntropy())
	if err == nil {
		err = e.commit(ctx, input, result)
	}
	if err != nil {
		if broke(err) {
			return nil, err
		}
		if _, failure := e.core.module.CommitFailed(ctx, &abi.CommitFailedRequest{}); failure != nil {
			// Such a core must not go on.
			return nil, &wasm.Trap{Cause: errors.Join(failure, err)}
		}
		return nil, err
	}
	for _, effect := range result.GetOutcome().GetEffects() {
		e.perform(effect)
	}
	for _, event := range result.GetOutcome().GetEvents() {
		if event.GetEventNumber() > e.shown {
			e.shown = event.GetEventNumber()
			e.parts.OnEvent(event)
		}
	}
	reply := result.GetOutcome().GetReply()
	if failure := reply.GetFailure(); failure != nil {
		return nil, abi.ErrorOf(failure)
	}
	return reply, nil
}

func (e *Engine) commit(ctx context.Context, input *abi.Input, result *abi.StepResult) error {
	changes := result.GetOutcome().GetChanges()
	if len(changes) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return fault.Aborted(ctx)
	}
	if err := e.parts.Storage.Commit(context.WithoutCancel(ctx), &abi.ChangeBatch{Changes: changes}); err != nil {
		return err
	}
	if e.parts.Anchor == nil {
		return nil
	}
	err := e.parts.Anchor.Write(context.WithoutCancel(ctx), e.parts.Header.GetDatabaseId(), result.GetGeneration())
	if err == nil && input.GetStart().GetRolledBack() {
		// From now on every other copy is an old one, also if this process ends at once.
		err = e.parts.Anchor.Flush(context.WithoutCancel(ctx))
	}
	if err != nil {
		// What is durable stays so: without the anchor only the detection of old copies suffers.
		e.parts.Logger.Warn("rollback anchor", "error", err)
	}
	return nil
}

// take feeds an input of the host in and tells how it went, for those who wait for it.
func (e *Engine) take(input *abi.Input) <-chan error {
	job := newJob(e.running, func(ctx context.Context) error { return e.takeNow(ctx, input) })
	if err := e.enqueue(job, refusing(input)); err != nil {
		job.done <- err
	}
	return job.done
}

// refusing: while closing, only what comes of earlier work is taken in; the rest is told again at the next start.
func refusing(input *abi.Input) state {
	switch input.GetInput().(type) {
	case *abi.Input_PublishResult, *abi.Input_AcknowledgeEvents:
		return ended
	}
	return closing
}

// takeNow is for whose job runs.
func (e *Engine) takeNow(ctx context.Context, input *abi.Input) error {
	_, err := e.step(context.WithoutCancel(ctx), input)
	subject := subjectOf(input)
	// Older than this one.
	delete(e.untaken, subject)
	if err == nil {
		return nil
	}
	e.parts.Logger.Warn("an input was not taken in", "input", nameOf(input), "error", err)
	switch {
	case input.GetWake() != nil:
		e.wakeIn(retryAfter)
	case subject != "":
		e.untaken[subject] = input
		e.takeLater(input)
	}
	return err
}

func (e *Engine) takeLater(input *abi.Input) {
	e.background.Go(func() {
		if e.sleep(e.running, retryAfter) == nil {
			// Closed meanwhile, if it is refused.
			_ = e.enqueue(newJob(e.running, func(ctx context.Context) error { return e.takeAgain(ctx, input) }), refusing(input))
		}
	})
}

// takeAgain is for whose job runs. Something newer may have been taken meanwhile.
func (e *Engine) takeAgain(ctx context.Context, input *abi.Input) error {
	if e.untaken[subjectOf(input)] != input {
		return nil
	}
	return e.takeNow(ctx, input)
}

// takeAllAgain is for whose job runs, before the engine ends.
func (e *Engine) takeAllAgain(ctx context.Context) error {
	var failures []error
	for _, input := range maps.Clone(e.untaken) {
		if refusing(input) == ended {
			failures = append(failures, e.takeNow(ctx, input))
		}
	}
	return errors.Join(failures...)
}

// subjectOf names what an input is about if nobody tells it again. The rest comes by itself: envelopes with the history, history when it is asked
// for again.
func subjectOf(input *abi.Input) string {
	switch value := input.GetInput().(type) {
	case *abi.Input_PublishResult:
		return "published " + value.PublishResult.GetPublishId()
	case *abi.Input_ConnectionChanged:
		return "connection"
	case *abi.Input_AcknowledgeEvents:
		return "acknowledged"
	}
	return ""
}

func nameOf(input *abi.Input) string {
	message := input.ProtoReflect()
	field := message.WhichOneof(message.Descriptor().Oneofs().ByName("input"))
	if field == nil {
		return "none"
	}
	return string(field.Name())
}

// sleep waits on the host's clock, or on ours if that fails.
func (e *Engine) sleep(ctx context.Context, pause time.Duration) error {
	clock := e.parts.Clock
	now, err := clock.Now(ctx)
	if err != nil {
		// What waits would wait for ever.
		clock = SystemClock{}
		now, _ = clock.Now(ctx)
	}
	return clock.SleepUntil(ctx, &abi.Instant{UnixMs: now.GetUnixMs() + uint64(pause.Milliseconds())})
}
