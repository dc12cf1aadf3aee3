import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type KeyDerivation, KeyDerivationSchema } from "@chatsdk/abi/host_pb";
import { deriveFromPassphrase, RECOMMENDED, SALT_LENGTH } from "./argon2id.ts";
import { describe, ensureKeyringKey, type KeyringEntry, readKeyringKey } from "./keyring.ts";

/** What protects a database. There is no default: leaving it open is a decision. */
export type StorageKey =
  /** A text the user knows; any Unicode, not empty. As strong as it is hard to guess. */
  | { passphrase: string }
  /** 32 bytes of full entropy, kept by the application. */
  | { rawKey: Uint8Array }
  /** A random key kept by the operating system: Secret Service, Keychain, Credential Manager. */
  | { keyring: KeyringEntry }
  /** No protection: whoever can read the file reads keys and messages, and any SQLite tool shows the messages. */
  | { unprotected: true };

const KEY_LENGTH = 32;

/**
 * How the key of a new database will be made: with a fresh salt for a passphrase; for a keyring, its entry gets a random key if it has
 * none. Rejects with ChatError INVALID_ARGUMENT for a malformed key, KEYRING_UNAVAILABLE if the system has no keyring.
 */
export async function newDerivation(storageKey: StorageKey): Promise<KeyDerivation> {
  const key = checked(storageKey);
  switch (key.kind) {
    case "unprotected":
      return create(KeyDerivationSchema, { derivation: { case: "unprotected", value: {} } });
    case "rawKey":
      return create(KeyDerivationSchema, { derivation: { case: "rawKey", value: {} } });
    case "passphrase":
      return create(KeyDerivationSchema, {
        derivation: { case: "argon2id", value: { salt: Uint8Array.from(randomBytes(SALT_LENGTH)), ...RECOMMENDED } },
      });
    case "keyring":
      await ensureKeyringKey(key.entry);
      return create(KeyDerivationSchema, { derivation: { case: "keyring", value: key.entry } });
  }
}

/**
 * The 32 bytes that open a vault whose header names `derivation`; zeros if it is unprotected. The array is the caller's to wipe.
 * Rejects with ChatError:
 * - INVALID_ARGUMENT: `storageKey` is malformed;
 * - WRONG_KEY: the database needs a key of another kind, which the message names, or the keyring has lost it;
 * - KEYRING_UNAVAILABLE: the system has no keyring, or it stays locked;
 * - DATABASE_CORRUPT, STORAGE_FAILED: see `deriveFromPassphrase`;
 * - UNSUPPORTED_VERSION: a kind this version does not know.
 */
export async function deriveKey(storageKey: StorageKey, derivation: KeyDerivation): Promise<Uint8Array> {
  const key = checked(storageKey);
  const needed = derivation.derivation;
  switch (needed.case) {
    case "unprotected":
      if (key.kind !== "unprotected")
        throw wrongKind(key.kind, "is not protected: open it with storageKey: { unprotected: true }");
      return new Uint8Array(KEY_LENGTH);
    case "rawKey":
      if (key.kind !== "rawKey") throw wrongKind(key.kind, "needs a raw key: give storageKey.rawKey");
      return key.bytes;
    case "argon2id":
      if (key.kind !== "passphrase") throw wrongKind(key.kind, "needs a passphrase: give storageKey.passphrase");
      return await deriveFromPassphrase(key.bytes, needed.value);
    case "keyring": {
      if (key.kind !== "keyring")
        throw wrongKind(key.kind, `needs a key of the keyring: give storageKey.keyring with ${describe(needed.value)}`);
      // The caller's names are read, not the file's: a foreign file must not choose the entry.
      if (key.entry.service !== needed.value.service || key.entry.account !== needed.value.account) {
        throw new ChatError(
          ErrorCode.WRONG_KEY,
          `storageKey.keyring: ${describe(key.entry)} is not the entry of this database, which is ${describe(needed.value)}`,
        );
      }
      const bytes = await readKeyringKey(key.entry);
      if (!bytes)
        throw new ChatError(
          ErrorCode.WRONG_KEY,
          `storageKey.keyring: the keyring has no ${describe(key.entry)}; restore the entry, or open the database where it was made`,
        );
      return bytes;
    }
    case undefined:
      throw new ChatError(
        ErrorCode.UNSUPPORTED_VERSION,
        "derivation: the database uses a kind of key this version does not know; update the SDK",
      );
  }
}

type CheckedKey =
  | { kind: "unprotected" }
  | { kind: "rawKey"; bytes: Uint8Array }
  | { kind: "passphrase"; bytes: Uint8Array }
  | { kind: "keyring"; entry: KeyringEntry };

/** A StorageKey as JavaScript callers really give it: `unknown` until checked. Messages never repeat what was given. */
function checked(storageKey: unknown): CheckedKey {
  const given: Record<string, unknown> = typeof storageKey === "object" && storageKey !== null ? { ...storageKey } : {};
  const kinds = Object.keys(given);
  if (kinds.length !== 1)
    throw invalid("storageKey", "give exactly one of passphrase, rawKey, keyring and unprotected");
  const { passphrase, rawKey, keyring, unprotected } = given;
  if (unprotected === true) return { kind: "unprotected" };
  if (typeof passphrase === "string") return { kind: "passphrase", bytes: passphraseBytes(passphrase) };
  if (rawKey instanceof Uint8Array) {
    if (rawKey.length !== KEY_LENGTH)
      throw invalid("storageKey.rawKey", `${rawKey.length} bytes, must be exactly ${KEY_LENGTH}`);
    return { kind: "rawKey", bytes: Uint8Array.from(rawKey) };
  }
  if (isEntry(keyring)) {
    if (keyring.service === "" || keyring.account === "")
      throw invalid("storageKey.keyring", "service and account must not be empty");
    return { kind: "keyring", entry: { service: keyring.service, account: keyring.account } };
  }
  throw invalid(
    "storageKey",
    "must be { passphrase: text }, { rawKey: bytes }, { keyring: { service, account } } or { unprotected: true }",
  );
}

/** Normalised, because keyboards write the same letter in different ways (RFC 8265 section 4.2 also demands NFC). */
function passphraseBytes(passphrase: string): Uint8Array {
  if (passphrase === "")
    throw invalid("storageKey.passphrase", "must not be empty; for no protection give unprotected: true");
  // Two passphrases that differ there alone would give one key.
  if (!passphrase.isWellFormed())
    throw invalid("storageKey.passphrase", "holds half a surrogate pair; give valid Unicode");
  return new TextEncoder().encode(passphrase.normalize("NFC"));
}

function isEntry(value: unknown): value is KeyringEntry {
  return (
    typeof value === "object" &&
    value !== null &&
    "service" in value &&
    typeof value.service === "string" &&
    "account" in value &&
    typeof value.account === "string"
  );
}

function wrongKind(given: CheckedKey["kind"], needed: string): ChatError {
  return new ChatError(ErrorCode.WRONG_KEY, `storageKey.${given}: this database ${needed}`);
}

function invalid(field: string, what: string): ChatError {
  return new ChatError(ErrorCode.INVALID_ARGUMENT, `${field}: ${what}`);
}
