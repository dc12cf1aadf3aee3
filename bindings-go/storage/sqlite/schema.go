package sqlite

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
)

// applicationID is "CSDK" in the file's header: it tells our databases from those of other applications.
const applicationID = 0x4353444b

// schemaVersion is PRAGMA user_version. It grows with every change of the schema; an older SDK refuses a newer file.
const schemaVersion = 1

// vaultHeader names the row of meta that holds the encoded chatsdk.v1.VaultHeader.
const vaultHeader = "vault_header"

// schema is the same text in every language; docs/database.md explains the columns. What must hold whoever writes (tags go with their
// record, the search index follows the text) is in triggers.
const schema = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE records (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE tags (tag BLOB PRIMARY KEY CHECK (length(tag) = 8), key TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX tags_by_key ON tags (key);
  CREATE TRIGGER records_deleted AFTER DELETE ON records BEGIN
    DELETE FROM tags WHERE key = old.key;
  END;

  CREATE TABLE conversations (
    conversation_id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    peer_identity_key BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    suite INTEGER NOT NULL,
    session_state TEXT,
    verified INTEGER NOT NULL CHECK (verified IN (0, 1)),
    initiator INTEGER NOT NULL CHECK (initiator IN (0, 1)),
    last_activity_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    conversation_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    outgoing INTEGER NOT NULL CHECK (outgoing IN (0, 1)),
    sequence INTEGER NOT NULL,
    lamport INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL,
    domain INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    version INTEGER NOT NULL,
    payload BLOB NOT NULL,
    text TEXT,
    refers_to TEXT,
    status TEXT,
    failure_reason TEXT,
    read_by_us INTEGER NOT NULL CHECK (read_by_us IN (0, 1)),
    UNIQUE (conversation_id, message_id)
  ) STRICT;
  CREATE INDEX messages_by_lamport ON messages (conversation_id, lamport, message_id);
  CREATE INDEX messages_unread ON messages (conversation_id, lamport) WHERE outgoing = 0 AND read_by_us = 0;
  CREATE INDEX messages_delivered ON messages (conversation_id, lamport) WHERE outgoing = 1 AND status = 'delivered';

  CREATE VIRTUAL TABLE messages_fts USING fts5 (
    text, content = 'messages', content_rowid = 'id',
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* M* Co'"
  );
  INSERT INTO messages_fts (messages_fts, rank) VALUES ('secure-delete', 1);
  CREATE TRIGGER messages_inserted AFTER INSERT ON messages WHEN new.text IS NOT NULL BEGIN
    INSERT INTO messages_fts (rowid, text) VALUES (new.id, new.text);
  END;
  CREATE TRIGGER messages_deleted AFTER DELETE ON messages WHEN old.text IS NOT NULL BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, text) VALUES ('delete', old.id, old.text);
  END;
  CREATE TRIGGER messages_text_changed AFTER UPDATE OF text ON messages WHEN old.text IS NOT new.text BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, text) SELECT 'delete', old.id, old.text WHERE old.text IS NOT NULL;
    INSERT INTO messages_fts (rowid, text) SELECT new.id, new.text WHERE new.text IS NOT NULL;
  END;
`

// object is a row of sqlite_schema, without the page at which the object begins: that differs between sound files.
type object struct{ kind, name, table, sql string }

// newSchema is what sqlite_schema holds in a new database. SQLite answers that rather than the text above, which lacks the tables of FTS5 and the
// indexes of UNIQUE.
var newSchema = sync.OnceValues(func() (objects []object, err error) {
	database, err := sqlite3.Open(":memory:")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, database.Close()) }()
	if err := fts5.Register(database); err != nil {
		return nil, err
	}
	if err := database.Exec(schema); err != nil {
		return nil, err
	}
	return readSchema(database)
})

func readSchema(database *sqlite3.Conn) (objects []object, err error) {
	statement, _, err := database.Prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, statement.Close()) }()
	for statement.Step() {
		objects = append(objects, object{
			statement.ColumnText(0), statement.ColumnText(1), statement.ColumnText(2), statement.ColumnText(3),
		})
	}
	return objects, nil
}

// checkSchema tells a damaged or foreign schema at open rather than at first use: it must hold every object as a new database does. Further ones,
// such as the tables of ANALYZE, do no harm.
func checkSchema(database *sqlite3.Conn, subject string) error {
	wanted, err := newSchema()
	if err != nil {
		return err
	}
	present, err := readSchema(database)
	if err != nil {
		return err
	}
	var damaged []string
	for _, object := range wanted {
		if !slices.Contains(present, object) {
			damaged = append(damaged, object.name)
		}
	}
	if len(damaged) > 0 {
		return corrupt(subject, "has a damaged schema, without a sound "+strings.Join(damaged, ", "), nil)
	}
	return nil
}
