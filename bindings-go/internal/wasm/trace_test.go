package wasm_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/module"
	"chatsdk/internal/wasm"
)

// traces were recorded from the core in V8: conformance/traces/README.md describes the files.
const traces = "../../../conformance/traces/data"

// hexBytes is lower-case hexadecimal in JSON.
type hexBytes []byte

// UnmarshalText decodes it.
func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type trace struct {
	Config, Header, HostKey hexBytes
	Lives                   []struct {
		Open struct {
			Reads  []recordedRead
			Result hexBytes
		}
		Steps []step
	}
}

type step struct {
	Input  hexBytes
	Reads  []recordedRead
	Result struct {
		Bytes  int
		SHA256 hexBytes
	}
	Then string
}

// recordedRead is what an instance must ask next, and what it is answered: pairs of a key and either the number of the step that put the
// value, or the value.
type recordedRead struct {
	Read   hexBytes
	Answer [][2]json.RawMessage
}

// replayer answers reads as recorded; anything else is a difference.
type replayer struct {
	expected []recordedRead
	// put is what each step put, by number and key.
	put        []map[string][]byte
	difference error
}

// Read fails for a read that differs, or one too many.
func (r *replayer) Read(_ context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	answer, err := r.answer(read)
	if err != nil && r.difference == nil {
		r.difference = err
	}
	return answer, err
}

func (r *replayer) answer(read *abi.Read) (*abi.ReadAnswer, error) {
	if len(r.expected) == 0 {
		return nil, fmt.Errorf("one read too many: %v", read)
	}
	expected := r.expected[0]
	r.expected = r.expected[1:]
	recorded := &abi.Read{}
	if err := proto.Unmarshal(expected.Read, recorded); err != nil {
		return nil, err
	}
	if !proto.Equal(recorded, read) {
		return nil, fmt.Errorf("read %v instead of %v", read, recorded)
	}
	answer := &abi.ReadAnswer{}
	for _, found := range expected.Answer {
		var key string
		if err := json.Unmarshal(found[0], &key); err != nil {
			return nil, err
		}
		value, err := r.value(key, found[1])
		if err != nil {
			return nil, err
		}
		answer.Records = append(answer.Records, &abi.Record{Key: key, Value: value})
	}
	return answer, nil
}

func (r *replayer) value(key string, raw json.RawMessage) ([]byte, error) {
	var number int
	if json.Unmarshal(raw, &number) == nil {
		if number >= len(r.put) || r.put[number][key] == nil {
			return nil, fmt.Errorf("step %d put no %s", number, key)
		}
		return r.put[number][key], nil
	}
	var value hexBytes
	return value, json.Unmarshal(raw, &value)
}

// end fails if a read is missing, or differed.
func (r *replayer) end() error {
	if r.difference == nil && len(r.expected) > 0 {
		return fmt.Errorf("%d reads too few", len(r.expected))
	}
	return r.difference
}

func TestS4_TracesGiveTheSameBytesAsInV8(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(traces, "*.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("SKIPPED: no checkout of the whole project, so nothing is known about traces")
	}
	compiled := realModule(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json.gz"), func(t *testing.T) {
			t.Parallel()
			replay(t, compiled, load(t, file))
		})
	}
}

func realModule(t *testing.T) *wasm.Module {
	t.Helper()
	compiled, err := wasm.Shared(t.Context(), module.Code, wasm.Options{
		CacheFolder: filepath.Join(os.TempDir(), "chatsdk-test-cache"), Logger: slog.Default(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func load(t *testing.T, path string) *trace {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	recorded := &trace{}
	if err := json.NewDecoder(unpacked).Decode(recorded); err != nil {
		t.Fatal(err)
	}
	if len(recorded.Lives) == 0 {
		t.Fatal("an empty trace")
	}
	return recorded
}

func replay(t *testing.T, compiled *wasm.Module, recorded *trace) {
	config, header := &abi.Config{}, &abi.VaultHeader{}
	if err := errors.Join(proto.Unmarshal(recorded.Config, config), proto.Unmarshal(recorded.Header, header)); err != nil {
		t.Fatal(err)
	}
	host := &replayer{}
	for life, recordedLife := range recorded.Lives {
		instance, err := compiled.NewInstance(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		host.expected = recordedLife.Open.Reads
		request, err := proto.Marshal(&abi.OpenCoreRequest{Config: config, Header: header, HostKey: recorded.HostKey})
		if err != nil {
			t.Fatal(err)
		}
		opened, err := instance.CallModule(t.Context(), 4, request)
		if err := errors.Join(err, host.end()); err != nil {
			t.Fatalf("opening, life %d: %v", life, err)
		}
		if string(opened) != string(recordedLife.Open.Result) {
			t.Fatalf("opening, life %d: %x", life, opened)
		}
		for _, step := range recordedLife.Steps {
			replayStep(t, instance, host, step)
		}
		if err := instance.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func replayStep(t *testing.T, instance *wasm.Instance, host *replayer, step step) {
	number := len(host.put)
	host.expected = step.Reads
	result, err := instance.CallModule(t.Context(), 5, append([]byte(nil), step.Input...))
	put := map[string][]byte{}
	host.put = append(host.put, put)
	if err := errors.Join(err, host.end()); err != nil {
		t.Fatalf("step %d: %v", number, err)
	}
	if digest := sha256.Sum256(result); len(result) != step.Result.Bytes || string(digest[:]) != string(step.Result.SHA256) {
		t.Fatalf("step %d: %d bytes instead of %d; to compare: %x", number, len(result), step.Result.Bytes, result)
	}
	decoded := &abi.StepResult{}
	if err := proto.Unmarshal(result, decoded); err != nil {
		t.Fatal(err)
	}
	for _, change := range decoded.GetOutcome().GetChanges() {
		if record := change.GetPut(); record != nil {
			put[record.GetKey()] = record.GetValue()
		}
	}
	if step.Then == "commitFailed" {
		if _, err := instance.CallModule(t.Context(), 6, nil); err != nil {
			t.Fatalf("step %d: CommitFailed: %v", number, err)
		}
	}
}
