package waku

import (
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/waku/internal/shards"
)

const (
	// mostShards of a network, as WAKU2-RELAY-SHARDING has it.
	mostShards = 1024
	// longest time of an option. Multiples of far longer ones overflow.
	longest     = 24 * time.Hour
	examplePeer = "/dns4/node.example/tcp/8000/wss/p2p/16Uiu2HAmBB53mmnjokf8qCmJd8DxDnQKpRsbkH6Pz9yB8kLv4HkC"
)

// Options of [New]. Zero values mean the defaults named here. No time may be longer than a day.
type Options struct {
	// ClusterID and ShardCount name the network, the same for all who talk to each other. Defaults: 42 and 8. A network has 1024 shards at most.
	ClusterID  uint16
	ShardCount uint16
	// Peers are multiaddrs of service nodes over TCP or websockets, such as "/dns4/node.example/tcp/8000/wss/p2p/16Uiu2...". Without a
	// peer id the node is taken at its word. Without any the client stays offline: nothing is discovered.
	Peers []string
	// MaxPeers is how many connections are kept at a time. Default 3.
	MaxPeers int
	// FilterPeers is how many of these are subscribed: a second one covers for a first that forgets us, at twice the traffic. Default 2.
	FilterPeers int
	// PublishTimeout is how long one publish may take once its turn has come. Default 10 s.
	PublishTimeout time.Duration
	// PublishConcurrency is how many messages are on their way to a node at a time; others wait in line. Default 16.
	PublishConcurrency int
	// RequestTimeout is how long a node may take for one answer; three times as long for a page of history. Default 4 s.
	RequestTimeout time.Duration
	// HistoryPageSize is how many messages are asked for in one page of history; nodes give 100 at most. Default 100.
	HistoryPageSize int
	// WatchdogInterval: a connection is checked this often, unless messages come in. One that died in silence is noticed within this plus
	// RequestTimeout, and sooner if something is published; one that was closed, at once. A check costs 0.4 KB. Default 8 s.
	WatchdogInterval time.Duration
	// ReconnectMin and ReconnectMax: pauses between attempts to connect to a node, doubling. Defaults 250 ms and 15 s.
	ReconnectMin, ReconnectMax time.Duration
	// Prover makes the proof of each message that the core publishes under a rate limit. Default: none, messages carry no proof.
	Prover Prover
	// Logger gets lines about connections; never contents. Default: none.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	defaultTo(&o.ClusterID, 42)
	defaultTo(&o.ShardCount, 8)
	defaultTo(&o.MaxPeers, 3)
	defaultTo(&o.FilterPeers, 2)
	defaultTo(&o.PublishTimeout, 10*time.Second)
	defaultTo(&o.PublishConcurrency, 16)
	defaultTo(&o.RequestTimeout, 4*time.Second)
	defaultTo(&o.HistoryPageSize, 100)
	defaultTo(&o.WatchdogInterval, 8*time.Second)
	defaultTo(&o.ReconnectMin, 250*time.Millisecond)
	defaultTo(&o.ReconnectMax, 15*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func defaultTo[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

func (o Options) check() error {
	if o.ShardCount > mostShards {
		return unusable(nil, "ShardCount: %d; give 1 to %d", o.ShardCount, mostShards)
	}
	for _, field := range []struct {
		name  string
		value int
	}{
		{"MaxPeers", o.MaxPeers},
		{"FilterPeers", o.FilterPeers},
		{"PublishConcurrency", o.PublishConcurrency},
		{"HistoryPageSize", o.HistoryPageSize},
	} {
		if field.value < 1 {
			return unusable(nil, "%s: %d; give 1 or more", field.name, field.value)
		}
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"PublishTimeout", o.PublishTimeout},
		{"RequestTimeout", o.RequestTimeout},
		{"WatchdogInterval", o.WatchdogInterval},
		{"ReconnectMin", o.ReconnectMin},
		{"ReconnectMax", o.ReconnectMax},
	} {
		if field.value < 1 || field.value > longest {
			return unusable(nil, "%s: %v; give more than zero, and a day at most", field.name, field.value)
		}
	}
	return nil
}

func (o Options) network() shards.Network {
	return shards.Network{ClusterID: o.ClusterID, ShardCount: o.ShardCount}
}

// parsePeers makes one candidate of each node: addresses with the same peer id belong together.
func parsePeers(peers []string) ([]*candidate, error) {
	var candidates []*candidate
	byID := map[peer.ID]*candidate{}
	for i, text := range peers {
		address, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			// Not the error's words: they quote what is there, of any length.
			return nil, unusable(err, "Peers[%d]: no multiaddr; give one such as %q", i, examplePeer)
		}
		transport, id := peer.SplitAddr(address)
		if !dialable.MatchString(shapeOf(transport)) {
			return nil, unusable(nil, "Peers[%d]: no address over TCP or websockets; give one such as %q", i, examplePeer)
		}
		if known, found := byID[id]; found && id != "" {
			known.addresses = append(known.addresses, transport)
			continue
		}
		added := &candidate{id: id, addresses: []multiaddr.Multiaddr{transport}}
		byID[id] = added
		candidates = append(candidates, added)
	}
	return candidates, nil
}

// dialable: host and port, perhaps websockets, and nothing else.
var dialable = regexp.MustCompile("^((/ip6zone)?/ip6|/ip4|/dns[46]?)/tcp(/tls(/sni)?/ws|/ws|/wss)?$")

// shapeOf an address is its protocols without their values; "" for one to port 0, where nobody is.
func shapeOf(address multiaddr.Multiaddr) string {
	if port, err := address.ValueForProtocol(multiaddr.P_TCP); err != nil || port == "0" {
		return ""
	}
	shape := ""
	for _, protocol := range address.Protocols() {
		shape += "/" + protocol.Name
	}
	return shape
}

// unusable is INVALID_ARGUMENT for an option that can never work.
func unusable(cause error, format string, arguments ...any) *abi.Error {
	return fault.Because(abi.ErrorCode_INVALID_ARGUMENT, cause, format, arguments...)
}

// failed is TRANSPORT_FAILED.
func failed(cause error, format string, arguments ...any) *abi.Error {
	failure := fault.Because(abi.ErrorCode_TRANSPORT_FAILED, cause, format, arguments...)
	if cause != nil {
		failure.Message = fmt.Sprintf("%s: %v", failure.Message, cause)
	}
	return failure
}

func retryable(cause error, format string, arguments ...any) *abi.Error {
	failure := failed(cause, format, arguments...)
	failure.Retryable = true
	return failure
}
