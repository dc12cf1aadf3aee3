package store

import (
	"database/sql"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// The sweep runs ten times in a retention period, within these bounds.
const (
	shortestSweep = 100 * time.Millisecond
	longestSweep  = time.Minute
)

// startSweeping deletes what expired while the program was not running and returns the ticker of the
// next sweeps. Without a retention period it never ticks.
func (a *Archive) startSweeping() *time.Ticker {
	if a.options.Retention <= 0 {
		ticker := time.NewTicker(time.Hour)
		ticker.Stop()
		return ticker
	}
	a.sweep()
	return time.NewTicker(min(max(a.options.Retention/10, shortestSweep), longestSweep))
}

// oldestKept is the earliest arrival that is not expired. Arrival counts, not the sender's timestamp:
// a sender must not decide how long a node keeps its message.
func (a *Archive) oldestKept() int64 {
	if a.options.Retention <= 0 {
		return 0
	}
	return a.options.Now().Add(-a.options.Retention).UnixNano()
}

// sweep deletes expired messages. Queries hide them from the moment they expire.
func (a *Archive) sweep() {
	result, err := a.db.Exec("DELETE FROM message WHERE stored_at < ?", a.oldestKept())
	if err != nil {
		a.options.Logger.Error("deleting expired messages failed", zap.Error(err))
		return
	}
	deleted, err := result.RowsAffected()
	if err != nil {
		a.options.Logger.Error("counting deleted messages failed", zap.Error(err))
		return
	}
	if deleted == 0 {
		return
	}
	a.count -= int(deleted)
	a.recent.Purge()
	a.options.Logger.Debug("expired messages deleted", zap.Int64("messages", deleted))
	// Deleted rows live on in the write-ahead log until it is checkpointed.
	if _, err := a.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		a.options.Logger.Warn("checkpoint after deleting messages failed", zap.Error(err))
	}
}

// trim deletes the oldest arrivals above Options.MaxMessages, of count rows, and returns how many.
func (a *Archive) trim(tx *sql.Tx, count int) (int, error) {
	excess := count - a.options.MaxMessages
	if a.options.MaxMessages <= 0 || excess <= 0 {
		return 0, nil
	}
	if _, err := tx.Exec("DELETE FROM message WHERE id IN (SELECT id FROM message ORDER BY id LIMIT ?)", excess); err != nil {
		return 0, fmt.Errorf("deleting the oldest %d messages: %w", excess, err)
	}
	a.recent.Purge()
	return excess, nil
}
