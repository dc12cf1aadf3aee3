package wasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"
	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// instanceKey finds the instance in the context of a call: one host module serves all instances.
type instanceKey struct{}

// hostCall is the import chatsdk.host_call. Where the module breaks the contract it panics, which wazero makes a trap of.
func hostCall(ctx context.Context, _ api.Module, stack []uint64) {
	method, pointer, length := uint32(stack[0]), uint32(stack[1]), uint32(stack[2])
	instance, ok := ctx.Value(instanceKey{}).(*Instance)
	if !ok || !instance.calling {
		panic(errors.New("host_call outside of chatsdk_call"))
	}
	view, inside := instance.memory.Read(pointer, length)
	if !inside {
		panic(fmt.Errorf("host_call with a request outside its memory: %d bytes at %d", length, pointer))
	}
	result := instance.answer(ctx, method, view)
	// What the module does while it allocates is no part of its call.
	instance.calling = false
	at, err := instance.write(ctx, result)
	instance.calling = true
	if err != nil {
		panic(err)
	}
	stack[0] = uint64(at)<<32 | uint64(len(result))
}

// answer is the result of a method of ModuleHost: the status and the message.
func (i *Instance) answer(ctx context.Context, method uint32, view []byte) []byte {
	if len(view) > maximumLength {
		return failed(tooLong("request", len(view)))
	}
	// A copy: what the host decodes may outlive the view.
	response, err := i.host.HostCall(ctx, method, append([]byte(nil), view...))
	if err != nil {
		return failed(err)
	}
	if size := proto.Size(response); size >= maximumLength {
		return failed(tooLong("answer", size))
	}
	result, err := proto.MarshalOptions{}.MarshalAppend([]byte{statusOK}, response)
	if err != nil {
		return failed(err)
	}
	return result
}

func failed(err error) []byte {
	failure := fault.FailureOf(err)
	result, err := proto.MarshalOptions{}.MarshalAppend([]byte{statusFailure}, failure)
	if err != nil {
		// Texts that are no UTF-8: the code says enough.
		result, _ = proto.MarshalOptions{}.MarshalAppend([]byte{statusFailure}, &abi.Failure{Code: failure.GetCode(), Retryable: failure.GetRetryable()})
	}
	return result
}
