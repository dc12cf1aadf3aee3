package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/internal/wasm"
)

// hostFunc is a host that answers every read with one function.
type hostFunc func(ctx context.Context, read *abi.Read) (*abi.ReadAnswer, error)

func (f hostFunc) Read(ctx context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	return f(ctx, read)
}

// noHost fails the test if it is called.
func noHost(t *testing.T) hostFunc {
	return func(context.Context, *abi.Read) (*abi.ReadAnswer, error) {
		t.Error("the host was called")
		return nil, errors.New("called")
	}
}

func start(t *testing.T, code []byte, host abi.ModuleHost, options ...wasm.Option) (*wasm.Instance, error) {
	t.Helper()
	module, err := wasm.Compile(t.Context(), code, wasm.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := module.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return module.NewInstance(t.Context(), host, options...)
}

func wantCode(t *testing.T, err error, code abi.ErrorCode) {
	t.Helper()
	var failure *abi.Error
	if !errors.As(err, &failure) || failure.Code != code {
		t.Fatalf("got %v, want %v", err, code)
	}
}

func TestS4_AModuleThatBreaksTheContractEndsItsInstanceAndNothingElse(t *testing.T) {
	forever := []byte{opLoop, blockEmpty, opBranch, 0, opEnd}
	hostCall := func(pointer, length int32) []byte {
		return concat(i32Const(1), i32Const(pointer), i32Const(length), []byte{opCall, indexHostCall})
	}
	for name, test := range map[string]struct {
		guest  guest
		reason string
	}{
		"trap":                            {guest{call: []byte{opUnreachable}}, "unreachable"},
		"endless loop":                    {guest{call: concat(forever, result(1024, 1))}, "deadline"},
		"endless recursion":               {guest{call: concat([]byte{opLocalGet, 0, opLocalGet, 1, opLocalGet, 2, opCall, indexCall})}, "stack overflow"},
		"endless allocation":              {guest{alloc: concat(forever, i32Const(4096)), call: result(1024, 1)}, "deadline"},
		"empty result":                    {guest{call: result(1024, 0)}, "0 bytes"},
		"null result":                     {guest{call: result(0, 0)}, "0 bytes"},
		"result outside":                  {guest{call: result(65_530, 100)}, "outside its memory"},
		"result far outside":              {guest{call: result(0xffff_ff00, 100)}, "outside its memory"},
		"result that wraps around":        {guest{call: result(0xffff_ffff, 2)}, "outside its memory"},
		"oversized result":                {guest{call: result(0, 64<<20+1)}, "67108865 bytes"},
		"largest length":                  {guest{call: result(0, 0xffff_ffff)}, "4294967295 bytes"},
		"unknown status":                  {guest{call: result(1024, 1), data: []byte{2}}, "the status 2"},
		"negative status":                 {guest{call: result(1024, 1), data: []byte{0xff}}, "the status 255"},
		"failure that does not decode":    {guest{call: result(1024, 4), data: []byte{1, 0xff, 0xff, 0xff}}, "does not decode"},
		"no memory for the request":       {guest{alloc: i32Const(0), call: result(1024, 1)}, "out of memory"},
		"request allocated outside":       {guest{alloc: i32Const(65_535), call: result(1024, 1)}, "outside its memory"},
		"request allocated far outside":   {guest{alloc: i32Const(-8), call: result(1024, 1)}, "outside its memory"},
		"trap when a result is freed":     {guest{free: []byte{opUnreachable}, call: result(1024, 1)}, "unreachable"},
		"host call outside":               {guest{call: hostCall(65_530, 100)}, "outside its memory"},
		"host call with negative pointer": {guest{call: hostCall(-1, 100)}, "outside its memory"},
		"host call with negative length":  {guest{call: hostCall(0, -1)}, "outside its memory"},
		"host call while allocating":      {guest{alloc: concat(hostCall(1024, 1), []byte{opDrop}, i32Const(4096)), call: result(1024, 1)}, "outside of chatsdk_call"},
		"memory beyond the limit": {
			guest{call: concat(i32Const(60_000), []byte{opMemoryGrow, 0}, i32Const(-1), []byte{opI32Equal, opIf, blockEmpty, opUnreachable, opEnd}, result(1024, 1))},
			"unreachable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			instance, err := start(t, test.guest.bytes(), noHost(t), wasm.WithTimeout(300*time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err = instance.CallModule(t.Context(), 5, []byte("request"))
			var trap *wasm.Trap
			if !errors.As(err, &trap) || !strings.Contains(err.Error(), test.reason) {
				t.Fatalf("got %v, want a trap because of %q", err, test.reason)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if _, err := instance.CallModule(t.Context(), 5, nil); !errors.As(err, &trap) {
				t.Errorf("a broken instance answered: %v", err)
			}
			if instance.MemoryBytes() > 256<<20 {
				t.Errorf("%d bytes of memory", instance.MemoryBytes())
			}
			if err := instance.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestS4_AModuleThatIsNotOfThisContractIsRefused(t *testing.T) {
	good := guest{call: result(1024, 1)}
	codes := map[string][]byte{
		"no module":            []byte("hello"),
		"empty":                {},
		"cut short":            good.bytes()[:60],
		"strange import":       guest{call: result(1024, 1), strangeImport: true}.bytes(),
		"start traps":          guest{call: result(1024, 1), start: []byte{opUnreachable}}.bytes(),
		"start never ends":     guest{call: result(1024, 1), start: []byte{opLoop, blockEmpty, opBranch, 0, opEnd}}.bytes(),
		"more memory at start": guest{call: result(1024, 1), pages: 5000}.bytes(),
	}
	for _, export := range []string{"memory", "chatsdk_alloc", "chatsdk_free", "chatsdk_call"} {
		codes["without "+export] = guest{call: result(1024, 1), without: export}.bytes()
	}
	for name, code := range codes {
		t.Run(name, func(t *testing.T) {
			_, err := start(t, code, noHost(t), wasm.WithTimeout(300*time.Millisecond))
			wantCode(t, err, abi.ErrorCode_INTERNAL)
		})
	}
}

func TestS4_FailuresCrossTheBoundaryTyped(t *testing.T) {
	failure, err := proto.Marshal(&abi.Failure{Code: abi.ErrorCode_OUTBOX_FULL, Message: "too many wait", Retryable: true})
	if err != nil {
		t.Fatal(err)
	}
	instance, err := start(t, guest{call: result(1024, uint32(len(failure)+1)), data: append([]byte{1}, failure...)}.bytes(), noHost(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = instance.CallModule(t.Context(), 5, nil)
	wantCode(t, err, abi.ErrorCode_OUTBOX_FULL)
	var typed *abi.Error
	if errors.As(err, &typed); typed.Message != "too many wait" || !typed.Retryable {
		t.Errorf("got %+v", typed)
	}
	// A failure breaks nothing; the host has wiped the memory of the first result.
	var trap *wasm.Trap
	if _, err = instance.CallModule(t.Context(), 5, nil); errors.As(err, &trap) {
		t.Error(err)
	}
}

// TestS4_TheHostAnswersFromWithinACall: the guest returns the host's answer as its own result.
func TestS4_TheHostAnswersFromWithinACall(t *testing.T) {
	read, err := proto.Marshal(&abi.Read{Read: &abi.Read_Get{Get: "conv/1"}})
	if err != nil {
		t.Fatal(err)
	}
	asking := func(method int32, request []byte) []byte {
		return guest{call: concat(i32Const(method), i32Const(1024), i32Const(int32(len(request))), []byte{opCall, indexHostCall}), data: request}.bytes()
	}
	var answer *abi.ReadAnswer
	var problem error
	host := hostFunc(func(_ context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
		if read.GetGet() != "conv/1" {
			t.Errorf("asked for %v", read)
		}
		return answer, problem
	})
	instance, err := start(t, asking(1, read), host)
	if err != nil {
		t.Fatal(err)
	}
	answer = &abi.ReadAnswer{Records: []*abi.Record{{Key: "k", Value: []byte("v")}}}
	// No request: this guest has one place for both.
	got, err := instance.CallModule(t.Context(), 5, nil)
	want, _ := proto.Marshal(answer)
	if err != nil || string(got) != string(want) {
		t.Errorf("got %q, %v", got, err)
	}
	problem = fault.New(abi.ErrorCode_DATABASE_CORRUPT, "damaged")
	_, err = instance.CallModule(t.Context(), 5, nil)
	wantCode(t, err, abi.ErrorCode_DATABASE_CORRUPT)
	problem = fmt.Errorf("the password is hunter2")
	_, err = instance.CallModule(t.Context(), 5, nil)
	wantCode(t, err, abi.ErrorCode_INTERNAL)
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("an untyped error crossed the boundary")
	}
	problem, answer = nil, &abi.ReadAnswer{Records: []*abi.Record{{Value: make([]byte, 64<<20)}}}
	_, err = instance.CallModule(t.Context(), 5, nil)
	wantCode(t, err, abi.ErrorCode_INVALID_ARGUMENT)
	for _, code := range [][]byte{asking(2, read), asking(-1, read), asking(1, []byte{0xff, 0xff})} {
		instance, err := start(t, code, noHost(t))
		if err != nil {
			t.Fatal(err)
		}
		_, err = instance.CallModule(t.Context(), 5, nil)
		wantCode(t, err, abi.ErrorCode_INVALID_ARGUMENT)
	}
}

func FuzzAnyResult(f *testing.F) {
	f.Add(uint64(1024)<<32|1, []byte{0})
	f.Add(uint64(1024)<<32|4, []byte{1, 8, 1, 0})
	f.Add(^uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, packed uint64, data []byte) {
		if len(data) > 3000 {
			return
		}
		instance, err := start(t, guest{call: i64Const(int64(packed)), data: data}.bytes(), noHost(t))
		if err != nil {
			t.Fatal(err)
		}
		_, err = instance.CallModule(t.Context(), 1, []byte("request"))
		var trap *wasm.Trap
		var failure *abi.Error
		if err != nil && !errors.As(err, &trap) && !errors.As(err, &failure) {
			t.Errorf("%T %v", err, err)
		}
	})
}
