package store

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"google.golang.org/protobuf/proto"
)

const (
	// MaxPageSize is the most entries in a page; it also applies when a query names no limit.
	MaxPageSize = 100
	// maxPageBytes ends a page early: js-libp2p refuses responses above 4 MB.
	maxPageBytes = 2 << 20
)

// ErrUnknownCursor is returned for a cursor that is not the hash of a stored message.
var ErrUnknownCursor = errors.New("pagination cursor is not the hash of a stored message")

// Query selects messages. Conditions that are left empty do not restrict it.
type Query struct {
	PubsubTopic   string
	ContentTopics []string
	Hashes        [][]byte
	Start         *int64 // inclusive, nanoseconds
	End           *int64 // exclusive, nanoseconds
	Cursor        []byte // hash of the entry after (forward) or before (backward) which to go on
	Forward       bool
	Limit         uint64
	IncludeData   bool
}

// Entry is a stored message; Message and PubsubTopic are only set by queries that include data.
type Entry struct {
	Hash        []byte
	PubsubTopic string
	Message     *pb.WakuMessage
}

// Page is one answer to a query, in ascending order of (timestamp, hash) for both directions.
type Page struct {
	Entries []Entry
	Next    []byte // cursor of the next page; nil on the last one
}

// Find answers a query with one page. Its only error that is the caller's fault is ErrUnknownCursor.
func (a *Archive) Find(query Query) (Page, error) {
	statement, arguments, err := a.compile(query)
	if err != nil {
		return Page{}, err
	}
	rows, err := a.db.Query(statement, arguments...)
	if err != nil {
		return Page{}, fmt.Errorf("querying messages: %w", err)
	}
	defer func() { _ = rows.Close() }() // its error, if any, is the one of rows.Err
	page, err := readPage(rows, query)
	if err != nil {
		return Page{}, fmt.Errorf("reading messages: %w", err)
	}
	return page, nil
}

// pageSize is the number of entries that a query may get at once.
func (q Query) pageSize() int {
	if q.Limit == 0 || q.Limit > MaxPageSize {
		return MaxPageSize
	}
	return int(q.Limit)
}

// compile writes the SQL of a query. It asks for one row more than a page holds, which tells whether
// there is a next page.
func (a *Archive) compile(query Query) (string, []any, error) {
	var conditions []string
	var arguments []any
	where := func(condition string, values ...any) {
		conditions = append(conditions, condition)
		arguments = append(arguments, values...)
	}
	where("stored_at >= ?", a.oldestKept())
	if query.PubsubTopic != "" {
		where("pubsub_topic = ?", query.PubsubTopic)
	}
	if len(query.ContentTopics) > 0 {
		where("content_topic IN "+placeholders(len(query.ContentTopics)), anySlice(query.ContentTopics)...)
	}
	if len(query.Hashes) > 0 {
		where("hash IN "+placeholders(len(query.Hashes)), anySlice(query.Hashes)...)
	}
	if query.Start != nil {
		where("timestamp >= ?", *query.Start)
	}
	if query.End != nil {
		where("timestamp < ?", *query.End)
	}
	comparison, order := "<", "DESC"
	if query.Forward {
		comparison, order = ">", "ASC"
	}
	if len(query.Cursor) > 0 {
		timestamp, err := a.timestampOf(query.Cursor)
		if err != nil {
			return "", nil, err
		}
		where("(timestamp, hash) "+comparison+" (?, ?)", timestamp, query.Cursor)
	}
	columns := "hash, '', x''"
	if query.IncludeData {
		columns = "hash, pubsub_topic, encoded"
	}
	statement := fmt.Sprintf("SELECT %s FROM message WHERE %s ORDER BY timestamp %s, hash %s LIMIT ?",
		columns, strings.Join(conditions, " AND "), order, order)
	return statement, append(arguments, query.pageSize()+1), nil
}

func (a *Archive) timestampOf(hash []byte) (int64, error) {
	var timestamp int64
	err := a.db.QueryRow("SELECT timestamp FROM message WHERE hash = ? AND stored_at >= ?", hash, a.oldestKept()).Scan(&timestamp)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrUnknownCursor
	}
	if err != nil {
		return 0, fmt.Errorf("looking up the pagination cursor: %w", err)
	}
	return timestamp, nil
}

func readPage(rows *sql.Rows, query Query) (Page, error) {
	var page Page
	size := 0
	for rows.Next() {
		var entry Entry
		var encoded []byte
		if err := rows.Scan(&entry.Hash, &entry.PubsubTopic, &encoded); err != nil {
			return Page{}, err
		}
		size += len(encoded)
		if len(page.Entries) == query.pageSize() || (size > maxPageBytes && len(page.Entries) > 0) {
			page.Next = page.Entries[len(page.Entries)-1].Hash
			break
		}
		if query.IncludeData {
			entry.Message = new(pb.WakuMessage)
			if err := proto.Unmarshal(encoded, entry.Message); err != nil {
				return Page{}, fmt.Errorf("decoding message %x: %w", entry.Hash, err)
			}
		}
		page.Entries = append(page.Entries, entry)
	}
	if err := rows.Err(); err != nil {
		return Page{}, err
	}
	if !query.Forward {
		slices.Reverse(page.Entries)
	}
	return page, nil
}

func placeholders(n int) string { return "(?" + strings.Repeat(", ?", n-1) + ")" }

func anySlice[T any](values []T) []any {
	anys := make([]any, len(values))
	for i, v := range values {
		anys[i] = v
	}
	return anys
}
