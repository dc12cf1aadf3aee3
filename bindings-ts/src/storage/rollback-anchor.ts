import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { DatabaseLock } from "./sqlite/lock.ts";

/**
 * Remembers, outside the database, how far the database had come. A database whose sealed generation is smaller is an old
 * copy: its keys were used already, and going on would use them twice (STATE_ROLLED_BACK).
 */
export interface RollbackAnchor {
  /** The generation last written for this database; `undefined`: none, so that an old copy cannot be told. */
  read(databaseId: string): Promise<bigint | undefined>;
  /** Called after each commit, with the generation that is durable now. It never falls: after an accepted rollback it is above all before. */
  write(databaseId: string, generation: bigint): Promise<void>;
  /** Writes what is still held back. Called once a rollback is accepted, before anything is published. */
  flush?(): Promise<void>;
  /**
   * Called before `read`: until `close` no other client may use this database or a copy of it. Rejects with DATABASE_LOCKED
   * (retryable) if one does.
   */
  lock?(databaseId: string): Promise<void>;
  /** Writes what is still held back, and releases the locks. */
  close?(): Promise<void>;
}

export interface FileRollbackAnchorOptions {
  /** Absolute path. Default: `chatsdk` in `$XDG_STATE_HOME`, or in `~/.local/state`. It must not travel with backups of the database. */
  folder?: string;
  /** The anchor could not be read, written or locked. Messaging goes on; only the detection of old copies suffers. */
  onError?: (error: unknown) => void;
}

/** Numbers have 64 bits. */
const GENERATIONS = 2n ** 64n;
/** At most one write in so many milliseconds. */
const WRITE_INTERVAL_MS = 1000;

/**
 * One small file for each database, in the folder where the user's programs keep state. Writes are collected: after a crash the
 * anchor may lag a second behind the database, so that a copy younger than that passes for the original. It is never ahead, and never
 * falls. Beside it an empty file is locked while the database or a copy of it is open.
 */
export class FileRollbackAnchor implements RollbackAnchor {
  readonly #folder: string;
  readonly #onError: (error: unknown) => void;
  readonly #unwritten = new Map<string, bigint>();
  readonly #locks = new Map<string, DatabaseLock>();
  #timer: NodeJS.Timeout | undefined;
  #lastWriteMs = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> = Promise.resolve();

  /** Throws INVALID_ARGUMENT if the folder is not an absolute path. */
  constructor(options: FileRollbackAnchorOptions = {}) {
    this.#folder = options.folder ?? join(stateHome(), "chatsdk");
    if (!isAbsolute(this.#folder)) throw new ChatError(ErrorCode.INVALID_ARGUMENT, "folder: must be an absolute path");
    this.#onError = options.onError ?? (() => {});
  }

  /** Rejects with DATABASE_CORRUPT if the id is none. What cannot be read counts as absent and goes to `onError`. */
  async read(databaseId: string): Promise<bigint | undefined> {
    const file = this.#file(databaseId, "generation");
    const unwritten = this.#unwritten.get(databaseId);
    if (unwritten !== undefined) return unwritten;
    await this.#writing;
    try {
      return parse(await readFile(file, "utf8"), file);
    } catch (error) {
      const absent = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (!absent) this.#onError(error);
      return undefined;
    }
  }

  /** Returns at once. Rejects only with DATABASE_CORRUPT, if the id is none. */
  async write(databaseId: string, generation: bigint): Promise<void> {
    // Checks the id, which comes from a file.
    this.#file(databaseId, "generation");
    if (generation > (this.#unwritten.get(databaseId) ?? -1n)) this.#unwritten.set(databaseId, generation);
    const dueInMs = Math.max(0, this.#lastWriteMs + WRITE_INTERVAL_MS - performance.now());
    this.#timer ??= setTimeout(() => void this.flush(), dueInMs).unref();
  }

  /** Writes now what is held back. Never rejects: a failure goes to `onError`, and the next write tries again. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#writeAll());
    await this.#writing;
  }

  /** Rejects with DATABASE_LOCKED, or DATABASE_CORRUPT if the id is none. A lock that cannot be made goes to `onError`. */
  async lock(databaseId: string): Promise<void> {
    const file = this.#file(databaseId, "lock");
    const subject = `database ${databaseId}: it or a copy`;
    if (this.#locks.has(databaseId)) throw DatabaseLock.taken(subject);
    try {
      await makeFolder(this.#folder);
      this.#locks.set(databaseId, DatabaseLock.take(file, subject));
    } catch (error) {
      if (error instanceof ChatError && error.code === ErrorCode.DATABASE_LOCKED) throw error;
      this.#onError(error);
    }
  }

  async close(): Promise<void> {
    await this.flush();
    for (const lock of this.#locks.values()) lock.release();
    this.#locks.clear();
  }

  async #writeAll(): Promise<void> {
    this.#lastWriteMs = performance.now();
    for (const [databaseId, generation] of [...this.#unwritten]) {
      try {
        const file = this.#file(databaseId, "generation");
        if (generation > (await written(file))) await replaceFile(this.#folder, file, `${generation}\n`);
        // A newer one may have come meanwhile.
        if (this.#unwritten.get(databaseId) === generation) this.#unwritten.delete(databaseId);
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  #file(databaseId: string, kind: "generation" | "lock"): string {
    // The id stands in the clear in a file others may have written: it must not name another folder.
    if (!/^[0-9a-f]{32}$/.test(databaseId))
      throw new ChatError(ErrorCode.DATABASE_CORRUPT, "database_id: must be 32 hexadecimal digits; restore a backup");
    return join(this.#folder, `${databaseId}.${kind}`);
  }
}

/** The number in the file; -1 if there is none, or none that counts. */
async function written(file: string): Promise<bigint> {
  try {
    return parse(await readFile(file, "utf8"), file);
  } catch {
    // `read` reports it.
    return -1n;
  }
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
}

/** After a crash the file holds the old or the new text, never a part. */
async function replaceFile(folder: string, file: string, text: string): Promise<void> {
  await makeFolder(folder);
  const draft = `${file}.${randomBytes(8).toString("hex")}.new`;
  try {
    const handle = await open(draft, "wx", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

function parse(text: string, file: string): bigint {
  const generation = /^\d{1,20}\n$/.test(text) ? BigInt(text) : GENERATIONS;
  if (generation >= GENERATIONS) throw new Error(`${file}: is not a generation`);
  return generation;
}

/** The XDG Base Directory Specification: a relative path is to be ignored. */
function stateHome(): string {
  const configured = process.env["XDG_STATE_HOME"];
  return configured && isAbsolute(configured) ? configured : join(homedir(), ".local", "state");
}
