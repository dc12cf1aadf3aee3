import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";

type Sqlite = typeof import("node:sqlite");

let loaded: Sqlite | undefined;

/**
 * Node's own SQLite. Loaded on first use and not imported, because Node prints its "SQLite is an experimental feature" warning
 * at load time, on the stderr of an application that never chose SQLite. Throws STORAGE_FAILED where Node has none.
 */
export function sqlite(): Sqlite {
  loaded ??= withoutSqliteWarning(() => process.getBuiltinModule("node:sqlite"));
  if (!loaded)
    throw new ChatError(
      ErrorCode.STORAGE_FAILED,
      `Node ${process.version} has no node:sqlite: use Node 22.13 or newer`,
    );
  return loaded;
}

/**
 * Drops that one warning and passes on every other. The replacement lives only while a synchronous function runs, so no code
 * but the loader of node:sqlite can meet it.
 */
function withoutSqliteWarning<T>(load: () => T): T {
  const emitWarning = process.emitWarning;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    const isSqliteWarning =
      typeof warning === "string" &&
      warning.startsWith("SQLite is an experimental feature") &&
      rest[0] === "ExperimentalWarning";
    if (!isSqliteWarning) Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof process.emitWarning;
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
