// Bench runs one conversation in wazero, for `npm run bench:hosts`: bench MODULE [COUNT...]. It prints a line when the first message is
// encrypted, and a result after the last count, with the memory at each: see bench/hosts/result.ts in the repository.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"chatsdk/internal/wasm"
)

// part is how many messages are measured at once.
const part = 20

type result struct {
	CompileMs         float64     `json:"compileMs"`
	InstantiateMs     float64     `json:"instantiateMs"`
	PingPongPerSecond float64     `json:"pingPongPerSecond"`
	MessagesPerSecond float64     `json:"messagesPerSecond"`
	Memory            [][2]uint64 `json:"memory"`
	Digest            string      `json:"digest"`
}

func main() {
	// The processor time of this thread is what is measured.
	runtime.LockOSThread()
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("usage: bench MODULE [COUNT...]")
	}
	code, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	began := time.Now()
	module, err := wasm.Compile(ctx, code, wasm.Options{CacheFolder: wasm.DefaultCacheFolder(), Logger: slog.Default()})
	if err != nil {
		return err
	}
	measured := result{CompileMs: milliseconds(time.Since(began)), Memory: [][2]uint64{}}
	conversation, err := newConversation(ctx, module)
	if err != nil {
		return err
	}
	fmt.Println("first message")
	measured.InstantiateMs = milliseconds(conversation.bob.instantiation)
	var parts []cost
	for _, argument := range arguments[1:] {
		count, err := strconv.Atoi(argument)
		if err != nil {
			return err
		}
		for conversation.messages < count {
			spent, err := measurePart(ctx, conversation)
			if err != nil {
				return err
			}
			parts = append(parts, spent)
		}
		measured.Memory = append(measured.Memory, [2]uint64{uint64(conversation.messages), conversation.memoryBytes()})
	}
	measured.PingPongPerSecond = perSecond(parts, func(part cost) time.Duration { return part.exchange })
	measured.MessagesPerSecond = perSecond(parts, func(part cost) time.Duration { return part.total })
	measured.Digest = conversation.digest
	if err := json.NewEncoder(os.Stdout).Encode(measured); err != nil {
		return err
	}
	return module.Close(ctx)
}

func measurePart(ctx context.Context, conversation *conversation) (cost, error) {
	before := conversation.cost
	for range part {
		if err := conversation.exchange(ctx); err != nil {
			return cost{}, err
		}
	}
	return cost{conversation.cost.exchange - before.exchange, conversation.cost.total - before.total}, nil
}

// perSecond goes by the median, so that a part in which the machine did something else counts no more than another.
func perSecond(parts []cost, of func(cost) time.Duration) float64 {
	if len(parts) == 0 {
		return 0
	}
	var spent []time.Duration
	for _, each := range parts {
		spent = append(spent, of(each))
	}
	slices.Sort(spent)
	return part / spent[len(spent)/2].Seconds()
}

func milliseconds(duration time.Duration) float64 {
	return duration.Seconds() * 1000
}
