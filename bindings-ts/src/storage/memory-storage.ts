import { clone } from "@bufbuild/protobuf";
import { ChatError } from "@chatsdk/core";
import {
  type Conversation,
  ConversationSchema,
  DeliveryStatus,
  FailureReason,
  type Message,
  MessageSchema,
} from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type Change, type StatusChange, type VaultHeader, VaultHeaderSchema } from "@chatsdk/abi/host_pb";
import { mayBecome } from "./delivery-status.ts";
import { compareKeys } from "./key-order.ts";
import { matchesWords, queryWords } from "./search-words.ts";
import type {
  MessageRow,
  MessageStore,
  PageRequest,
  Position,
  SearchOptions,
  SecretStore,
  Storage,
} from "./storage.ts";
import { checkChanges, checkLimit, eachTag } from "./validation.ts";

/**
 * A storage in memory, with the semantics of `SqliteStorage`, for tests and throw-away clients. VOLATILE: everything, keys
 * included, is gone when the process ends; every account made in it is then lost, and its peers' messages with it.
 */
export class MemoryStorage implements Storage {
  readonly #secrets = new MemorySecrets(() => this.#requireOpen());
  readonly #messages = new MemoryMessages(() => this.#requireOpen());
  #header: VaultHeader | undefined;
  #open = true;

  get secrets(): SecretStore {
    return this.#secrets;
  }

  get messages(): MessageStore {
    return this.#messages;
  }

  async header(): Promise<VaultHeader | undefined> {
    this.#requireOpen();
    return this.#header && clone(VaultHeaderSchema, this.#header);
  }

  async setHeader(header: VaultHeader): Promise<void> {
    this.#requireOpen();
    this.#header = clone(VaultHeaderSchema, header);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    checkChanges(changes);
    this.#requireOpen();
    // Atomic: nothing below can fail.
    for (const change of changes) this.#apply(change);
  }

  async close(): Promise<void> {
    this.#open = false;
  }

