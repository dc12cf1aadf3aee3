package store

import (
	"database/sql"
	"fmt"
	"net/url"

	_ "github.com/mattn/go-sqlite3" // the "sqlite3" driver
)

// schemaVersion is kept in SQLite's user_version. A file with another version is refused.
const schemaVersion = 1

// The archive's one table. Rows are ordered by (timestamp, hash), as the specification sorts them; id
// is the order of arrival. Messages are kept encoded, so that no field is lost.
const schema = `
CREATE TABLE message (
	id            INTEGER PRIMARY KEY,
	hash          BLOB    NOT NULL UNIQUE,
	timestamp     INTEGER NOT NULL,
	stored_at     INTEGER NOT NULL,
	pubsub_topic  TEXT    NOT NULL,
	content_topic TEXT    NOT NULL,
	encoded       BLOB    NOT NULL
) STRICT;
CREATE INDEX message_by_time    ON message (timestamp, hash);
CREATE INDEX message_by_topic   ON message (pubsub_topic, content_topic, timestamp, hash);
CREATE INDEX message_by_arrival ON message (stored_at);
`

// openDatabase opens the file at path, or a database in memory when path is empty, and brings it to
// the current schema.
//
// All access goes through one connection: writes and queries take turns, so neither ever sees
// SQLITE_BUSY from the other, and a database in memory lives as long as that connection.
func openDatabase(path string) (*sql.DB, error) {
	source := "file::memory:?"
	if path != "" {
		source = "file:" + (&url.URL{Path: path}).EscapedPath() + "?"
	}
	source += url.Values{
		"_journal_mode":  {"WAL"},
		"_synchronous":   {"NORMAL"},
		"_busy_timeout":  {"5000"},
		"_secure_delete": {"true"}, // expired messages are overwritten, not only unlinked
		"_txlock":        {"immediate"},
	}.Encode()
	db, err := sql.Open("sqlite3", source)
	if err != nil {
		return nil, fmt.Errorf("opening the message database: %w", err)
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	if err := migrate(db); err != nil {
		return nil, fmt.Errorf("preparing the message database %q: %w", path, err)
	}
	return db, nil
}

func migrate(db *sql.DB) error {
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch version {
	case schemaVersion:
		return nil
	case 0:
		_, err := db.Exec(fmt.Sprintf("BEGIN; %s PRAGMA user_version = %d; COMMIT", schema, schemaVersion))
		return err
	default:
		return fmt.Errorf("schema version %d, this program knows %d", version, schemaVersion)
	}
}
