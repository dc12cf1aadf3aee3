package history

import (
	"context"
	"errors"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

	"chatsdk/waku/internal/shards"
	"chatsdk/waku/internal/wire"
)

// maxIdlePages in a row may hold new entries and yet none that was asked for, such as messages without a timestamp.
const maxIdlePages = 100

var (
	errNoNode  = errors.New("no store node is connected")
	errStalled = errors.New("the node gives the same again and again")
)

// reader reads one group. Where it resumes at another node, which may not know the first one's cursor, it asks from the newest timestamp seen
// and leaves out what was seen with it: the cursor alone would repeat messages, the timestamp alone skip those of equal time.
type reader struct {
	group      Group
	start, end int64
	options    Options
	newest     int64
	// seen since newest is what it is, with the last walk that met it. A walk is the pages that one node gives in a row; the first is 1.
	seen map[shards.Hash]int
	walk int
	// node of this walk; nil: none yet. first of the nodes to try for the next one.
	node  Node
	first int
	// stalls are walks in a row, and idle pages of this walk, that brought nothing that was asked for.
	stalls, idle int
}

func newReader(group Group, start, end int64, options Options) *reader {
	return &reader{group: group, start: start, end: end, options: options, newest: start, seen: map[shards.Hash]int{}}
}

func (r *reader) pages(ctx context.Context) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		var cursor []byte
		for {
			page, err := r.next(ctx, cursor)
			if err == nil {
				var fresh Page
				fresh, err = r.take(page)
				if len(fresh) > 0 && !yield(fresh, nil) {
					return
				}
				if cursor = page.cursor; len(cursor) == 0 || len(page.entries) == 0 {
					return
				}
			}
			if err == nil {
				continue
			}
			if cursor = nil; !r.leave(ctx) {
				yield(nil, err)
				return
			}
		}
	}
}

// next asks the node for the page after cursor; without a node, any for the first page from the newest timestamp seen.
func (r *reader) next(ctx context.Context, cursor []byte) (*answer, error) {
	request := &wire.StoreRequest{
		PubsubTopic:       &r.group.PubsubTopic,
		ContentTopics:     r.group.Topics,
		TimeStart:         proto.Int64(r.start),
		TimeEnd:           proto.Int64(r.end),
		PaginationCursor:  cursor,
		PaginationForward: true,
		PaginationLimit:   proto.Uint64(r.options.PageSize),
	}
	if r.node != nil {
		return r.ask(ctx, r.node, request)
	}
	request.TimeStart = proto.Int64(r.newest)
	r.start = r.newest
	r.walk++
	return r.firstAnswer(ctx, request)
}

// take selects what was asked for and was not seen before. It fails if the page does not lead on.
func (r *reader) take(page *answer) (fresh Page, err error) {
	gain, news, moves := false, false, false
	for _, entry := range page.entries {
		asked := entry.at >= r.start && entry.at < r.end && (entry.message == nil || slices.Contains(r.group.Topics, entry.message.GetContentTopic()))
		if asked && entry.at > r.newest {
			r.newest = entry.at
			clear(r.seen)
		}
		walk := r.seen[entry.hash]
		r.seen[entry.hash] = r.walk
		isNew := walk == 0
		news = news || isNew
		// Another node may have to repeat what the one before has given of this time.
		moves = moves || walk != r.walk
		gain = gain || isNew && asked
		if isNew && asked && entry.message != nil {
			fresh = append(fresh, entry.message)
		}
	}
	switch {
	case gain:
		r.stalls, r.idle = 0, 0
	case news && r.idle < maxIdlePages:
		r.idle++
	case news || !moves:
		return nil, errStalled
	}
	return fresh, nil
}

// leave ends the walk, and pauses if it is not the first to fail; false: enough have failed.
func (r *reader) leave(ctx context.Context) bool {
	if r.node == nil || ctx.Err() != nil {
		return false
	}
	r.node, r.idle = nil, 0
	r.stalls++
	if r.stalls > max(r.options.Rounds, len(r.options.Nodes())) {
		return false
	}
	return r.stalls == 1 || Sleep(ctx, Backoff(r.stalls-2, r.options.Pause, maxPause)) == nil
}

// firstAnswer is the page that any node gives, trying all of them some times, the one that was left last.
func (r *reader) firstAnswer(ctx context.Context, request *wire.StoreRequest) (*answer, error) {
	failure := errNoNode
	for round := range r.options.Rounds {
		if round > 0 {
			if err := Sleep(ctx, Backoff(round, r.options.Pause, maxPause)); err != nil {
				return nil, err
			}
		}
		nodes := r.options.Nodes()
		for i := range nodes {
			at := (r.first + i) % len(nodes)
			page, err := r.ask(ctx, nodes[at], request)
			if err == nil {
				r.node, r.first = nodes[at], at+1
				return page, nil
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			failure = err
		}
	}
	return nil, failure
}
