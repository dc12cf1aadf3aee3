import { randomBytes } from "node:crypto";
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { corrupt, SQLITE, schemaError, sqliteCode, storageError } from "./errors.ts";
import { sqlite } from "./runtime.ts";
import { APPLICATION_ID, damagedObjects, SCHEMA, SCHEMA_VERSION } from "./schema.ts";

/** Larger files are not read through at open: 64 MiB in the page cache take about 60 ms, from a slow disk seconds. */
const QUICK_CHECK_BYTES = 64 * 1024 * 1024;

/** For every connection that may write; docs/database.md gives the reasons. */
const CONNECTION_PRAGMAS = `
  PRAGMA synchronous = FULL;
  PRAGMA fullfsync = ON;
  PRAGMA checkpoint_fullfsync = ON;
  PRAGMA secure_delete = ON;
  PRAGMA foreign_keys = ON;
  PRAGMA trusted_schema = OFF;
  PRAGMA cell_size_check = ON;
  PRAGMA temp_store = MEMORY;
`;

export interface OpenOptions {
  /** Make the database if there is no file. Default: a missing file is an error. */
  create?: boolean;
  /** The file may grow to so many bytes, rounded down to pages of 4,096; a commit beyond is STORAGE_FULL. Default: no limit. */
  maximumBytes?: number;
}

/**
 * Opens or makes the database file and takes its lock. A file that is not a sound database of ours is refused and left as it
 * is, byte for byte. Throws the errors of `SqliteStorage.open`.
 */
export function openFile(path: string, options: OpenOptions): { database: DatabaseSync; subject: string } {
  if (path === "" || path.includes("\0")) throw new ChatError(ErrorCode.INVALID_ARGUMENT, "path: must name a file");
  const file = resolve(path);
  const subject = `path ${file}`;
  try {
    if (!fileExists(file, subject)) {
      if (!options.create)
        throw new ChatError(
          ErrorCode.INVALID_ARGUMENT,
          `${subject}: there is no such file; correct it, or open with create: true`,
        );
      createFile(file, subject);
    }
    return { database: openExisting(realpathSync(file), options, subject), subject };
  } catch (error) {
    throw storageError(schemaError(error, subject), subject);
  }
}

// SQLite's locks are POSIX locks: closing any descriptor of the file drops all of this process, also those of another thread's
// storage. So an existing database is never opened with node:fs, only looked at with stat and access.

