package engine

import (
	"context"
	"errors"
	"sync/atomic"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/internal/wasm"
)

// core is the running instance.
type core struct {
	instance *wasm.Instance // nil: it broke, and is to be started again
	module   abi.CoreModule
	// memoryBytes is read by anybody.
	memoryBytes atomic.Uint64
}

// CreateVault makes the header of a new database, in an instance of its own.
func CreateVault(ctx context.Context, module *wasm.Module, entropy abi.Entropy, derivation *abi.KeyDerivation, hostKey []byte) (*abi.VaultHeader, error) {
	seed, err := entropy.Draw(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(seed.GetBytes())
	instance, client, err := newInstance(ctx, module, nil)
	if err != nil {
		return nil, err
	}
	header, err := client.CreateVault(ctx, &abi.CreateVaultRequest{Derivation: derivation, HostKey: hostKey, Entropy: seed.GetBytes()})
	if closing := instance.Close(ctx); err == nil {
		err = closing
	}
	return header, err
}

// newInstance refuses a module whose contract is not this program's.
func newInstance(ctx context.Context, module *wasm.Module, host abi.ModuleHost) (*wasm.Instance, abi.CoreModule, error) {
	if err := fault.OfContext(ctx); err != nil {
		return nil, nil, err
	}
	instance, err := module.NewInstance(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	client := abi.NewCoreModuleClient(instance)
	description, err := client.Describe(ctx, &abi.DescribeRequest{})
	if err == nil && (description.GetContractVersion() != abi.ContractVersion || description.GetContractHash() != abi.ContractHash) {
		err = fault.New(abi.ErrorCode_UNSUPPORTED_VERSION, "module: contract %d %s, this program knows %d %s; update the SDK",
			description.GetContractVersion(), description.GetContractHash(), abi.ContractVersion, abi.ContractHash)
	}
	if err != nil {
		// The failure that matters is known.
		_ = instance.Close(ctx)
		return nil, nil, err
	}
	return instance, client, nil
}

// openCore starts an instance and opens the database in it.
func (e *Engine) openCore(ctx context.Context) (*abi.CoreOpened, error) {
	instance, client, err := newInstance(ctx, e.parts.Module, reader{e})
	if err != nil {
		return nil, err
	}
	opened, err := client.OpenCore(ctx, &abi.OpenCoreRequest{Config: e.parts.Config, Header: e.parts.Header, HostKey: e.parts.HostKey})
	if err != nil {
		// The failure that matters is known.
		_ = instance.Close(ctx)
		if broke(err) {
			return nil, defect(err)
		}
		return nil, err
	}
	e.core.instance, e.core.module = instance, client
	e.core.memoryBytes.Store(instance.MemoryBytes())
	return opened, nil
}

func (e *Engine) closeCore() {
	if e.core.instance == nil {
		return
	}
	if err := e.core.instance.Close(context.Background()); err != nil {
		e.parts.Logger.Warn("closing the core module", "error", err)
	}
	e.core.instance = nil
}

// reader answers the core's reads from the storage. The end of the job's context fails them, and so the step.
type reader struct {
	engine *Engine
}

func (r reader) Read(ctx context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	if r.engine.current.Err() != nil {
		return nil, fault.Aborted(r.engine.current)
	}
	return r.engine.parts.Storage.Read(ctx, read)
}

// ask calls the module, and sees to it that a module which breaks is started again.
func (e *Engine) ask(ctx context.Context, call func(ctx context.Context, module abi.CoreModule) error) error {
	if e.core.instance == nil {
		if err := e.restart(ctx); err != nil {
			return err
		}
	}
	err := call(ctx, e.core.module)
	e.core.memoryBytes.Store(e.core.instance.MemoryBytes())
	if !broke(err) {
		return err
	}
	e.parts.Logger.Error("the core module broke and is started again", "error", err)
	e.closeCore()
	// The call may have ended; what follows is for all.
	e.current = context.WithoutCancel(ctx)
	if again := e.restart(e.current); again != nil {
		e.parts.Logger.Error("the core module could not be started again", "error", again)
		e.wakeIn(retryAfter)
	}
	return defect(err)
}

func defect(cause error) error {
	return fault.Retryable(abi.ErrorCode_INTERNAL, cause, "a defect of the SDK stopped the call, which had no effect; report this")
}

func broke(err error) bool {
	var trap *wasm.Trap
	return errors.As(err, &trap) || errors.Is(err, abi.ErrMalformedResult)
}

// restart opens the database in a new instance. Nothing is lost by that: nothing of an interrupted step was committed. Its first input publishes
// what is unsent, and replays events not yet acknowledged, of which those already shown are dropped.
func (e *Engine) restart(ctx context.Context) error {
	opened, err := e.openCore(ctx)
	if err != nil {
		return err
	}
	clear(opened.GetRateLimitCredentials())
	_, err = e.stepOnce(ctx, &abi.Input{Input: &abi.Input_Start{Start: &abi.Start{}}})
	if err != nil {
		e.closeCore()
	}
	if broke(err) {
		return defect(err)
	}
	return err
}
