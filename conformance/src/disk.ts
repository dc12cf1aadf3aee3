import { type Conversation, DeliveryStatus, FailureReason, type Message } from "@chatsdk/abi/api_pb";
import type { Change, Read } from "@chatsdk/abi/host_pb";
import type { Answer } from "@chatsdk/core";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const TAG_LENGTH = 8;

/** Everything a machine has stored, in memory: what a test compares, copies, steals and scans. */
export class Disk {
  readonly records = new Map<string, Uint8Array>();
  readonly tags = new Map<string, string>();
  readonly messages = new Map<string, Message>();
  readonly conversations = new Map<string, Conversation>();
  /** Keys of the records in their order. */
  #keys: string[] = [];
  readonly #tagsOf = new Map<string, Set<string>>();

  copy(): Disk {
    const copy = new Disk();
    for (const [key, value] of this.records) copy.records.set(key, value);
    copy.#keys = [...this.#keys];
    for (const [tag, key] of this.tags) copy.#addTag(tag, key);
    for (const [id, row] of this.messages) copy.messages.set(id, row);
    for (const [id, row] of this.conversations) copy.conversations.set(id, row);
    return copy;
  }

  /** All bytes in one string: equal strings, equal states. */
  fingerprint(): string {
    const lines = [...this.records].map(([key, value]) => `${key}=${hex(value)}`);
    for (const [tag, key] of this.tags) lines.push(`#${tag}=${key}`);
    const plain = (_: string, value: unknown): unknown =>
      typeof value === "bigint" ? `${value}n` : value instanceof Uint8Array ? hex(value) : value;
    for (const [id, row] of [...this.messages, ...this.conversations])
      lines.push(`${id}:${JSON.stringify(row, plain)}`);
    return lines.sort().join("\n");
  }

  /** Bytes of all records under a prefix. */
  size(prefix = ""): number {
    return this.keysUnder(prefix).reduce((sum, key) => sum + this.records.get(key)!.length, 0);
  }

  keysUnder(prefix: string): string[] {
    const start = this.#position(prefix);
    let end = start;
    while (end < this.#keys.length && this.#keys[end]!.startsWith(prefix)) end++;
    return this.#keys.slice(start, end);
  }

  answer({ read }: Read): Answer {
    const found = (key: string | undefined): Answer => {
      const value = key === undefined ? undefined : this.records.get(key);
      return value ? [{ key: key!, value }] : [];
    };
    switch (read.case) {
      case "get":
        return found(read.value);
      case "findTag":
        return found(this.tags.get(hex(read.value)));
      case "scan": {
        const keys = this.keysUnder(read.value.prefix);
        const { limit } = read.value;
        return (limit === 0 ? keys : keys.slice(0, limit)).map((key) => ({ key, value: this.records.get(key)! }));
      }
      default:
        throw new Error("empty read");
    }
  }

  apply({ change }: Change): void {
    switch (change.case) {
      case "put":
        this.#put(change.value.key, change.value.value);
        break;
      case "delete":
        this.#delete(change.value);
        break;
      case "deletePrefix":
        for (const key of this.keysUnder(change.value)) this.#delete(key);
        break;
      case "addTags":
        for (const tag of split(change.value.tags)) this.#addTag(tag, change.value.key);
        break;
      case "removeTags":
        for (const tag of split(change.value)) this.#removeTag(tag);
        break;
      case "putMessage":
        this.messages.set(rowId(change.value), change.value);
        break;
      case "setStatus":
        this.#setStatus(change.value);
        break;
      case "peerRead":
        this.#peerRead(change.value);
        break;
      case "ownRead":
        break;
      case "putConversation":
        this.conversations.set(change.value.conversationId, change.value);
        break;
      case "deleteConversation":
        this.conversations.delete(change.value);
        for (const id of [...this.messages.keys()]) if (id.startsWith(`${change.value}/`)) this.messages.delete(id);
        break;
      default:
        throw new Error(`unknown change ${change.case}`);
    }
  }

  /** Where a key stands or would stand. */
  #position(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #put(key: string, value: Uint8Array): void {
    if (!this.records.has(key)) this.#keys.splice(this.#position(key), 0, key);
    this.records.set(key, value);
  }

  #delete(key: string): void {
    if (!this.records.delete(key)) return;
    this.#keys.splice(this.#position(key), 1);
    for (const tag of [...(this.#tagsOf.get(key) ?? [])]) this.#removeTag(tag);
  }

  #addTag(tag: string, key: string): void {
    this.#removeTag(tag);
    this.tags.set(tag, key);
    const own = this.#tagsOf.get(key);
    if (own) own.add(tag);
    else this.#tagsOf.set(key, new Set([tag]));
  }

  #removeTag(tag: string): void {
    const key = this.tags.get(tag);
    if (key === undefined) return;
    this.tags.delete(tag);
    const own = this.#tagsOf.get(key)!;
    own.delete(tag);
    if (own.size === 0) this.#tagsOf.delete(key);
  }

  #setStatus(change: { conversationId: string; messageId: string; status: number; failureReason: number }): void {
    const row = this.messages.get(rowId(change));
    if (!row?.outgoing) return;
    const { status } = change;
    const forward =
      status === DeliveryStatus.FAILED
        ? row.status <= DeliveryStatus.SENT
        : row.status === DeliveryStatus.FAILED
          ? status === DeliveryStatus.DELIVERED || status === DeliveryStatus.READ
          : status > row.status;
    if (!forward) return;
    const failureReason =
      status === DeliveryStatus.FAILED ? change.failureReason : FailureReason.FAILURE_REASON_UNSPECIFIED;
    this.messages.set(rowId(row), { ...row, status, failureReason });
  }

  #peerRead(change: { conversationId: string; messageId: string }): void {
    const upTo = this.messages.get(rowId(change));
    if (!upTo?.outgoing) return;
    for (const [id, row] of this.messages) {
      const covered = row.conversationId === upTo.conversationId && row.outgoing && row.lamport <= upTo.lamport;
      if (covered && row.status === DeliveryStatus.DELIVERED)
        this.messages.set(id, { ...row, status: DeliveryStatus.READ });
    }
  }
}

function rowId({ conversationId, messageId }: { conversationId: string; messageId: string }): string {
  return `${conversationId}/${messageId}`;
}

function split(tags: Uint8Array): string[] {
  const list: string[] = [];
  for (let offset = 0; offset < tags.length; offset += TAG_LENGTH)
    list.push(hex(tags.subarray(offset, offset + TAG_LENGTH)));
  return list;
}
