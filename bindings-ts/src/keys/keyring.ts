import { randomBytes } from "node:crypto";
import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";

/** Which entry of the operating system's keyring. */
export interface KeyringEntry {
  /** Names the application. */
  service: string;
  /** Names the database within the application. */
  account: string;
}

/**
 * The key of an entry, 32 bytes; `undefined` if there is none. Rejects with ChatError KEYRING_UNAVAILABLE if the system has no
 * keyring or it stays locked, WRONG_KEY if the entry holds something else.
 */
export async function readKeyringKey(entry: KeyringEntry): Promise<Uint8Array | undefined> {
  const text = await withKeyring(entry, (keyring) => keyring.getPassword());
  if (text === null) return undefined;
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new ChatError(
      ErrorCode.WRONG_KEY,
      `storageKey.keyring: ${describe(entry)} holds something other than a key of this SDK; name another entry`,
    );
  }
  return Uint8Array.from(Buffer.from(text, "hex"));
}

/**
 * Makes a random key in the keyring, unless the entry has one: another database may depend on it. Rejects as `readKeyringKey`.
 * Kept as 64 hexadecimal digits, because keyrings hold texts in every language.
 */
export async function ensureKeyringKey(entry: KeyringEntry): Promise<void> {
  if (await readKeyringKey(entry)) return;
  const key = randomBytes(32).toString("hex");
  await withKeyring(entry, (keyring) => keyring.setPassword(key));
  const kept = await withKeyring(entry, (keyring) => keyring.getPassword());
  if (kept !== key) throw unavailable(new Error(`${describe(entry)}: the key was not kept as written`));
}

export function describe({ service, account }: KeyringEntry): string {
  return `service ${JSON.stringify(service)}, account ${JSON.stringify(account)}`;
}

type AsyncEntry = import("@napi-rs/keyring").AsyncEntry;

async function withKeyring<T>(entry: KeyringEntry, use: (keyring: AsyncEntry) => Promise<T>): Promise<T> {
  try {
    // Loaded on demand: it is a native module, which a platform may lack.
    const { AsyncEntry } = await import("@napi-rs/keyring");
    // Without this it falls back to the kernel's keyring, which forgets at shutdown: the database would be lost.
    return await use(new AsyncEntry(entry.service, entry.account, { linux: { store: "secret-service" } }));
  } catch (error) {
    throw unavailable(error);
  }
}

function unavailable(cause: unknown): ChatError {
  return new ChatError(
    ErrorCode.KEYRING_UNAVAILABLE,
    "storageKey.keyring: the system has no usable keyring; unlock it, or give a passphrase or a raw key",
    { cause },
  );
}
