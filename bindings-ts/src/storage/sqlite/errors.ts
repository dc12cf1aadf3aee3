import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";

/** Primary result codes of SQLite; the extended ones carry them in their low byte. */
export const SQLITE = {
  ERROR: 1,
  PERM: 3,
  BUSY: 5,
  LOCKED: 6,
  READONLY: 8,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  NOTADB: 26,
} as const;

/** No space for the -shm file, which the check of a database after a crash needs. */
const IOERR_SHMSIZE = 10 | (19 << 8);

/** The primary result code, or `undefined` if the error is not SQLite's. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return undefined;
  return error.errcode === IOERR_SHMSIZE ? SQLITE.FULL : error.errcode & 0xff;
}

/** The typed error for what SQLite or Node threw. `subject` names the file. SQLite's own texts never hold values. */
export function storageError(error: unknown, subject: string): ChatError {
  if (error instanceof ChatError) return error;
  switch (sqliteCode(error) ?? fileSystemCode(error)) {
    case SQLITE.BUSY:
    case SQLITE.LOCKED:
      return new ChatError(
        ErrorCode.DATABASE_LOCKED,
        `${subject}: is open in another client or process; close it there first`,
        { retryable: true, cause: error },
      );
    case SQLITE.CORRUPT:
    case SQLITE.NOTADB:
      return corrupt(subject, "is damaged", { cause: error });
    case SQLITE.FULL:
      return new ChatError(
        ErrorCode.STORAGE_FULL,
        `${subject}: no space is left, nothing was changed; free space and try again`,
        { retryable: true, cause: error },
      );
    case SQLITE.READONLY:
    case SQLITE.PERM:
    case SQLITE.CANTOPEN:
      return new ChatError(
        ErrorCode.STORAGE_FAILED,
        `${subject}: cannot be written; allow writing the file and its folder`,
        { cause: error },
      );
    default:
      return new ChatError(
        ErrorCode.STORAGE_FAILED,
        `${subject}: the storage failed, nothing was changed; see the cause`,
        { cause: error },
      );
  }
}

/** Our statements fit our schema: where SQLite can only say that one does not, the schema is damaged. Any other error stays as it is. */
export function schemaError(error: unknown, subject: string): unknown {
  return sqliteCode(error) === SQLITE.ERROR ? corrupt(subject, "has a damaged schema", { cause: error }) : error;
}

/** The SQLite code that means the same as an error of node:fs. */
function fileSystemCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  if (error.code === "ENOSPC" || error.code === "EDQUOT") return SQLITE.FULL;
  if (error.code === "EACCES" || error.code === "EPERM" || error.code === "EROFS") return SQLITE.PERM;
  return undefined;
}

/** DATABASE_CORRUPT; `what` completes "the file ...". */
export function corrupt(subject: string, what: string, options: { remedy?: string; cause?: unknown } = {}): ChatError {
  return new ChatError(
    ErrorCode.DATABASE_CORRUPT,
    `${subject}: ${what}; it was not changed; ${options.remedy ?? "restore a backup"}`,
    { cause: options.cause },
  );
}
