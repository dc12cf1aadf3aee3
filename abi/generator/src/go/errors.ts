import type { ErrorCase } from "../ir.ts";
import { lowerFirst, pascalOfConstant, upperFirst } from "../text.ts";
import { comment } from "./docs.ts";
import type { GoScope } from "./scope.ts";

export function errors(cases: readonly ErrorCase[], scope: GoScope): string {
  const standard = scope.from("errors");
  const context = scope.from("context");
  return `// Error is a failed call. It has changed nothing, unless the description of its code says otherwise. Compare it by code:
// errors.Is(err, ErrOutboxFull).
type Error struct {
	// Code is for the program: what to do.
	Code ErrorCode
	// Message is for a developer: it names the field and the remedy, and never holds a secret.
	Message string
	// Retryable says that the same call may succeed later.
	Retryable bool
	cause     error
}

// NewError makes an error that is not worth another try. The cause may be nil.
func NewError(code ErrorCode, message string, cause error) *Error {
	return &Error{Code: code, Message: message, cause: cause}
}

// Error is the code's name and the message.
func (e *Error) Error() string { return e.Code.String() + ": " + e.Message }

// Unwrap returns what led to the error, if that is known.
func (e *Error) Unwrap() error { return e.cause }

// Is says that target is the Err variable of the error's code.
func (e *Error) Is(target error) bool { return target == codeError(e.Code) }

// ErrorOf is the error that a failure tells of.
func ErrorOf(failure *Failure) *Error {
	return &Error{Code: failure.GetCode(), Message: failure.GetMessage(), Retryable: failure.GetRetryable()}
}

// FailureOf tells of an error. What is no [*Error] becomes ABORTED if a context ended, INTERNAL otherwise, and its text stays
// here: it might hold a secret.
func FailureOf(err error) *Failure {
	var typed *Error
	var code codeError
	switch {
	case ${standard}.As(err, &typed):
		message := ${scope.from("strings")}.ToValidUTF8(typed.Message, "\uFFFD")
		return &Failure{Code: typed.Code, Message: message, Retryable: typed.Retryable}
	case ${standard}.As(err, &code):
		return &Failure{Code: ErrorCode(code), Message: code.what()}
	case ${standard}.Is(err, ${context}.Canceled), ${standard}.Is(err, ${context}.DeadlineExceeded):
		return &Failure{Code: ErrorCode_ABORTED, Message: "the caller's context ended"}
	}
	return &Failure{Code: ErrorCode_INTERNAL, Message: "a defect of the SDK or of the host; report this"}
}

// Remedy says what the caller of a failed call should do.
func Remedy(code ErrorCode) string {
	switch code {
${cases.map(({ name, remedy }) => `case ErrorCode_${name}:\nreturn ${JSON.stringify(upperFirst(remedy))}`).join("\n")}
	}
	return ""
}

// codeError is an error that is nothing but a code.
type codeError ErrorCode

func (e codeError) Error() string { return ErrorCode(e).String() + ": " + e.what() }

func (e codeError) what() string {
	switch ErrorCode(e) {
${cases.map(({ name, what }) => `case ErrorCode_${name}:\nreturn ${JSON.stringify(lowerFirst(what).replace(/\.$/, ""))}`).join("\n")}
	}
	return "not known to this version"
}

// What errors.Is compares an error with.
var (
${cases.map(sentinel).join("\n")}
)`;
}

function sentinel({ name, what, remedy }: ErrorCase): string {
  const variable = `Err${pascalOfConstant(name)}`;
  return `${comment(`${variable}: ${lowerFirst(what)} Remedy: ${remedy}`)}\n${variable} error = codeError(ErrorCode_${name})`;
}
