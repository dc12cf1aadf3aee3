// Package wasm hosts the core module: abi/ABI.md on this side of the boundary. It trusts nothing the module says: every pointer and length
// is checked, calls and memory are bounded, and whatever goes wrong inside ends the instance, never the program.
package wasm

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/internal/patient"
)

// memoryLimitPages bounds an instance's memory: 256 MiB in pages of 64 KiB.
const memoryLimitPages = 4096

// Module is compiled code, of which any number of instances can be made. It is safe for concurrent use.
type Module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// Options of Compile.
type Options struct {
	// CacheFolder keeps the compiled code, so that only the first start on a machine compiles; empty: compile at each start. Whoever can
	// write there can run code in this program.
	CacheFolder string
	// Logger is told if the folder cannot be used.
	Logger *slog.Logger
}

// DefaultCacheFolder is chatsdk in the user's cache folder; empty if the user has none.
func DefaultCacheFolder() string {
	folder, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(folder, "chatsdk")
}

var (
	sharedMutex   sync.Mutex
	sharedModules = map[[sha256.Size]byte]*Module{}
)

// Shared compiles code once for the whole process, which keeps it to its end. It fails with ABORTED once ctx has ended: what one caller asked for all
// will use, so the compilation goes on.
func Shared(ctx context.Context, code []byte, options Options) (*Module, error) {
	if err := fault.OfContext(ctx); err != nil {
		return nil, err
	}
	return patient.For(ctx, func() (*Module, error) { return shared(context.WithoutCancel(ctx), code, options) }, nil)
}

func shared(ctx context.Context, code []byte, options Options) (*Module, error) {
	sharedMutex.Lock()
	defer sharedMutex.Unlock()
	name := sha256.Sum256(code)
	if module, found := sharedModules[name]; found {
		return module, nil
	}
	module, err := Compile(ctx, code, options)
	if err != nil {
		return nil, err
	}
	sharedModules[name] = module
	return module, nil
}

// Compile compiles code for this caller alone, who is to Close it.
func Compile(ctx context.Context, code []byte, options Options) (*Module, error) {
	config := wazero.NewRuntimeConfig().
		WithMemoryLimitPages(memoryLimitPages).
		// Without it an endless loop could not be ended.
		WithCloseOnContextDone(true)
	if options.CacheFolder != "" {
		cache, err := wazero.NewCompilationCacheWithDir(options.CacheFolder)
		if err != nil {
			options.Logger.WarnContext(ctx, "the compiled module is not kept", "folder", options.CacheFolder, "error", err)
		} else {
			config = config.WithCompilationCache(cache)
		}
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, config)
	module, err := prepare(ctx, runtime, code)
	if err != nil {
		// The failure that matters is known.
		_ = runtime.Close(ctx)
		return nil, fault.Because(abi.ErrorCode_INTERNAL, err, "module: cannot be loaded; report this")
	}
	return module, nil
}

func prepare(ctx context.Context, runtime wazero.Runtime, code []byte) (*Module, error) {
	// Rust's standard library links it; nothing is granted, and its clocks and random numbers are fakes.
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, runtime); err != nil {
		return nil, err
	}
	_, err := runtime.NewHostModuleBuilder("chatsdk").NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(hostCall), []api.ValueType{i32, i32, i32}, []api.ValueType{i64}).
		Export("host_call").
		Instantiate(ctx)
	if err != nil {
		return nil, err
	}
	compiled, err := runtime.CompileModule(ctx, code)
	if err != nil {
		return nil, err
	}
	return &Module{runtime: runtime, compiled: compiled}, nil
}

// Close ends all instances. Not for a shared module.
func (m *Module) Close(ctx context.Context) error {
	return m.runtime.Close(ctx)
}
