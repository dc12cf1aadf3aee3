//! The schema of a database, the text of `docs/database.md` and of every other language.

use rusqlite::Connection;

/// "CSDK" in the file's header: tells our databases from those of other applications.
pub(crate) const APPLICATION_ID: i64 = 0x4353_444b;

/// `PRAGMA user_version`. Grows with every change of the schema; an older SDK refuses a newer file.
pub(crate) const SCHEMA_VERSION: i64 = 1;

/// Name of the row of `meta` that holds the encoded `chatsdk.v1.VaultHeader`.
pub(crate) const VAULT_HEADER: &str = "vault_header";

/// The whole schema. What must hold whoever writes (tags go with their record, the search index follows the text) is in
/// triggers.
pub(crate) const SCHEMA: &str = r#"
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
"#;

/// A row of `sqlite_schema`: type, name, table, statement. Bytes, because damaged text may be no UTF-8.
type Object = [Option<Vec<u8>>; 4];

/// The names of what a database of this version must hold and this one does not, to the letter: a column with another name,
/// say, would be noticed at its first use. What somebody added, an index or statistics, is let pass.
///
/// FTS5 writes the statements of its tables itself; a test below tells when a new version of SQLite writes others.
pub(crate) fn damaged_objects(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let found = objects(database)?;
    let absent = sound_objects()?.into_iter().filter(|object| !found.contains(object));
    Ok(absent.map(|[_, name, ..]| String::from_utf8_lossy(&name.unwrap_or_default()).into_owned()).collect())
}

fn sound_objects() -> rusqlite::Result<Vec<Object>> {
    let database = Connection::open_in_memory()?;
    database.execute_batch(SCHEMA)?;
    objects(&database)
}

fn objects(database: &Connection) -> rusqlite::Result<Vec<Object>> {
    let columns = ["type", "name", "tbl_name", "sql"].map(|column| format!("CAST({column} AS BLOB)"));
    let mut statement = database.prepare(&format!("SELECT {} FROM sqlite_schema", columns.join(", ")))?;
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Databases of older versions have these texts: others would refuse them.
    #[test]
    fn f7_the_tables_that_fts5_makes_are_those_of_every_version() {
        let text = |column: &Option<Vec<u8>>| String::from_utf8(column.clone().unwrap_or_default()).unwrap();
        let made = sound_objects().unwrap();
        let by_fts5 =
            made.iter().filter(|[kind, name, ..]| text(kind) == "table" && text(name).starts_with("messages_fts_"));
        let statements: Vec<_> = by_fts5.map(|[.., statement]| text(statement)).collect();
        assert_eq!(
            statements,
            [
                "CREATE TABLE 'messages_fts_data'(id INTEGER PRIMARY KEY, block BLOB)",
                "CREATE TABLE 'messages_fts_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID",
                "CREATE TABLE 'messages_fts_docsize'(id INTEGER PRIMARY KEY, sz BLOB)",
                "CREATE TABLE 'messages_fts_config'(k PRIMARY KEY, v) WITHOUT ROWID",
            ]
        );
        let ours = made.iter().filter(|object| SCHEMA.contains(&format!(" {} ", text(&object[1]))));
        assert_eq!(ours.count(), SCHEMA.matches("CREATE ").count());
    }
}
