// Package store keeps the messages of the relay in SQLite and answers queries over them:
// 13/WAKU2-STORE in its version 3, /vac/waku/store-query/3.0.0.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

const (
	queuedWrites = 1024 // messages waiting for the writer; more make Put block
	batchSize    = 256  // messages in one transaction
	writeRetries = 3    // tries of a transaction before its messages are given up
	recentHashes = 8192 // hashes remembered as stored
)

// ErrClosed is returned for messages that arrive after Close.
var ErrClosed = errors.New("message archive is closed")

// Options configure an Archive.
type Options struct {
	Path        string           // SQLite file; empty keeps messages in memory
	Retention   time.Duration    // how long a message is kept after its arrival; 0 = for ever
	MaxMessages int              // the oldest arrivals beyond this number are deleted; 0 = no limit
	Now         func() time.Time // the node's clock
	Logger      *zap.Logger
}

// Archive stores messages. It is safe for concurrent use.
//
// One goroutine writes. Put hands it a message and waits for the commit, so a caller that was told
// "stored" can rely on it, and callers slow down when the disk does instead of filling memory.
type Archive struct {
	options Options
	db      *sql.DB
	insert  *sql.Stmt
	recent  *lru.Cache[pb.MessageHash, struct{}]

	closing sync.RWMutex // held for reading while a Put may send to writes
	closed  bool
	writes  chan write
	done    chan struct{}

	count int // rows in the table; owned by the writer
}

type write struct {
	hash         pb.MessageHash
	timestamp    int64
	pubsubTopic  string
	contentTopic string
	encoded      []byte
	result       chan error
}

// Open opens or creates the archive and starts its writer.
func Open(options Options) (*Archive, error) {
	db, err := openDatabase(options.Path)
	if err != nil {
		return nil, err
	}
	a := &Archive{options: options, db: db, writes: make(chan write, queuedWrites), done: make(chan struct{})}
	if err := a.prepare(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	go a.run()
	return a, nil
}

func (a *Archive) prepare() (err error) {
	if a.recent, err = lru.New[pb.MessageHash, struct{}](recentHashes); err != nil {
		return fmt.Errorf("creating the hash cache: %w", err)
	}
	a.insert, err = a.db.Prepare(`INSERT INTO message (hash, timestamp, stored_at, pubsub_topic, content_topic, encoded)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`)
	if err != nil {
		return fmt.Errorf("preparing the insert: %w", err)
	}
	if err := a.db.QueryRow("SELECT count(*) FROM message").Scan(&a.count); err != nil {
		return fmt.Errorf("counting messages: %w", err)
	}
	return nil
}

// Put stores a message and returns once it is committed. Ephemeral messages and messages that are
// already stored are not errors. A message without timestamp is filed under its time of arrival.
func (a *Archive) Put(ctx context.Context, pubsubTopic string, message *pb.WakuMessage) error {
	if message.GetEphemeral() {
		return nil
	}
	hash := message.Hash(pubsubTopic)
	if a.recent.Contains(hash) {
		return nil
	}
	encoded, err := proto.Marshal(message)
	if err != nil {
		return fmt.Errorf("encoding message %s: %w", hash, err)
	}
	w := write{
		hash:         hash,
		timestamp:    message.GetTimestamp(),
		pubsubTopic:  pubsubTopic,
		contentTopic: message.ContentTopic,
		encoded:      encoded,
		result:       make(chan error, 1),
	}
	if err := a.enqueue(ctx, w); err != nil {
		return err
	}
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("storing message %s: %w", hash, ctx.Err())
	}
}

func (a *Archive) enqueue(ctx context.Context, w write) error {
	a.closing.RLock()
	defer a.closing.RUnlock()
	if a.closed {
		return ErrClosed
	}
	select {
	case a.writes <- w:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("queueing message %s for the store: %w", w.hash, ctx.Err())
	}
}

// Close stores what is queued, then closes the database.
func (a *Archive) Close() error {
	a.closing.Lock()
	if a.closed {
		a.closing.Unlock()
		return nil
	}
	a.closed = true
	close(a.writes)
	a.closing.Unlock()

	<-a.done
	return errors.Join(a.insert.Close(), a.db.Close())
}

// run is the writer.
func (a *Archive) run() {
	defer close(a.done)
	sweep := a.startSweeping()
	defer sweep.Stop()
	for {
		select {
		case w, open := <-a.writes:
			if !open {
				return
			}
			a.write(a.batch(w))
		case <-sweep.C:
			a.sweep()
		}
	}
}

// batch gathers the messages that already wait, so that a burst shares its transactions.
func (a *Archive) batch(first write) []write {
	batch := []write{first}
	for len(batch) < batchSize {
		select {
		case w, open := <-a.writes:
			if !open {
				return batch
			}
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// write commits a batch and tells each caller of Put. A failed transaction is tried again: the usual
// causes (a locked file, a full disk that a sweep frees) pass.
func (a *Archive) write(batch []write) {
	var err error
	for attempt := range writeRetries {
		if attempt > 0 {
			time.Sleep(50 * time.Millisecond << attempt)
		}
		if err = a.commit(batch); err == nil {
			break
		}
		a.options.Logger.Warn("storing messages failed", zap.Int("messages", len(batch)), zap.Int("attempt", attempt+1), zap.Error(err))
	}
	if err != nil {
		err = fmt.Errorf("storing the message: %w", err)
	}
	for _, w := range batch {
		if err == nil {
			a.recent.Add(w.hash, struct{}{})
		}
		w.result <- err
	}
}

func (a *Archive) commit(batch []write) error {
	tx, err := a.db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit this does nothing
	now := a.options.Now().UnixNano()
	insert := tx.Stmt(a.insert)
	inserted := 0
	for _, w := range batch {
		timestamp := w.timestamp
		if timestamp == 0 {
			timestamp = now
		}
		result, err := insert.Exec(w.hash[:], timestamp, now, w.pubsubTopic, w.contentTopic, w.encoded)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return err
		}
		inserted += int(rows)
	}
	excess, err := a.trim(tx, a.count+inserted)
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	a.count += inserted - excess
	return nil
}
