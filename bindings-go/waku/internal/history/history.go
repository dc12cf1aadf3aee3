// Package history reads stored messages from store nodes, page by page, going on at another node where one fails.
package history

import (
	"context"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

// Node asks one store node.
type Node func(ctx context.Context, request *wire.StoreRequest) (*wire.StoreResponse, error)

// Options of Messages.
type Options struct {
	// Nodes are the store nodes connected now, the preferred one first.
	Nodes func() []Node
	// Pushed tells of a message that is to be left out, and gives its timestamp; nil: none is.
	Pushed   func(hash shards.Hash) (timestamp int64, pushed bool)
	PageSize uint64
	// Rounds is how many times the whole list is tried for one page, and how many nodes at least that bring nothing new; Pause is the time between,
	// which grows.
	Rounds int
	Pause  time.Duration
}

// Group is the topics of one shard.
type Group struct {
	PubsubTopic string
	Topics      []string
}

const (
	nsPerMs  = 1_000_000
	maxPause = 10 * time.Second
)

// Page is messages, oldest first.
type Page = []*wire.WakuMessage

// Messages of all groups with floor(timestamp / 1 ms) in [startMs, endMs], oldest first, page by page. An error ends it.
func Messages(ctx context.Context, groups []Group, startMs, endMs uint64, options Options) iter.Seq2[Page, error] {
	// The store specification leaves the end out, go-waku and nwaku let it in: ask beyond it, and select here.
	start, end := toNs(startMs), toNs(max(endMs, endMs+1))
	if start >= end {
		return func(func(Page, error) bool) {}
	}
	sequences := make([]iter.Seq2[Page, error], len(groups))
	for i, group := range groups {
		sequences[i] = newReader(group, start, end, options).pages(ctx)
	}
	if len(sequences) == 1 {
		return sequences[0]
	}
	return merge(sequences)
}

func toNs(ms uint64) int64 {
	if ms >= math.MaxInt64/nsPerMs {
		return math.MaxInt64
	}
	return int64(ms) * nsPerMs
}

// Backoff grows exponentially with jitter: between half of and the full first * 2^attempt, at most longest.
func Backoff(attempt int, first, longest time.Duration) time.Duration {
	full := longest
	if attempt = min(attempt, 20); first <= longest>>attempt {
		full = first << attempt
	}
	return full/2 + rand.N(full/2+1)
}

// Sleep pauses; it fails with the cause of ctx if that ends first.
func Sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}

// merge makes one sequence of several sorted ones: what is not newer than the newest known message of every one is in place.
func merge(sequences []iter.Seq2[Page, error]) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		type source struct {
			next    func() (Page, error, bool)
			pending Page
		}
		var open []*source
		for _, sequence := range sequences {
			next, stop := iter.Pull2(sequence)
			defer stop()
			open = append(open, &source{next: next})
		}
		for len(open) > 0 {
			settled := int64(math.MaxInt64)
			for i := 0; i < len(open); i++ {
				if len(open[i].pending) == 0 {
					page, err, more := open[i].next()
					if err != nil {
						yield(nil, err)
						return
					}
					if !more {
						open = slices.Delete(open, i, i+1)
						i--
						continue
					}
					open[i].pending = page
				}
				settled = min(settled, open[i].pending[len(open[i].pending)-1].GetTimestamp())
			}
			var page Page
			for _, source := range open {
				later := slices.IndexFunc(source.pending, func(m *wire.WakuMessage) bool { return m.GetTimestamp() > settled })
				if later < 0 {
					later = len(source.pending)
				}
				page = append(page, source.pending[:later]...)
				source.pending = source.pending[later:]
			}
			slices.SortStableFunc(page, func(a, b *wire.WakuMessage) int { return int(min(1, max(-1, a.GetTimestamp()-b.GetTimestamp()))) })
			if len(page) > 0 && !yield(page, nil) {
				return
			}
		}
	}
}
