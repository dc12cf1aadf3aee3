// Package patient waits for what cannot be ended: no longer than a context lasts.
package patient

import (
	"context"

	"chatsdk/internal/fault"
)

// For does work in a goroutine of its own and gives its outcome. The work is always begun. Where ctx ends first, For fails with ABORTED at once, and
// discard, if any, gets what the work gives in the end.
func For[Value any](ctx context.Context, work func() (Value, error), discard func(Value)) (Value, error) {
	type outcome struct {
		value Value
		err   error
	}
	outcomes := make(chan outcome, 1)
	go func() {
		value, err := work()
		outcomes <- outcome{value, err}
	}()
	select {
	case got := <-outcomes:
		return got.value, got.err
	case <-ctx.Done():
	}
	if discard != nil {
		go func() {
			if got := <-outcomes; got.err == nil {
				discard(got.value)
			}
		}()
	}
	var none Value
	return none, fault.Aborted(ctx)
}
