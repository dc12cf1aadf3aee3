package wasm

import (
	"context"
	"errors"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// keeper serves the module, and keeps the failure of a read, of which the module can repeat the code and the text alone.
type keeper struct {
	host    abi.ModuleHost
	failure error
}

// Read keeps a failure.
func (k *keeper) Read(ctx context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	answer, err := k.host.Read(ctx, read)
	if err != nil {
		k.failure = err
	}
	return answer, err
}

// take gives the last failure, once.
func (k *keeper) take() error {
	kept := k.failure
	k.failure = nil
	return kept
}

// original is, for a failure that the module reports, the one of the host that it repeats, if it does. Both are nil if there is none.
func original(reported, kept error) error {
	var failure *abi.Error
	if kept == nil || !errors.As(reported, &failure) || failure.Code != abi.FailureOf(kept).GetCode() {
		return reported
	}
	var typed *abi.Error
	if errors.As(kept, &typed) {
		return kept
	}
	// Its text may hold anything; the cause has it.
	return fault.Because(failure.Code, kept, "%s", failure.Message)
}
