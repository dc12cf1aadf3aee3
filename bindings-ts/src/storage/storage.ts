import type { Conversation, Message } from "@chatsdk/abi/api_pb";
import type { Change, VaultHeader } from "@chatsdk/abi/host_pb";

/**
 * Storage of one database, as the core's driver uses it. Two stores with one door: the secrets store (records sealed by the
 * core, found by key or by tag) and the message store (typed rows). `commit` spans both.
 *
 * A storage knows nothing of the protocol and never sees a key. Every implementation passes the suite in
 * conformance/src/storage-suite.ts.
 */
export interface Storage {
  readonly secrets: SecretStore;
  readonly messages: MessageStore;

  /** What was given to `setHeader`, or `undefined` for a database that has none yet. */
  header(): Promise<VaultHeader | undefined>;
  /** Writes the header of a new database, or replaces it when its key is changed. */
  setHeader(header: VaultHeader): Promise<void>;

  /**
   * Applies all changes in order, atomically and durably: after it resolves they survive a power failure; after it rejects
   * none of them is there. Rejects with a `ChatError`: STORAGE_FULL (retryable), DATABASE_CORRUPT, STORAGE_FAILED, CLOSED, or INTERNAL for
   * changes that are malformed. Values are copied: the caller may overwrite its arrays afterwards.
   */
  commit(changes: readonly Change[]): Promise<void>;

  /** Releases the storage; every later call rejects with CLOSED, but a second `close` does nothing. */
  close(): Promise<void>;
}

/** Records sealed by the core. */
export interface SecretStore {
  get(key: string): Promise<Uint8Array | undefined>;
  /** The record that an 8-byte tag finds. */
  findTag(tag: Uint8Array): Promise<{ key: string; value: Uint8Array } | undefined>;
  /** Records whose key starts with `prefix`, in the order of the key's bytes; `limit` 0 means all. */
  scan(prefix: string, limit: number): Promise<{ key: string; value: Uint8Array }[]>;
}

/**
 * A stored message. In a protected database `payload` is sealed, and `text` and `refersTo` are in it rather than in the row: see
 * `Vault.openMessage`. `readByUs` is true for our own messages.
 */
export type MessageRow = Message & { readByUs: boolean };

/** A message's place in the order of messages. */
export interface Position {
  lamport: bigint;
  messageId: string;
}

/** Which page of a conversation. Newest first. */
export interface PageRequest {
  conversationId: string;
  /** Return messages older than this one (its Lamport time and id); absent: from the newest. */
  before?: Position;
  /** 1 to 1,000. */
  limit: number;
}

/** Which found messages. Newest first. */
export interface SearchOptions {
  /** Only in this conversation; absent: in all. */
  conversationId?: string;
  /** 1 to 1,000. */
  limit: number;
  /** Return messages older than this one; absent: from the newest. */
  before?: Position;
}

/** Typed rows. */
export interface MessageStore {
  /** Latest activity first. */
  conversations(accountId?: string): Promise<Conversation[]>;
  conversation(conversationId: string): Promise<Conversation | undefined>;
  message(conversationId: string, messageId: string): Promise<MessageRow | undefined>;
  /** Newest first by Lamport time, ties by message id. Rejects with INVALID_ARGUMENT for a limit out of range. */
  page(request: PageRequest): Promise<MessageRow[]>;
  /** Incoming messages of domain 0 text, reply and attachment, and of every other domain, that are not marked read. */
  unreadCount(conversationId: string): Promise<number>;
  /**
   * Messages whose text matches every word of `query` (prefix match on the last), newest first; case and Latin accents do not
   * count, punctuation separates words and has no other meaning, and a query without a word finds nothing. Only for databases whose
   * messages are not sealed; `ChatClient.search` scans sealed ones itself, page by page. Rejects with INVALID_ARGUMENT for
   * a limit out of range.
   */
  search(query: string, options: SearchOptions): Promise<MessageRow[]>;
}
