package engine

import (
	"context"
	"crypto/rand"
	"time"

	"chatsdk/abi"
)

// longestSleep: a timer does not run while a computer sleeps, so the clock is looked at now and then.
const longestSleep = 30 * time.Second

// SystemClock is the computer's clock.
type SystemClock struct{}

// Now returns the time.
func (SystemClock) Now(context.Context) (*abi.Instant, error) {
	return &abi.Instant{UnixMs: uint64(max(0, time.Now().UnixMilli()))}, nil
}

// SleepUntil returns when the time has come, or with the context's error.
func (SystemClock) SleepUntil(ctx context.Context, until *abi.Instant) error {
	for {
		left := time.Until(time.UnixMilli(int64(min(until.GetUnixMs(), 1<<62))))
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(min(left, longestSleep))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// SystemEntropy is the operating system's generator.
type SystemEntropy struct{}

// Draw returns 32 random bytes.
func (SystemEntropy) Draw(context.Context) (*abi.Seed, error) {
	seed := make([]byte, 32)
	// Never fails.
	_, _ = rand.Read(seed)
	return &abi.Seed{Bytes: seed}, nil
}
