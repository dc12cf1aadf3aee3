import type { DatabaseSync } from "node:sqlite";
import { sqlite } from "./runtime.ts";

/** "CSDK" in the file's header: tells our databases from those of other applications. */
export const APPLICATION_ID = 0x4353444b;

/** `PRAGMA user_version`. Grows with every change of the schema; an older SDK refuses a newer file. */
export const SCHEMA_VERSION = 1;

/** Name of the row of `meta` that holds the encoded chatsdk.v1.VaultHeader. */
export const VAULT_HEADER = "vault_header";

/**
 * The whole schema, the same in every language; docs/database.md explains the columns. What must hold whoever writes (tags go with
 * their record, the search index follows the text) is in triggers.
 */
export const SCHEMA = `
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
`;

/** A row of `sqlite_schema`, without the page at which the object begins: that differs between sound files. */
type SchemaObject = Record<"type" | "name" | "tbl_name" | "sql", string | null>;

/**
 * Names of what a sound database of this version has and this one has not, or not as it should be: a damaged or foreign schema is told at open
 * rather than at first use. Further objects, such as the tables of ANALYZE, do no harm.
 */
export function damagedObjects(database: DatabaseSync): string[] {
  const wanted = newSchema();
  const present = new Set(objectsOf(database).map(textOf));
  return wanted.filter((object) => !present.has(textOf(object))).map(({ name }) => String(name));
}

let created: SchemaObject[] | undefined;

/** Of a new database. SQLite answers that rather than the text above, which lacks the tables of FTS5 and the indexes of UNIQUE. */
export function newSchema(): readonly SchemaObject[] {
  if (created === undefined) {
    const { DatabaseSync } = sqlite();
    const database = new DatabaseSync(":memory:");
    try {
      database.exec(SCHEMA);
      created = objectsOf(database);
    } finally {
      database.close();
    }
  }
  return created;
}

function objectsOf(database: DatabaseSync): SchemaObject[] {
  return database.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema").all() as SchemaObject[];
}

const textOf = ({ type, name, tbl_name: table, sql }: SchemaObject): string => JSON.stringify([type, name, table, sql]);
