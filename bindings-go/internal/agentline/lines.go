// Package agentline is the agent protocol (conformance/agent/PROTOCOL.md): a client driven by JSON lines, for the tests that every language
// passes.
package agentline

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/waku"
)

// Transports makes the transports that an agent has, by the names of the protocol.
type Transports map[string]func(settings TransportSettings) (abi.Transport, error)

// TransportSettings are those of open.
type TransportSettings struct {
	Peers      []string
	ClusterID  uint16
	ShardCount uint16
	// Prover is nil unless open has rln.
	Prover waku.Prover
}

// NewMembership makes the membership of open's rln. nil: the agent was built without RLN.
type NewMembership func(group io.Reader, credentials []byte) (chatsdk.Membership, error)

// Agent serves one request after the other.
type Agent struct {
	transports    Transports
	newMembership NewMembership

	writing sync.Mutex
	out     *bufio.Writer

	client client
	store  abi.Storage
}

// errAgent is a failure that is none of the SDK: a defect of the agent or the test.
type errAgent struct{ text string }

func (e errAgent) Error() string { return e.text }

func agentError(format string, arguments ...any) error {
	return errAgent{fmt.Sprintf(format, arguments...)}
}

type request struct {
	ID     *int64          `json:"id"`
	Method *string         `json:"method"`
	Params json.RawMessage `json:"params"`
}

// ErrNoRequest: a line was no request.
var ErrNoRequest = errors.New("a line is no JSON object with id and method")

// Run serves the lines of in until it ends or stop does, then closes what is open: ending says whether the lines were served, closing whether
// that went well.
func Run(stop context.Context, names []string, transports Transports, newMembership NewMembership, in io.Reader, out io.Writer) (ending, closing error) {
	agent := &Agent{transports: transports, newMembership: newMembership, out: bufio.NewWriter(out)}
	ending = agent.write(map[string]any{"ready": map[string]any{
		"language": "go", "address": "tcp", "transports": names, "contractHash": abi.ContractHash,
	}})
	if ending == nil {
		ending = agent.serve(stop, in)
	}
	return ending, agent.close()
}

func (a *Agent) serve(stop context.Context, in io.Reader) error {
	lines := make(chan []byte)
	ended := make(chan error, 1)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, 256<<20)
		for scanner.Scan() {
			lines <- append([]byte(nil), scanner.Bytes()...)
		}
		ended <- scanner.Err()
	}()
	for {
		select {
		case <-stop.Done():
			return nil
		case line, more := <-lines:
			if !more {
				return <-ended
			}
			var request request
			if err := json.Unmarshal(line, &request); err != nil || request.ID == nil || request.Method == nil {
				return errors.Join(ErrNoRequest, err)
			}
			if err := a.answer(request); err != nil {
				return err
			}
		}
	}
}

func (a *Agent) answer(request request) error {
	result, err := a.handle(*request.Method, params(request.Params))
	if err == nil {
		return a.write(map[string]any{"id": *request.ID, "result": result})
	}
	failure := map[string]any{"code": "AGENT", "message": err.Error(), "retryable": false}
	var typed *chatsdk.Error
	var ours errAgent
	if errors.As(err, &typed) && !errors.As(err, &ours) {
		failure = map[string]any{"code": typed.Code.String(), "message": typed.Message, "retryable": typed.Retryable}
	}
	return a.write(map[string]any{"id": *request.ID, "error": failure})
}

func (a *Agent) write(line any) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	encoder := json.NewEncoder(a.out)
	encoder.SetEscapeHTML(false)
	return errors.Join(encoder.Encode(line), a.out.Flush())
}

func (a *Agent) close() error {
	err := a.client.close()
	if a.store != nil {
		err = errors.Join(err, a.store.Close(context.Background()))
	}
	return err
}

// params are read field by field: what is missing is a defect of the test.
type params json.RawMessage

func (p params) into(target any) error {
	if len(p) == 0 {
		return nil
	}
	if err := json.Unmarshal(p, target); err != nil {
		return agentError("params: %v", err)
	}
	return nil
}

// need reads fields that must be there.
func need[T any](p params, names ...string) (map[string]T, error) {
	fields := map[string]json.RawMessage{}
	if err := p.into(&fields); err != nil {
		return nil, err
	}
	values := map[string]T{}
	for _, name := range names {
		raw, found := fields[name]
		var value T
		if !found {
			return nil, agentError("params.%s: missing", name)
		}
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, agentError("params.%s: %v", name, err)
		}
		values[name] = value
	}
	return values, nil
}
