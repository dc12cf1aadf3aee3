package engine

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/parts"
)

// perform does what an outcome asks for, after its commit.
func (e *Engine) perform(effect *abi.Effect) {
	switch effect := effect.GetEffect().(type) {
	case *abi.Effect_Publish:
		e.publish(effect.Publish)
	case *abi.Effect_Subscribe:
		wait, pass := e.subscribe.next()
		e.background.Go(func() {
			defer pass()
			wait()
			if err := e.parts.Transport.Subscribe(e.running, effect.Subscribe); err != nil && e.running.Err() == nil {
				e.parts.Logger.Warn("subscribe", "error", err)
			}
		})
	case *abi.Effect_QueryHistory:
		e.background.Go(func() { e.queryHistory(effect.QueryHistory) })
	case *abi.Effect_WakeAtMs:
		e.wakeAt(effect.WakeAtMs)
	case *abi.Effect_Log:
		e.parts.Logger.Log(e.running, levelOf(effect.Log.GetLevel()), effect.Log.GetMessage())
	}
}

func (e *Engine) publish(publish *abi.Publish) {
	e.mu.Lock()
	e.publishes++
	e.mu.Unlock()
	wait, pass := e.publishing.next()
	e.background.Go(func() {
		wait()
		// The transport decides how many go at a time.
		pass()
		result := &abi.PublishResult{PublishId: publish.GetPublishId(), Ok: true}
		if err := e.parts.Transport.Publish(e.running, publish); err != nil {
			failure := abi.FailureOf(err)
			result.Ok, result.Reason = false, failure.GetMessage()
			level := slog.LevelDebug
			// A node that will not take it later either: only a person can mend that.
			if failure.GetCode() == abi.ErrorCode_TRANSPORT_FAILED && !failure.GetRetryable() && e.running.Err() == nil {
				level = slog.LevelWarn
			}
			e.parts.Logger.Log(e.running, level, "publish", "error", err)
		}
		e.Feed(&abi.Input{Input: &abi.Input_PublishResult{PublishResult: result}})
		e.mu.Lock()
		defer e.mu.Unlock()
		e.publishes--
		e.idle.Broadcast()
	})
}

func (e *Engine) queryHistory(query *abi.QueryHistory) {
	last := &abi.HistoryPage{QueryId: query.GetQueryId()}
	for batch, err := range e.parts.Transport.QueryHistory(e.running, query) {
		for envelopes := range pagesOf(batch.GetEnvelopes()) {
			page := &abi.HistoryPage{QueryId: query.GetQueryId(), Envelopes: envelopes, More: true}
			// Taken in before the next page is asked for: a long absence must not fill the memory.
			if err == nil {
				err = <-e.take(&abi.Input{Input: &abi.Input_HistoryPage{HistoryPage: page}})
			}
		}
		if err != nil {
			last.Failed = true
			e.parts.Logger.Debug("history", "error", err)
			break
		}
	}
	e.Feed(&abi.Input{Input: &abi.Input_HistoryPage{HistoryPage: last}})
}

// pageLength keeps a step short.
const pageLength = 100

// pagesOf divides a batch, which a transport may make as large as it likes.
func pagesOf(envelopes []*abi.EnvelopeReceived) iter.Seq[[]*abi.EnvelopeReceived] {
	return func(yield func([]*abi.EnvelopeReceived) bool) {
		for len(envelopes) > 0 {
			count := parts.First(envelopes, pageLength)
			if !yield(envelopes[:count]) {
				return
			}
			envelopes = envelopes[count:]
		}
	}
}

// listen takes in what the transport reports, one after the other, so that a flood waits on the network rather than in memory.
func (e *Engine) listen() {
	events := e.parts.Transport.Start(e.running)
	e.background.Go(func() {
		for event, err := range events {
			if err != nil {
				e.parts.Logger.Error("the transport ended; the client stays offline", "error", err)
				e.parts.OnConnection(false)
				return
			}
			switch event := event.GetEvent().(type) {
			case *abi.TransportEvent_Envelope:
				<-e.take(&abi.Input{Input: &abi.Input_EnvelopeReceived{EnvelopeReceived: event.Envelope}})
			case *abi.TransportEvent_Connection:
				e.parts.OnConnection(event.Connection.GetOnline())
				e.Feed(&abi.Input{Input: &abi.Input_ConnectionChanged{ConnectionChanged: event.Connection}})
			}
		}
	})
}

func (e *Engine) wakeIn(pause time.Duration) {
	now, err := e.parts.Clock.Now(e.running)
	if err != nil {
		e.parts.Logger.Error("the clock failed; timers stand still until the next input", "error", err)
		return
	}
	e.wakeAt(now.GetUnixMs() + uint64(pause.Milliseconds()))
}

// wakeAt replaces the time before; 0: none.
func (e *Engine) wakeAt(unixMs uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wake()
	e.wake = func() {}
	if unixMs == 0 || e.state == ended {
		return
	}
	ctx, cancel := context.WithCancel(e.running)
	e.wake = cancel
	e.background.Go(func() {
		if e.parts.Clock.SleepUntil(ctx, &abi.Instant{UnixMs: unixMs}) == nil {
			e.Feed(&abi.Input{Input: &abi.Input_Wake{Wake: &abi.Wake{}}})
		}
	})
}

func levelOf(level abi.LogLevel) slog.Level {
	switch level {
	case abi.LogLevel_WARN:
		return slog.LevelWarn
	case abi.LogLevel_INFO:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}