function openExisting(file: string, options: OpenOptions, subject: string): DatabaseSync {
  requireWritable(file, subject);
  requireWritable(dirname(file), subject);
  if (statSync(file).size === 0) throw corrupt(subject, "is empty, which a database never is");
  checkIdentity(file, subject);

  const uncheckpointedBytes = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  const small = statSync(file).size + uncheckpointedBytes < QUICK_CHECK_BYTES;
  if (uncheckpointedBytes > 0) {
    // After a crash. The connection below would merge the -wal file into a damaged database when it closes; this one cannot.
    withDatabase(connect(file, "mode=ro"), (database) => checkContent(database, small, subject));
  }

  const database = connect(file, "mode=rw");
  try {
    // In WAL mode the first read after this takes the file's exclusive lock, for every process and until close.
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    if (uncheckpointedBytes === 0) {
      checkLength(file, database, subject);
      checkContent(database, small, subject);
    }
    checkHeader(database, subject);
    if (pragma(database, "journal_mode = WAL") !== "wal")
      throw new ChatError(
        ErrorCode.STORAGE_FAILED,
        `${subject}: the file system does not allow a write-ahead log; use a local disk`,
      );
    database.exec(CONNECTION_PRAGMAS);
    // Left by the read-only connection; nobody else can use it under our lock.
    rmSync(`${file}-shm`, { force: true });
    // Deleted keys must not outlive a crash in the -wal file.
    if (uncheckpointedBytes > 0 && truncateWal(database)) checkLength(file, database, subject);
    if (options.maximumBytes !== undefined) database.exec(`PRAGMA max_page_count = ${pageCount(options.maximumBytes)}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Whose database this is, read without locks and without the -wal file, so that another application's file stays untouched.
 * `writable_schema` lets a file pass that a crash left shorter than its header says: its -wal file completes it.
 */
function checkIdentity(file: string, subject: string): void {
  const [applicationId, version] = withDatabase(connect(file, "mode=ro&immutable=1"), (database) => {
    database.exec("PRAGMA writable_schema = ON");
    return [pragma(database, "application_id"), Number(pragma(database, "user_version"))];
  });
  if (applicationId !== APPLICATION_ID) throw corrupt(subject, "is a database of another application");
  if (version > SCHEMA_VERSION) {
    throw new ChatError(
      ErrorCode.UNSUPPORTED_VERSION,
      `${subject}: schema version ${version} is newer than ${SCHEMA_VERSION}, the newest this SDK knows; update the SDK`,
    );
  }
  if (version < 1) throw corrupt(subject, "has no schema version");
}

/** False if there is no space for it: then all is read from the -wal file, as before. */
function truncateWal(database: DatabaseSync): boolean {
  try {
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return true;
  } catch (error) {
    if (sqliteCode(error) === SQLITE.FULL) return false;
    throw error;
  }
}

/** SQLite notices missing pages, but reads a last page that is cut as if it ended in zeros. */
function checkLength(file: string, database: DatabaseSync, subject: string): void {
  const length = Number(pragma(database, "page_count")) * Number(pragma(database, "page_size"));
  if (statSync(file).size < length) throw corrupt(subject, "is cut short");
}

/** The file can be written, that was looked at before. What else forbids it is its header, and none of ours does. */
function checkHeader(database: DatabaseSync, subject: string): void {
  try {
    database.exec("DELETE FROM meta WHERE false");
  } catch (error) {
    throw sqliteCode(error) === SQLITE.READONLY ? corrupt(subject, "has a damaged header", { cause: error }) : error;
  }
}

function checkContent(database: DatabaseSync, readThrough: boolean, subject: string): void {
  const damaged = damagedObjects(database);
  if (damaged.length > 0) throw corrupt(subject, `has a damaged schema, without a sound ${damaged.join(", ")}`);
  if (readThrough && pragma(database, "quick_check(1)") !== "ok") throw corrupt(subject, "is damaged");
}

/** Made under another name and given its own once complete and on disk: no crash leaves half a database under `file`. */
function createFile(file: string, subject: string): void {
  const folder = dirname(file);
  if (!existsSync(folder))
    throw new ChatError(ErrorCode.INVALID_ARGUMENT, `${subject}: its folder does not exist; make it first`);
  requireWritable(folder, subject);
  for (const remnant of [`${file}-wal`, `${file}-journal`]) {
    // SQLite would mix it into the new database.
    if (existsSync(remnant))
      throw corrupt(subject, `is missing, but ${remnant} is there and may hold its newest commits`, {
        remedy: "put the file back, or remove both",
      });
  }
  const draft = `${file}.${randomBytes(8).toString("hex")}.new`;
  try {
    // Before SQLite does, so that nobody else may read it.
    closeSync(openSync(draft, "wx", 0o600));
    withDatabase(connect(draft, "mode=rw"), (database) => {
      database.exec(`${CONNECTION_PRAGMAS} PRAGMA journal_mode = WAL;`);
      database.exec(
        `BEGIN; ${SCHEMA} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT;`,
      );
    });
    giveName(draft, file);
    syncFolder(folder);
  } finally {
    for (const suffix of ["", "-journal", "-wal", "-shm"]) rmSync(draft + suffix, { force: true });
  }
}

/** Never replaces a file: one that another process has made meanwhile is the one to open. */
function giveName(draft: string, file: string): void {
  try {
    linkSync(draft, file);
  } catch (error) {
    const code = errnoOf(error);
    if (code === "EEXIST") return;
    if (code === "ENOSPC" || code === "EACCES" || code === "EROFS" || existsSync(file)) throw error;
    // File systems without hard links.
    renameSync(draft, file);
  }
}

function syncFolder(folder: string): void {
  // Windows cannot and need not.
  if (process.platform === "win32") return;
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function fileExists(file: string, subject: string): boolean {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat && !stat.isFile())
    throw new ChatError(ErrorCode.INVALID_ARGUMENT, `${subject}: is not a regular file; name a file`);
  return stat !== undefined;
}

function requireWritable(path: string, subject: string): void {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw new ChatError(
      ErrorCode.STORAGE_FAILED,
      `${subject}: ${path} is read-only; allow reading and writing it, or use another place`,
      { cause: error },
    );
  }
}

/** `mode` rather than flags: SQLite must not make a file that vanished since we looked. */
function connect(file: string, parameters: string): DatabaseSync {
  const { DatabaseSync } = sqlite();
  return new DatabaseSync(`${pathToFileURL(file).href}?${parameters}`, {
    readOnly: parameters.startsWith("mode=ro"),
    enableDoubleQuotedStringLiterals: false,
  });
}

function withDatabase<T>(database: DatabaseSync, use: (database: DatabaseSync) => T): T {
  try {
    return use(database);
  } finally {
    database.close();
  }
}

function pragma(database: DatabaseSync, text: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${text}`).get() ?? {})[0];
}

function pageCount(maximumBytes: number): number {
  const pages = Math.floor(maximumBytes / 4096);
  if (!(pages >= 1)) throw new ChatError(ErrorCode.INVALID_ARGUMENT, "maximumBytes: must be at least 4,096");
  return Math.min(pages, 0xfffffffe);
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
