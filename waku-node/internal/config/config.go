// Package config reads the node's command line.
package config

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/zap/zapcore"

	"waku-node/internal/shard"
)

// maxShards is the number of shards that WAKU2-RELAY-SHARDING allows in a cluster.
const maxShards = 1024

// Config is everything that a node can be told.
type Config struct {
	Host              netip.Addr
	TCPPort           uint16 // 0 = any free port
	WebsocketPort     uint16 // 0 = any free port
	Shards            shard.Set
	Store             string // SQLite file; empty = in memory
	StoreRetention    time.Duration
	StoreMaxMessages  int
	NodeKey           crypto.PrivKey // nil = a new one
	Peers             []peer.AddrInfo
	MinRelayPeers     int
	MaxClockSkew      time.Duration
	RateLimit         int
	RLNGroup          string // file; empty = no RLN
	RLNEpochGap       int    // below 0 = nwaku's choice
	FilterIdleTimeout time.Duration
	LogLevel          zapcore.Level
	ExitOnStdinClose  bool
}

// Default is the configuration of a node without arguments.
func Default() Config {
	return Config{
		Host:              netip.MustParseAddr("127.0.0.1"),
		Shards:            shard.Set{Cluster: 42, Count: 8},
		MaxClockSkew:      20 * time.Second,
		RLNEpochGap:       -1,
		FilterIdleTimeout: 5 * time.Minute,
		LogLevel:          zapcore.InfoLevel,
	}
}

// Parse reads arguments, without the program's name. Errors and the help text go to output; the error
// for -help is flag.ErrHelp.
func Parse(arguments []string, output io.Writer) (Config, error) {
	c := Default()
	flags := flag.NewFlagSet("waku-node", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.TextVar(&c.Host, "host", c.Host, "IP `address` to listen on")
	uint16Var(flags, &c.TCPPort, "tcp-port", "`port` for TCP, 0 for any (default 0)")
	uint16Var(flags, &c.WebsocketPort, "ws-port", "`port` for websockets, 0 for any (default 0)")
	uint16Var(flags, &c.Shards.Cluster, "cluster-id", "`id` of the cluster (default 42)")
	uint16Var(flags, &c.Shards.Count, "shards", "`number` of shards; the node serves 0 to number-1 (default 8)")
	flags.StringVar(&c.Store, "store", c.Store, "SQLite `file` for messages, in memory when empty")
	flags.DurationVar(&c.StoreRetention, "store-retention", c.StoreRetention, "delete messages after this `time`, 0 to keep them (default 0)")
	flags.IntVar(&c.StoreMaxMessages, "store-max-messages", c.StoreMaxMessages, "keep only the newest `number` of messages, 0 for all (default 0)")
	flags.Func("node-key", "secp256k1 private key as 64 `hex` digits; a new one when absent", func(s string) (err error) {
		c.NodeKey, err = parseKey(s)
		return err
	})
	flags.Func("peer", "`multiaddr` with /p2p/ID of a node to stay linked to; may be repeated", func(s string) error {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			return err
		}
		if len(info.Addrs) == 0 {
			return errors.New("multiaddr has no address before /p2p/")
		}
		c.Peers = append(c.Peers, *info)
		return nil
	})
	flags.IntVar(&c.MinRelayPeers, "min-relay-peers", c.MinRelayPeers, "refuse light pushes while a shard has fewer relay peers than this `number` (default 0)")
	flags.DurationVar(&c.MaxClockSkew, "max-clock-skew", c.MaxClockSkew, "refuse messages whose timestamp is further from the clock than this `time`, 0 for no check")
	flags.IntVar(&c.RateLimit, "rate-limit", c.RateLimit, "light push, filter and store requests a second that each peer may make of each protocol, 0 for any `number` (default 0)")
	flags.StringVar(&c.RLNGroup, "rln-group", c.RLNGroup, "refuse messages without an RLN proof of a member of the group in this `file`; needs a build with RLN")
	flags.IntVar(&c.RLNEpochGap, "rln-epoch-gap", c.RLNEpochGap, "refuse proofs whose epoch is further from the current one than this `number`; -1 for 20 s in epochs, at least 1")
	flags.DurationVar(&c.FilterIdleTimeout, "filter-idle-timeout", c.FilterIdleTimeout, "drop filter subscriptions without a ping for this `time`")
	flags.TextVar(&c.LogLevel, "log-level", c.LogLevel, "least `level` to log: debug, info, warn or error")
	flags.BoolVar(&c.ExitOnStdinClose, "exit-on-stdin-close", c.ExitOnStdinClose, "stop when standard input ends")
	if err := flags.Parse(arguments); err != nil {
		return Config{}, err
	}
	if flags.NArg() > 0 {
		return Config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err := c.validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// validate checks what flags by themselves cannot.
func (c Config) validate() error {
	switch {
	case c.Shards.Count == 0 || c.Shards.Count > maxShards:
		return fmt.Errorf("-shards must be from 1 to %d", maxShards)
	case c.TCPPort != 0 && c.TCPPort == c.WebsocketPort:
		return fmt.Errorf("-tcp-port and -ws-port are both %d", c.TCPPort)
	case c.StoreRetention < 0, c.StoreMaxMessages < 0, c.MinRelayPeers < 0, c.MaxClockSkew < 0, c.RateLimit < 0:
		return errors.New("a limit is negative")
	case c.RLNEpochGap < -1:
		return errors.New("-rln-epoch-gap must be -1 or above")
	case c.FilterIdleTimeout <= 0:
		return errors.New("-filter-idle-timeout must be above 0")
	}
	return nil
}

func uint16Var(flags *flag.FlagSet, target *uint16, name, usage string) {
	flags.Func(name, usage, func(s string) error {
		parsed, err := strconv.ParseUint(s, 10, 16)
		*target = uint16(parsed)
		return err
	})
}

func parseKey(s string) (crypto.PrivKey, error) {
	raw, err := hex.DecodeString(s)
	if err != nil {
		return nil, err
	}
	return crypto.UnmarshalSecp256k1PrivateKey(raw)
}
