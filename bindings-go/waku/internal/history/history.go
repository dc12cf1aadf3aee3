// Package history reads stored messages from store nodes, page by page, going on at another node where one fails.
package history

import (
	"context"
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

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
	// Rounds is how many times the whole list is tried for one page; Pause is the time between, which grows.
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

var errNoNode = errors.New("no store node is connected")

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
		reader := reader{group: group, start: start, end: end, options: options, newest: start, atNewest: map[shards.Hash]bool{}}
		sequences[i] = reader.pages(ctx)
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

// reader reads one group. Where it resumes at another node, which may not know the first one's cursor, it asks from the newest timestamp seen
// and leaves out what was yielded with it: the cursor alone would repeat messages, the timestamp alone skip those of equal time.
type reader struct {
	group      Group
	start, end int64
	options    Options
	newest     int64
	atNewest   map[shards.Hash]bool
}

func (r *reader) pages(ctx context.Context) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		var node Node
		var cursor []byte
		stalls := 0
		for {
			page, answered, err := r.next(ctx, node, cursor)
			if err != nil {
				stalls++
				if node == nil || ctx.Err() != nil || stalls > r.options.Rounds {
					yield(nil, err)
					return
				}
				node, cursor = nil, nil
				continue
			}
			node, cursor = answered, page.cursor
			before := r.newest
			fresh := r.fresh(page)
			if len(fresh) > 0 || r.newest > before {
				stalls = 0
			}
			if len(fresh) > 0 && !yield(fresh, nil) {
				return
			}
			if len(cursor) == 0 || page.entries == 0 {
				return
			}
		}
	}
}

// next asks node for the page after cursor; without a node, any for the first page from the newest timestamp seen.
func (r *reader) next(ctx context.Context, node Node, cursor []byte) (*answer, Node, error) {
	request := &wire.StoreRequest{
		PubsubTopic:       &r.group.PubsubTopic,
		ContentTopics:     r.group.Topics,
		TimeStart:         proto.Int64(r.start),
		TimeEnd:           proto.Int64(r.end),
		PaginationCursor:  cursor,
		PaginationForward: true,
		PaginationLimit:   proto.Uint64(r.options.PageSize),
	}
	if node != nil {
		page, err := r.ask(ctx, node, request)
		return page, node, err
	}
	request.TimeStart = proto.Int64(r.newest)
	r.start = r.newest
	return r.firstAnswer(ctx, request)
}

// fresh selects what was asked for and was not yielded before.
func (r *reader) fresh(page *answer) Page {
	var fresh Page
	for _, message := range page.messages {
		at := message.GetTimestamp()
		if !slices.Contains(r.group.Topics, message.GetContentTopic()) || at < r.start || at >= r.end {
			continue
		}
		hash := shards.MessageHash(r.group.PubsubTopic, message)
		if at == r.newest && r.atNewest[hash] {
			continue
		}
		r.advance(at)
		if at == r.newest {
			r.atNewest[hash] = true
		}
		fresh = append(fresh, message)
	}
	r.advance(page.leftOutUntil)
	return fresh
}

func (r *reader) advance(to int64) {
	if to > r.newest {
		r.newest = to
		clear(r.atNewest)
	}
}

// firstAnswer is the page that any node gives, trying all of them some times.
func (r *reader) firstAnswer(ctx context.Context, request *wire.StoreRequest) (*answer, Node, error) {
	failure := errNoNode
	for round := range r.options.Rounds {
		if round > 0 {
			if err := Sleep(ctx, Backoff(round, r.options.Pause, maxPause)); err != nil {
				return nil, nil, err
			}
		}
		for _, node := range r.options.Nodes() {
			page, err := r.ask(ctx, node, request)
			if err == nil {
				return page, node, nil
			}
			if ctx.Err() != nil {
				return nil, nil, context.Cause(ctx)
			}
			failure = err
		}
	}
	return nil, nil, failure
}

// Backoff grows exponentially with jitter: between half of and the full first * 2^attempt, at most longest.
func Backoff(attempt int, first, longest time.Duration) time.Duration {
	full := min(longest, first<<min(attempt, 20))
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
