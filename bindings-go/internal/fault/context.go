package fault

import (
	"context"
	"errors"

	"chatsdk/abi"
)

// OfContext is what keeps a call with this context from beginning: INVALID_ARGUMENT if it is nil, ABORTED if it has ended.
func OfContext(ctx context.Context) error {
	switch {
	case ctx == nil:
		return New(abi.ErrorCode_INVALID_ARGUMENT, "ctx: nil; give context.Background() for a call that nothing ends")
	case ctx.Err() != nil:
		return Aborted(ctx)
	}
	return nil
}

// Aborted is ABORTED for a context that has ended.
func Aborted(ctx context.Context) error {
	return Because(abi.ErrorCode_ABORTED, CauseOf(ctx), "the call was aborted and had no effect")
}

// CauseOf is the error of a context that has ended, with the cause that whoever ended it gave, if any.
func CauseOf(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return cause
	}
	return errors.Join(ctx.Err(), cause)
}
