package sqlite

import (
	"fmt"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// walRetention is how long the -wal file may keep what was deleted or replaced.
const walRetention = 30 * time.Second

// connection is one open database: cached statements, transactions, typed errors. Its exported-like entry points (use, transaction)
// take a lock, so that nothing can come between two statements of a transaction.
type connection struct {
	subject string

	mu         sync.Mutex
	database   *sqlite3.Conn // nil once closed
	statements map[string]*sqlite3.Stmt
	truncation *time.Timer
}

// newConnection takes over database; subject names it in errors.
func newConnection(database *sqlite3.Conn, subject string) *connection {
	return &connection{subject: subject, database: database, statements: map[string]*sqlite3.Stmt{}}
}

// use runs work alone on the connection. It fails with CLOSED after close, else as storageError says.
func (c *connection) use(work func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.database == nil {
		return fault.New(abi.ErrorCode_CLOSED, "%s: the storage is closed; open it again", c.subject)
	}
	return storageError(work(), c.subject)
}

// transaction runs work in one transaction: durable when it returns nil, without any effect when it fails.
func (c *connection) transaction(work func() error) error {
	return c.use(func() error {
		if err := c.run("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		if c.truncation == nil {
			c.truncation = time.AfterFunc(walRetention, c.truncateLater)
		}
		err := work()
		if err == nil {
			err = c.run("COMMIT")
		}
		if err != nil && !c.database.GetAutocommit() {
			// SQLite has rolled back by itself after some errors; otherwise this must not be skipped.
			if rollback := c.run("ROLLBACK"); rollback != nil {
				return fmt.Errorf("%w (and the rollback failed: %w)", err, rollback)
			}
		}
		return err
	})
}

// close never fails for a checkpoint that does: what it leaves in the -wal file is read at the next open. A second close does nothing.
func (c *connection) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.database == nil {
		return nil
	}
	c.truncateWAL()
	for _, statement := range c.statements {
		// Reports the failure of its last run, which was handled then.
		_ = statement.Close()
	}
	err := c.database.Close()
	c.database, c.statements = nil, nil
	return storageError(err, c.subject)
}

func (c *connection) truncateLater() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.database != nil {
		c.truncateWAL()
	}
}

// truncateWAL cuts the -wal file, in which old pages stay with the keys deleted since. Tried again after the next commit.
func (c *connection) truncateWAL() {
	if c.truncation != nil {
		c.truncation.Stop()
		c.truncation = nil
	}
	// A failure (a full disk, for one) leaves the data safe where it is.
	_ = c.run("PRAGMA wal_checkpoint(TRUNCATE)")
}

// The rest runs inside use or transaction.

// run executes a statement whose rows, if any, do not matter.
func (c *connection) run(sql string, values ...any) error {
	return c.query(sql, func(*sqlite3.Stmt) error { return nil }, values...)
}

// query calls each for every row.
func (c *connection) query(sql string, each func(row *sqlite3.Stmt) error, values ...any) (err error) {
	statement, err := c.statement(sql)
	if err != nil {
		return err
	}
	defer func() {
		// The statement's own error has been reported by Err.
		_ = statement.Reset()
	}()
	for i, value := range values {
		if err := bind(statement, i+1, value); err != nil {
			return err
		}
	}
	for statement.Step() {
		if err := each(statement); err != nil {
			return err
		}
	}
	return statement.Err()
}

func (c *connection) statement(sql string) (*sqlite3.Stmt, error) {
	if statement, found := c.statements[sql]; found {
		return statement, nil
	}
	statement, _, err := c.database.Prepare(sql)
	if err != nil {
		return nil, err
	}
	c.statements[sql] = statement
	return statement, nil
}

func bind(statement *sqlite3.Stmt, index int, value any) error {
	switch value := value.(type) {
	case nil:
		return statement.BindNull(index)
	case bool:
		return statement.BindBool(index, value)
	case int64:
		return statement.BindInt64(index, value)
	case string:
		return statement.BindText(index, value)
	case []byte:
		if value == nil {
			// A nil slice would be NULL; an empty value is none.
			value = []byte{}
		}
		return statement.BindBlob(index, value)
	default:
		return fmt.Errorf("parameter %d: %T cannot be stored", index, value)
	}
}
