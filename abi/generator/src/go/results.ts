import type { GoScope } from "./scope.ts";

/** The status byte and the messages that cross the boundary of the core module: the same for every service. */
export function results(scope: GoScope): string {
  const context = scope.from("context");
  const standard = scope.from("errors");
  const fmt = scope.from("fmt");
  const proto = scope.from("google.golang.org/protobuf/proto");
  return `const (
	statusResponse = 0
	statusFailure  = 1
)

// ErrMalformedResult is wrapped by the error for bytes of the module that are no result: the instance is of no use any more.
var ErrMalformedResult = ${standard}.New("malformed result")

// ModuleCaller carries a method's number and encoded request over the boundary, and brings back the encoded response or the error that
// [DecodeResult] found. It does not keep the request.
type ModuleCaller interface {
	CallModule(ctx ${context}.Context, method uint32, request []byte) ([]byte, error)
}

// EncodeResult encodes what crosses the boundary: a response, or the failure that tells of err.
func EncodeResult(response ${proto}.Message, err error) []byte {
	if err == nil {
		var result []byte
		if result, err = encode(statusResponse, response); err == nil {
			return result
		}
	}
	failure := FailureOf(err)
	result, err := encode(statusFailure, failure)
	if err != nil {
		// Its message is beyond all limits.
		result, _ = encode(statusFailure, &Failure{Code: failure.Code, Retryable: failure.Retryable})
	}
	return result
}

func encode(status byte, message ${proto}.Message) ([]byte, error) {
	result, err := ${proto}.MarshalOptions{}.MarshalAppend([]byte{status}, message)
	if err != nil {
		return nil, NewError(ErrorCode_INTERNAL, "a result could not be encoded; report this", err)
	}
	return result, checkLength("result", len(result))
}

// DecodeResult returns the encoded response in a result, or its failure as an [*Error].
func DecodeResult(result []byte) ([]byte, error) {
	if len(result) == 0 {
		return nil, malformed("a result is empty", ErrMalformedResult)
	}
	switch result[0] {
	case statusResponse:
		return result[1:], nil
	case statusFailure:
		failure := &Failure{}
		if err := ${proto}.Unmarshal(result[1:], failure); err != nil {
			return nil, malformed("a failure does not decode", err)
		}
		return nil, ErrorOf(failure)
	}
	return nil, malformed(${fmt}.Sprintf("a result has the status %d", result[0]), ErrMalformedResult)
}

// CallMethod makes one call; generated clients use it.
func CallMethod[Response any, Pointer interface {
	*Response
	${proto}.Message
}](ctx ${context}.Context, caller ModuleCaller, method uint32, request ${proto}.Message) (Pointer, error) {
	encoded, err := ${proto}.Marshal(request)
	if err != nil {
		return nil, NewError(ErrorCode_INVALID_ARGUMENT, "request: it cannot be encoded; all text must be UTF-8", err)
	}
	// It may hold keys.
	defer clear(encoded)
	if err := checkLength("request", len(encoded)); err != nil {
		return nil, err
	}
	answer, err := caller.CallModule(ctx, method, encoded)
	if err != nil {
		return nil, err
	}
	// So may this.
	defer clear(answer)
	response := Pointer(new(Response))
	if err := ${proto}.Unmarshal(answer, response); err != nil {
		return nil, malformed("a response does not decode", err)
	}
	return response, nil
}

// ServeMethod serves one call; generated dispatchers use it.
func ServeMethod[Request, Response any, RequestPointer interface {
	*Request
	${proto}.Message
}, ResponsePointer interface {
	*Response
	${proto}.Message
}](ctx ${context}.Context, encoded []byte, serve func(${context}.Context, RequestPointer) (ResponsePointer, error)) []byte {
	if err := checkLength("request", len(encoded)); err != nil {
		return EncodeResult(nil, err)
	}
	request := RequestPointer(new(Request))
	if err := ${proto}.Unmarshal(encoded, request); err != nil {
		return EncodeResult(nil, NewError(ErrorCode_INVALID_ARGUMENT, "request: it does not decode", err))
	}
	response, err := serve(ctx, request)
	return EncodeResult(response, err)
}

// NoSuchMethod is the result of a call whose number no method has; generated dispatchers use it.
func NoSuchMethod(service string, method uint32) []byte {
	return EncodeResult(nil, NewError(ErrorCode_INVALID_ARGUMENT, ${fmt}.Sprintf("method: %s has no method %d", service, method), nil))
}

func checkLength(what string, length int) error {
	if length <= MaximumLength {
		return nil
	}
	return NewError(ErrorCode_INVALID_ARGUMENT, ${fmt}.Sprintf("%s: %d bytes are too many; at most %d", what, length, MaximumLength), nil)
}

func malformed(message string, cause error) error {
	return NewError(ErrorCode_INTERNAL, message+"; report this", ${standard}.Join(ErrMalformedResult, cause))
}`;
}
