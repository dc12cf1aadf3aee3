package wasm_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/wasm"
)

// realInstance is an instance of the embedded module, over an empty storage.
func realInstance(t *testing.T) *wasm.Instance {
	t.Helper()
	empty := hostFunc(func(context.Context, *abi.Read) (*abi.ReadAnswer, error) { return &abi.ReadAnswer{}, nil })
	instance, err := realModule(t).NewInstance(t.Context(), empty)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := instance.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return instance
}

func encoded(t *testing.T, message proto.Message) []byte {
	t.Helper()
	bytes, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// openRequest opens a new, unprotected database.
func openRequest(t *testing.T, instance *wasm.Instance) []byte {
	t.Helper()
	derivation := &abi.KeyDerivation{Derivation: &abi.KeyDerivation_Unprotected{Unprotected: &abi.Unprotected{}}}
	header, err := abi.NewCoreModuleClient(instance).CreateVault(t.Context(), &abi.CreateVaultRequest{
		Derivation: derivation, HostKey: make([]byte, 32), Entropy: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	config := &abi.Config{ClusterId: 42, ShardCount: 8}
	return encoded(t, &abi.OpenCoreRequest{Config: config, Header: header, HostKey: make([]byte, 32)})
}

func TestS4_TheEmbeddedModuleIsOfThisContract(t *testing.T) {
	description, err := abi.NewCoreModuleClient(realInstance(t)).Describe(t.Context(), &abi.DescribeRequest{})
	if err != nil || description.GetContractVersion() != abi.ContractVersion || description.GetContractHash() != abi.ContractHash {
		t.Errorf("%v, %v; the glue is of %s", description, err, abi.ContractHash)
	}
}

func TestS4_MalformedRequestsFailTypedAndChangeNothing(t *testing.T) {
	instance := realInstance(t)
	call := func(method uint32, request []byte) error {
		_, err := instance.CallModule(t.Context(), method, request)
		return err
	}
	start := encoded(t, &abi.Input{NowMs: 1, Entropy: make([]byte, 32), Input: &abi.Input_Start{Start: &abi.Start{}}})
	wantCode(t, call(5, append([]byte(nil), start...)), abi.ErrorCode_INVALID_ARGUMENT)
	wantCode(t, call(6, nil), abi.ErrorCode_INVALID_ARGUMENT)
	for _, method := range []uint32{0, 9, 1 << 31, 1<<32 - 1} {
		wantCode(t, call(method, nil), abi.ErrorCode_INVALID_ARGUMENT)
	}
	random := rand.New(rand.NewPCG(1, 2))
	open := openRequest(t, instance)
	for range 300 {
		garbage := make([]byte, random.IntN(200))
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		for method := uint32(1); method <= 8; method++ {
			err := call(method, append([]byte(nil), garbage...))
			var failure *abi.Error
			if err != nil && !errors.As(err, &failure) {
				t.Fatalf("method %d, %x: %v", method, garbage, err)
			}
		}
	}
	for cut := range open {
		var failure *abi.Error
		if err := call(4, append([]byte(nil), open[:cut]...)); !errors.As(err, &failure) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	if err := call(4, append([]byte(nil), open...)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, call(4, append([]byte(nil), open...)), abi.ErrorCode_INVALID_ARGUMENT)
	for cut := range start {
		// What is cut may be a whole message again; it must not break the instance.
		var failure *abi.Error
		if err := call(5, append([]byte(nil), start[:cut]...)); err != nil {
			if !errors.As(err, &failure) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if err := call(6, nil); err != nil {
				t.Fatalf("CommitFailed after the cut at %d: %v", cut, err)
			}
		}
	}
	if err := call(5, append([]byte(nil), start...)); err != nil {
		t.Fatal(err)
	}
}

func TestS4_TheLargestRequestIsRefusedOrServedAndTheInstanceLives(t *testing.T) {
	instance := realInstance(t)
	var failure *abi.Error
	if _, err := instance.CallModule(t.Context(), 5, make([]byte, abi.MaximumLength)); !errors.As(err, &failure) {
		t.Fatalf("64 MiB of zeros: %v", err)
	}
	if _, err := instance.CallModule(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	if instance.MemoryBytes() > 256<<20 {
		t.Errorf("%d bytes", instance.MemoryBytes())
	}
}

// TestS3_TwoInstancesNeverShareRandomness: what is random comes in with each call alone, and nothing is baked into the module.
func TestS3_TwoInstancesNeverShareRandomness(t *testing.T) {
	vault := func(entropy byte) string {
		seed := make([]byte, 32)
		seed[0] = entropy
		header, err := abi.NewCoreModuleClient(realInstance(t)).CreateVault(t.Context(), &abi.CreateVaultRequest{
			Derivation: &abi.KeyDerivation{Derivation: &abi.KeyDerivation_RawKey{RawKey: &abi.RawKey{}}}, HostKey: make([]byte, 32), Entropy: seed,
		})
		if err != nil {
			t.Fatal(err)
		}
		return header.GetDatabaseId() + string(header.GetSealedDataKey())
	}
	if vault(1) != vault(1) {
		t.Error("the same entropy gives different bytes: something else is random")
	}
	if vault(1) == vault(2) {
		t.Error("different entropy gives the same bytes")
	}
}
