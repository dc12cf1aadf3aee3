// Package fault makes the SDK's typed errors. A message names the field or thing concerned and the remedy, and never holds a secret.
package fault

import (
	"errors"
	"fmt"

	"chatsdk/abi"
)

type Error struct {
	Code      abi.ErrorCode
	Message   string
	Retryable bool
	Cause     error
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Cause }

// New is an error that will not go away by trying again.
func New(code abi.ErrorCode, format string, arguments ...any) *Error {
	return Because(code, nil, format, arguments...)
}

// Because is New with the error that led to it.
func Because(code abi.ErrorCode, cause error, format string, arguments ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, arguments...), Cause: cause}
}

// Retryable is an error after which the same call may succeed later.
func Retryable(code abi.ErrorCode, cause error, format string, arguments ...any) *Error {
	failure := Because(code, cause, format, arguments...)
	failure.Retryable = true
	return failure
}

// Of is the error that a failure of the core stands for.
func Of(failure *abi.Failure) *Error {
	return &Error{Code: failure.GetCode(), Message: failure.GetMessage(), Retryable: failure.GetRetryable()}
}

// FailureOf is how an error crosses the boundary; one without a code is a defect.
func FailureOf(err error) *abi.Failure {
	var typed *Error
	if !errors.As(err, &typed) {
		return &abi.Failure{Code: abi.ErrorCode_INTERNAL, Message: "a defect of the SDK; report this"}
	}
	return &abi.Failure{Code: typed.Code, Message: typed.Message, Retryable: typed.Retryable}
}
