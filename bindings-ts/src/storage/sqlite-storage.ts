import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Change, type VaultHeader, VaultHeaderSchema } from "@chatsdk/abi/host_pb";
import { Connection } from "./sqlite/connection.ts";
import { corrupt } from "./sqlite/errors.ts";
import { type OpenOptions, openFile } from "./sqlite/file.ts";
import { SqliteMessages } from "./sqlite/messages.ts";
import { VAULT_HEADER } from "./sqlite/schema.ts";
import { SqliteSecrets } from "./sqlite/secrets.ts";
import type { MessageStore, SecretStore, Storage } from "./storage.ts";
import { checkChanges } from "./validation.ts";

export type SqliteStorageOptions = OpenOptions;

/**
 * The default storage (F6, F7): both stores in one SQLite file, described in docs/database.md. One client at a time may have it open. A
 * commit returns once it is on the disk, and holds up the event loop for as long (a few milliseconds).
 */
export class SqliteStorage implements Storage {
  readonly #connection: Connection;
  readonly #subject: string;
  readonly #secrets: SqliteSecrets;
  readonly #messages: SqliteMessages;

  private constructor(connection: Connection, subject: string) {
    this.#connection = connection;
    this.#subject = subject;
    this.#secrets = new SqliteSecrets(connection);
    this.#messages = new SqliteMessages(connection);
  }

  /**
   * Opens the database at `path`, on a local disk; with `create`, makes it if there is no file. Rejects with ChatError:
   * - INVALID_ARGUMENT: no such file (and `create` is not set), no such folder, or not a file;
   * - DATABASE_CORRUPT: empty, truncated, damaged, or not a database of this SDK. The file is left byte for byte as it is;
   * - DATABASE_LOCKED (retryable): open in another process, or a second time in this one;
   * - UNSUPPORTED_VERSION: written by a newer SDK;
   * - STORAGE_FULL (retryable): no space for a new database;
   * - STORAGE_FAILED: the file or its folder is read-only, or the disk fails.
   */
  static async open(path: string, options: SqliteStorageOptions = {}): Promise<SqliteStorage> {
    const { database, subject } = openFile(path, options);
    const connection = new Connection(database, subject);
    try {
      if (!options.create && isUnfinished(connection))
        throw corrupt(subject, "holds nothing, making it was interrupted", { remedy: "open it with create: true" });
      return new SqliteStorage(connection, subject);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  get secrets(): SecretStore {
    return this.#secrets;
  }

  get messages(): MessageStore {
    return this.#messages;
  }

  async header(): Promise<VaultHeader | undefined> {
    const row = this.#connection.get("SELECT value FROM meta WHERE name = ?", VAULT_HEADER);
    if (!row) return undefined;
    try {
      return fromBinary(VaultHeaderSchema, row["value"] as Uint8Array);
    } catch (error) {
      throw corrupt(this.#subject, "has an unreadable header", { cause: error });
    }
  }

  async setHeader(header: VaultHeader): Promise<void> {
    const encoded = toBinary(VaultHeaderSchema, header);
    this.#connection.transaction(() => {
      this.#connection.run(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        VAULT_HEADER,
        encoded,
      );
    });
  }

  async commit(changes: readonly Change[]): Promise<void> {
    checkChanges(changes);
    this.#connection.transaction(() => {
      for (const change of changes) this.#apply(change);
    });
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  #apply({ change }: Change): void {
    switch (change.case) {
      case "put":
        return this.#secrets.put(change.value.key, change.value.value);
      case "delete":
        return this.#secrets.delete(change.value);
      case "deletePrefix":
        return this.#secrets.deletePrefix(change.value);
      case "addTags":
        return this.#secrets.addTags(change.value.key, change.value.tags);
      case "removeTags":
        return this.#secrets.removeTags(change.value);
      case "putMessage":
        return this.#messages.putMessage(change.value);
      case "setStatus":
        return this.#messages.setStatus(change.value);
      case "peerRead":
        return this.#messages.peerRead(change.value.conversationId, change.value.messageId);
      case "ownRead":
        return this.#messages.ownRead(change.value.conversationId, change.value.messageId);
      case "putConversation":
        return this.#messages.putConversation(change.value);
      case "deleteConversation":
        return this.#messages.deleteConversation(change.value);
      case undefined:
        // checkChanges refuses it.
        return;
    }
  }
}

/** Made, but not given a header nor anything else: a crash came between. Nothing can be lost by finishing it. */
function isUnfinished(connection: Connection): boolean {
  const row = connection.get(
    "SELECT EXISTS (SELECT 1 FROM meta) OR EXISTS (SELECT 1 FROM records) OR EXISTS (SELECT 1 FROM conversations) OR EXISTS (SELECT 1 FROM messages) AS used",
  );
  return row?.["used"] === 0n;
}
