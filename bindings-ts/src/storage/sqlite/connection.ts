import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { schemaError, storageError } from "./errors.ts";

/** A row as node:sqlite returns it; every integer is a bigint, because 64-bit ones do not fit a number. */
export type Row = Record<string, unknown>;
export type Value = null | number | bigint | string | Uint8Array;

/** How long the -wal file may keep what was deleted or replaced, in milliseconds. */
const WAL_RETENTION_MS = 30_000;

/**
 * One open database: cached statements, transactions, typed errors. All calls are synchronous, so nothing can come between
 * two statements of a transaction. Every method throws ChatError: CLOSED after `close`, else what `storageError` says.
 */
export class Connection {
  readonly #database: DatabaseSync;
  readonly #subject: string;
  readonly #statements = new Map<string, StatementSync>();
  #truncation: NodeJS.Timeout | undefined;
  #open = true;

  /** Takes over `database`; `subject` names it in errors. */
  constructor(database: DatabaseSync, subject: string) {
    this.#database = database;
    this.#subject = subject;
  }

  /** The first row, or `undefined`. */
  get(sql: string, ...values: Value[]): Row | undefined {
    return this.#use(() => this.#statement(sql).get(...values));
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.#use(() => this.#statement(sql).all(...values));
  }

  run(sql: string, ...values: Value[]): void {
    this.#use(() => this.#statement(sql).run(...values));
  }

  /** Runs `work` in one transaction: durable when this returns, without any effect when it throws. */
  transaction(work: () => void): void {
    this.#use(() => {
      this.#statement("BEGIN IMMEDIATE").run();
      try {
        work();
        this.#statement("COMMIT").run();
      } catch (error) {
        this.#rollback();
        throw error;
      }
    });
    this.#truncation ??= setTimeout(() => this.#truncateWal(), WAL_RETENTION_MS).unref();
  }

  /** Never fails: what a failing checkpoint leaves in the -wal file is read at the next open. */
  close(): void {
    if (!this.#open) return;
    this.#truncateWal();
    this.#open = false;
    this.#statements.clear();
    this.#database.close();
  }

  /** Old pages stay in the -wal file, with the keys deleted since, until it is cut. Tried again after the next commit. */
  #truncateWal(): void {
    clearTimeout(this.#truncation);
    this.#truncation = undefined;
    try {
      this.#statement("PRAGMA wal_checkpoint(TRUNCATE)").get();
    } catch {
      // A full disk, for one. The data is safe where it is.
    }
  }

  #rollback(): void {
    try {
      this.#statement("ROLLBACK").run();
    } catch {
      // SQLite has rolled back by itself after some errors. Had it not, the next BEGIN would fail.
    }
  }

  #use<T>(work: () => T): T {
    if (!this.#open) throw new ChatError(ErrorCode.CLOSED, `${this.#subject}: the storage is closed; open it again`);
    try {
      return work();
    } catch (error) {
      throw storageError(error, this.#subject);
    }
  }

  #prepare(sql: string): StatementSync {
    try {
      return this.#database.prepare(sql);
    } catch (error) {
      throw schemaError(error, this.#subject);
    }
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#prepare(sql);
      statement.setReadBigInts(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