  #requireOpen(): void {
    if (!this.#open) throw new ChatError(ErrorCode.CLOSED, "the storage is closed; open it again");
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

class MemorySecrets implements SecretStore {
  readonly #requireOpen: () => void;
  readonly #records = new Map<string, Uint8Array>();
  /** From a tag in hexadecimal to a key. */
  readonly #keys = new Map<string, string>();
  /** From a key to its tags in hexadecimal. */
  readonly #tags = new Map<string, Set<string>>();

  constructor(requireOpen: () => void) {
    this.#requireOpen = requireOpen;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    this.#requireOpen();
    return this.#records.get(key)?.slice();
  }

  async findTag(tag: Uint8Array): Promise<{ key: string; value: Uint8Array } | undefined> {
    this.#requireOpen();
    const key = this.#keys.get(hex(tag));
    const value = key === undefined ? undefined : this.#records.get(key);
    return key === undefined || value === undefined ? undefined : { key, value: value.slice() };
  }

  async scan(prefix: string, limit: number): Promise<{ key: string; value: Uint8Array }[]> {
    this.#requireOpen();
    const keys = this.#keysStartingWith(prefix).sort(compareKeys);
    return keys
      .slice(0, limit || undefined)
      .map((key) => ({ key, value: this.#records.get(key)?.slice() ?? new Uint8Array(0) }));
  }

  put(key: string, value: Uint8Array): void {
    this.#records.set(key, Uint8Array.from(value));
  }

  delete(key: string): void {
    // Like the trigger of SQLite: tags without a record stay.
    if (!this.#records.delete(key)) return;
    for (const tag of this.#tags.get(key) ?? []) this.#keys.delete(tag);
    this.#tags.delete(key);
  }

  deletePrefix(prefix: string): void {
    for (const key of this.#keysStartingWith(prefix)) this.delete(key);
  }

  addTags(key: string, tags: Uint8Array): void {
    this.removeTags(tags);
    const own = this.#tags.get(key) ?? new Set();
    this.#tags.set(key, own);
    for (const tag of eachTag(tags)) {
      own.add(hex(tag));
      this.#keys.set(hex(tag), key);
    }
  }

  removeTags(tags: Uint8Array): void {
    for (const tag of eachTag(tags)) {
      const key = this.#keys.get(hex(tag));
      if (key === undefined) continue;
      this.#keys.delete(hex(tag));
      this.#tags.get(key)?.delete(hex(tag));
    }
  }

  #keysStartingWith(prefix: string): string[] {
    return [...this.#records.keys()].filter((key) => key.startsWith(prefix));
  }
}

class MemoryMessages implements MessageStore {
  readonly #requireOpen: () => void;
  readonly #conversations = new Map<string, Conversation>();
  /** Rows by conversation, then by message id. */
  readonly #rows = new Map<string, Map<string, MessageRow>>();

  constructor(requireOpen: () => void) {
    this.#requireOpen = requireOpen;
  }

  async conversations(accountId?: string): Promise<Conversation[]> {
    this.#requireOpen();
    return [...this.#conversations.values()]
      .filter((conversation) => accountId === undefined || conversation.accountId === accountId)
      .sort(
        (a, b) => compareSigned(b.lastActivityMs, a.lastActivityMs) || compareKeys(a.conversationId, b.conversationId),
      )
      .map((conversation) => clone(ConversationSchema, conversation));
  }

  async conversation(conversationId: string): Promise<Conversation | undefined> {
    this.#requireOpen();
    const conversation = this.#conversations.get(conversationId);
    return conversation && clone(ConversationSchema, conversation);
  }

  async message(conversationId: string, messageId: string): Promise<MessageRow | undefined> {
    this.#requireOpen();
    const row = this.#row(conversationId, messageId);
    return row && cloneRow(row);
  }

  async page({ conversationId, before, limit }: PageRequest): Promise<MessageRow[]> {
    this.#requireOpen();
    checkLimit(limit);
    return newest(this.#rowsOf(conversationId), before, limit);
  }

  async unreadCount(conversationId: string): Promise<number> {
    this.#requireOpen();
    const counted = (row: MessageRow) => row.domain !== 0 || [1, 2, 5].includes(row.tag);
    return this.#rowsOf(conversationId).filter((row) => !row.outgoing && !row.readByUs && counted(row)).length;
  }

  async search(query: string, { conversationId, limit, before }: SearchOptions): Promise<MessageRow[]> {
    this.#requireOpen();
    checkLimit(limit);
    const words = queryWords(query);
    const rows =
      conversationId === undefined
        ? [...this.#rows.keys()].flatMap((id) => this.#rowsOf(id))
        : this.#rowsOf(conversationId);
    return newest(
      rows.filter((row) => matchesWords(row.text ?? "", words)),
      before,
      limit,
    );
  }

  putMessage(message: Message): void {
    const rows = this.#rows.get(message.conversationId) ?? new Map<string, MessageRow>();
    this.#rows.set(message.conversationId, rows);
    const readByUs = rows.get(message.messageId)?.readByUs ?? message.outgoing;
    rows.set(message.messageId, cloneRow({ ...message, readByUs }));
  }

  setStatus({ conversationId, messageId, status, failureReason }: StatusChange): void {
    const row = this.#row(conversationId, messageId);
    if (!row?.outgoing || !mayBecome(row.status, status)) return;
    row.status = status;
    row.failureReason = status === DeliveryStatus.FAILED ? failureReason : FailureReason.FAILURE_REASON_UNSPECIFIED;
  }

  peerRead(conversationId: string, messageId: string): void {
    const newestRead = this.#row(conversationId, messageId);
    if (!newestRead?.outgoing) return;
    for (const row of this.#rowsOf(conversationId)) {
      if (
        row.outgoing &&
        row.status === DeliveryStatus.DELIVERED &&
        compareSigned(row.lamport, newestRead.lamport) <= 0
      )
        row.status = DeliveryStatus.READ;
    }
  }

  ownRead(conversationId: string, messageId: string): void {
    const newestRead = this.#row(conversationId, messageId);
    if (!newestRead || newestRead.outgoing) return;
    for (const row of this.#rowsOf(conversationId)) {
      if (!row.outgoing && compareSigned(row.lamport, newestRead.lamport) <= 0) row.readByUs = true;
    }
  }

  putConversation(conversation: Conversation): void {
    this.#conversations.set(conversation.conversationId, clone(ConversationSchema, conversation));
  }

  deleteConversation(conversationId: string): void {
    this.#rows.delete(conversationId);
    this.#conversations.delete(conversationId);
  }

  #row(conversationId: string, messageId: string): MessageRow | undefined {
    return this.#rows.get(conversationId)?.get(messageId);
  }

  #rowsOf(conversationId: string): MessageRow[] {
    return [...(this.#rows.get(conversationId)?.values() ?? [])];
  }
}

function cloneRow(row: MessageRow): MessageRow {
  return Object.assign(clone(MessageSchema, row), { readByUs: row.readByUs });
}

function newest(rows: MessageRow[], before: Position | undefined, limit: number): MessageRow[] {
  return rows
    .filter((row) => !before || comparePositions(row, before) < 0)
    .sort((a, b) => comparePositions(b, a))
    .slice(0, limit)
    .map(cloneRow);
}

function comparePositions(a: Position, b: Position): number {
  return compareSigned(a.lamport, b.lamport) || compareKeys(a.messageId, b.messageId);
}

/** As SQLite stores 64-bit numbers: those from 2^63 on count as negative. */
function compareSigned(a: bigint, b: bigint): number {
  const difference = BigInt.asIntN(64, a) - BigInt.asIntN(64, b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
