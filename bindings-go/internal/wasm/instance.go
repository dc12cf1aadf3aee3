package wasm

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64

	// callTimeout is how long a call may run.
	callTimeout = 30 * time.Second
)

// Trap says that an instance broke: it trapped, ran out of time, or returned what the contract does not allow. The instance is closed.
type Trap struct {
	Cause error
}

func (t *Trap) Error() string { return "the core module broke: " + t.Cause.Error() }

func (t *Trap) Unwrap() error { return t.Cause }

// Instance is one running module. One goroutine uses it at a time; only MemoryBytes may be called beside.
type Instance struct {
	module  api.Module
	exports exports
	host    keeper
	timeout time.Duration
	memory  api.Memory
	size    atomic.Uint64
	// calling: the module may call back only during Call, not while it allocates.
	calling bool
	broken  error
}

type exports struct {
	alloc, free, call api.Function
}

// Option changes an instance; for tests.
type Option func(*Instance)

// WithTimeout replaces the 30 seconds a call may take.
func WithTimeout(timeout time.Duration) Option {
	return func(instance *Instance) { instance.timeout = timeout }
}

// NewInstance starts an instance. It fails with INTERNAL if the module lacks an export of the contract.
func (m *Module) NewInstance(ctx context.Context, host abi.ModuleHost, options ...Option) (*Instance, error) {
	instance := &Instance{host: keeper{host: host}, timeout: callTimeout}
	for _, option := range options {
		option(instance)
	}
	ctx, cancel := context.WithTimeout(ctx, instance.timeout)
	defer cancel()
	// No name: any number of instances. No start function: the contract has none.
	module, err := m.runtime.InstantiateModule(ctx, m.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, fault.Because(abi.ErrorCode_INTERNAL, &Trap{err}, "module: cannot be started; report this")
	}
	instance.module = module
	if err := instance.findExports(); err != nil {
		// The failure that matters is known.
		_ = module.Close(ctx)
		return nil, fault.Because(abi.ErrorCode_INTERNAL, &Trap{err}, "module: not one of this contract; report this")
	}
	instance.noteMemory()
	return instance, nil
}

func (i *Instance) findExports() error {
	if i.memory = i.module.ExportedMemory("memory"); i.memory == nil {
		return errors.New("it exports no memory")
	}
	for _, export := range []struct {
		function          *api.Function
		name              string
		parameters, gives []api.ValueType
	}{
		{&i.exports.alloc, "chatsdk_alloc", []api.ValueType{i32}, []api.ValueType{i32}},
		{&i.exports.free, "chatsdk_free", []api.ValueType{i32, i32}, nil},
		{&i.exports.call, "chatsdk_call", []api.ValueType{i32, i32, i32}, []api.ValueType{i64}},
	} {
		function := i.module.ExportedFunction(export.name)
		if function == nil || !sameTypes(function.Definition().ParamTypes(), export.parameters) ||
			!sameTypes(function.Definition().ResultTypes(), export.gives) {
			return fmt.Errorf("it has no export %s of the right type", export.name)
		}
		*export.function = function
	}
	return nil
}

func sameTypes(a, b []api.ValueType) bool {
	return string(a) == string(b)
}

// CallModule calls a method of CoreModule: see [abi.NewCoreModuleClient]. It fails with what the module reports, or the host's failure that it repeats,
// or with a *Trap, after which the instance is of no use. The end of ctx does not end the call: that would end the instance.
func (i *Instance) CallModule(ctx context.Context, method uint32, request []byte) ([]byte, error) {
	if i.broken != nil {
		return nil, &Trap{i.broken}
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.timeout)
	defer cancel()
	result, err := i.call(limited, method, request)
	i.noteMemory()
	kept := i.host.take()
	if err == nil {
		var response []byte
		if response, err = abi.DecodeResult(result); !errors.Is(err, abi.ErrMalformedResult) {
			return response, original(err, kept)
		}
	}
	i.broken = err
	i.forget()
	// It is broken already.
	_ = i.module.Close(limited)
	return nil, &Trap{err}
}

// call returns a result, not decoded.
func (i *Instance) call(ctx context.Context, method uint32, request []byte) ([]byte, error) {
	pointer, err := i.write(ctx, request)
	if err != nil {
		return nil, err
	}
	i.calling = true
	packed, err := i.exports.call.Call(context.WithValue(ctx, instanceKey{}, i), uint64(method), uint64(pointer), uint64(len(request)))
	i.calling = false
	if err != nil {
		return nil, err
	}
	if err := i.wipe(ctx, pointer, uint32(len(request))); err != nil {
		return nil, err
	}
	return i.take(ctx, packed[0])
}

// take copies a result out of the module's memory and gives it back.
func (i *Instance) take(ctx context.Context, packed uint64) ([]byte, error) {
	pointer, length := uint32(packed>>32), uint32(packed)
	if length == 0 || length > abi.MaximumLength {
		return nil, fmt.Errorf("a result of %d bytes", length)
	}
	view, inside := i.memory.Read(pointer, length)
	if !inside {
		return nil, fmt.Errorf("a result outside its memory: %d bytes at %d", length, pointer)
	}
	result := append([]byte(nil), view...)
	return result, i.wipe(ctx, pointer, length)
}

// write copies bytes into memory that the module allocates.
func (i *Instance) write(ctx context.Context, bytes []byte) (pointer uint32, err error) {
	allocated, err := i.exports.alloc.Call(ctx, uint64(len(bytes)))
	if err != nil {
		return 0, err
	}
	pointer = uint32(allocated[0])
	if pointer == 0 {
		return 0, fmt.Errorf("out of memory for %d bytes", len(bytes))
	}
	if !i.memory.Write(pointer, bytes) {
		return 0, fmt.Errorf("memory allocated outside its memory: %d bytes at %d", len(bytes), pointer)
	}
	return pointer, nil
}

// wipe gives memory back without what it held: keys, entropy, credentials.
func (i *Instance) wipe(ctx context.Context, pointer, length uint32) error {
	view, inside := i.memory.Read(pointer, length)
	if !inside {
		return fmt.Errorf("its memory shrank")
	}
	clear(view)
	_, err := i.exports.free.Call(ctx, uint64(pointer), uint64(length))
	return err
}

// MemoryBytes is how much memory the instance had after its last call. Safe for concurrent use.
func (i *Instance) MemoryBytes() uint64 {
	return i.size.Load()
}

func (i *Instance) noteMemory() {
	i.size.Store(uint64(i.memory.Size()))
}

// Close ends the instance; what its memory held goes with it.
func (i *Instance) Close(ctx context.Context) error {
	if i.broken == nil {
		i.forget()
		i.broken = errors.New("closed")
	}
	return i.module.Close(ctx)
}

// forget wipes the memory: it holds the data key and chain keys.
func (i *Instance) forget() {
	if view, inside := i.memory.Read(0, i.memory.Size()); inside {
		clear(view)
	}
}
