package agentline

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"chatsdk/abi"
	"chatsdk/waku"
)

// Light makes the default transport.
func Light(settings TransportSettings) (abi.Transport, error) {
	return waku.New(waku.Options{Peers: settings.Peers, ClusterID: settings.ClusterID, ShardCount: settings.ShardCount, Prover: settings.Prover})
}

// Main runs an agent over standard input and output and returns its exit status.
func Main(names []string, transports Transports, newMembership NewMembership) int {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	ending, closing := Run(stop, names, transports, newMembership, os.Stdin, os.Stdout)
	switch {
	case ending != nil:
		slog.Error("agent", "error", ending)
		return 2
	case closing != nil:
		slog.Error("closing", "error", closing)
		return 1
	}
	return 0
}
