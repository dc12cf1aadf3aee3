import type { DatabaseSync } from "node:sqlite";
import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { SQLITE, sqliteCode } from "./errors.ts";
import { sqlite } from "./runtime.ts";

/**
 * A lock that all languages and processes share, and that ends with the process: an empty SQLite database with an exclusive transaction.
 * Node has no other lock on files.
 */
export class DatabaseLock {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Throws DATABASE_LOCKED if somebody has it, or what SQLite throws if there can be no lock. `subject` is what it stands for. */
  static take(file: string, subject: string): DatabaseLock {
    const { DatabaseSync } = sqlite();
    // Never opened with node:fs: closing a descriptor would drop the lock of another client of this process.
    const database = new DatabaseSync(file);
    try {
      database.exec("BEGIN EXCLUSIVE");
    } catch (error) {
      database.close();
      const code = sqliteCode(error);
      throw code === SQLITE.BUSY || code === SQLITE.LOCKED ? DatabaseLock.taken(subject, error) : error;
    }
    return new DatabaseLock(database);
  }

  static taken(subject: string, cause?: unknown): ChatError {
    return new ChatError(
      ErrorCode.DATABASE_LOCKED,
      `${subject} is open in another client or process; close it there first`,
      { retryable: true, cause },
    );
  }

  release(): void {
    this.#database.close();
  }
}
