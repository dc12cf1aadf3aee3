package wasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"chatsdk/abi"
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
	if !inside || length > abi.MaximumLength {
		panic(fmt.Errorf("host_call with a request outside its memory: %d bytes at %d", length, pointer))
	}
	// A copy: what the host decodes may outlive the view.
	result := abi.DispatchModuleHost(ctx, &instance.host, method, append([]byte(nil), view...))
	// What the module does while it allocates is no part of its call.
	instance.calling = false
	at, err := instance.write(ctx, result)
	instance.calling = true
	if err != nil {
		panic(err)
	}
	stack[0] = uint64(at)<<32 | uint64(len(result))
}
