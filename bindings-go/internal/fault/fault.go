// Package fault makes the SDK's typed errors. A message names the field or thing concerned and the remedy, and never holds a secret.
package fault

import (
	"fmt"

	"chatsdk/abi"
)

// New is an error that will not go away by trying again.
func New(code abi.ErrorCode, format string, arguments ...any) *abi.Error {
	return Because(code, nil, format, arguments...)
}

// Because is New with the error that led to it.
func Because(code abi.ErrorCode, cause error, format string, arguments ...any) *abi.Error {
	return abi.NewError(code, fmt.Sprintf(format, arguments...), cause)
}

// Retryable is an error after which the same call may succeed later.
func Retryable(code abi.ErrorCode, cause error, format string, arguments ...any) *abi.Error {
	failure := Because(code, cause, format, arguments...)
	failure.Retryable = true
	return failure
}
