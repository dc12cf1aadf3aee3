// Waku-node is a local Waku service node for tests, examples and the quick start. See README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	golog "github.com/ipfs/go-log/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"waku-node/internal/config"
	"waku-node/internal/node"
)

// stopTimeout bounds a clean stop.
const stopTimeout = 10 * time.Second

func main() {
	if len(os.Args) > 1 && os.Args[1] == rlnGroupCommand {
		os.Exit(rlnGroup(os.Args[2:]))
	}
	cfg, err := config.Parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "waku-node:", err)
		os.Exit(2)
	}
	if err := run(cfg); err != nil {
		fmt.Fprintln(os.Stderr, "waku-node:", err)
		os.Exit(1)
	}
}

func run(cfg config.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if cfg.ExitOnStdinClose {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // an error ends the input as well
			stop()
		}()
	}
	n, err := node.Start(cfg, newLogger(cfg.LogLevel))
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	ready, err := n.Ready()
	if err != nil {
		return errors.Join(err, n.Stop())
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return errors.Join(fmt.Errorf("announcing the node: %w", err), n.Stop())
	}
	<-ctx.Done()

	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("stopping: %w", err)
		}
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("not stopped after %s", stopTimeout)
	}
}

// newLogger logs to standard error; standard output carries the ready line only. libp2p's own loggers
// join it, and are quieter: they report every client that hangs up.
func newLogger(level zapcore.Level) *zap.Logger {
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.ISO8601TimeEncoder
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(encoding), zapcore.Lock(os.Stderr), level)
	golog.SetPrimaryCore(core)
	golog.SetAllLoggers(golog.LevelError)
	return zap.New(core)
}
