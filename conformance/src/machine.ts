import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Conversation, Event, Message } from "@chatsdk/abi/api_pb";
import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import {
  type Change,
  type Config,
  ConfigSchema,
  type Effect,
  InputSchema,
  KeyDerivationSchema,
  type Outcome,
  type Read,
  type Reply,
} from "@chatsdk/abi/host_pb";
import { type Answer, ChatError, Core, type Crypto, Entropy, type Steps, Vault } from "@chatsdk/core";

export type InputValue = NonNullable<MessageInitShape<typeof InputSchema>["input"]>;

/** Everything a machine has stored; plain data, so that tests compare and copy it. */
export interface Disk {
  records: Map<string, Uint8Array>;
  tags: Map<string, string>;
  messages: Map<string, Message>;
  conversations: Map<string, Conversation>;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export function emptyDisk(): Disk {
  return { records: new Map(), tags: new Map(), messages: new Map(), conversations: new Map() };
}

export function copyDisk(disk: Disk): Disk {
  return {
    records: new Map(disk.records),
    tags: new Map(disk.tags),
    messages: new Map(disk.messages),
    conversations: new Map(disk.conversations),
  };
}

/** All bytes of a disk in one string: equal strings, equal states. */
export function fingerprint(disk: Disk): string {
  const lines = [...disk.records].map(([key, value]) => `${key}=${hex(value)}`);
  for (const [tag, key] of disk.tags) lines.push(`#${tag}=${key}`);
  const plain = (_: string, value: unknown): unknown =>
    typeof value === "bigint" ? `${value}n` : value instanceof Uint8Array ? hex(value) : value;
  for (const [id, row] of [...disk.messages, ...disk.conversations]) lines.push(`${id}:${JSON.stringify(row, plain)}`);
  return lines.sort().join("\n");
}

/**
 * A core with a disk in memory and nothing else: no clock, no network. Entropy comes from a seeded generator, so that a
 * run can be repeated.
 */
export class Machine {
  readonly events: Event[] = [];
  core: Core;
  readonly vault: Vault;
  #drawn = 0;

  constructor(
    readonly name: string,
    readonly crypto: Crypto,
    readonly config: MessageInitShape<typeof ConfigSchema> = {},
    public disk: Disk = emptyDisk(),
    readonly seed = name,
  ) {
    const derivation = create(KeyDerivationSchema, { derivation: { case: "rawKey", value: {} } });
    const header = Vault.create(
      crypto,
      derivation,
      new Uint8Array(32),
      new Entropy(crypto, crypto.sha256(Buffer.from(name))),
    );
    this.vault = Vault.open(crypto, header, new Uint8Array(32));
    this.core = this.#newCore();
  }

  #newCore(): Core {
    return new Core(this.crypto, create(ConfigSchema, this.config) as Config, this.vault);
  }

  /** The process ends and starts again: only the disk remains. */
  restart(): void {
    this.core = this.#newCore();
  }

  entropy(): Uint8Array {
    return this.crypto.sha256(Buffer.from(`${this.seed}/${this.#drawn++}`));
  }

  /** One step without committing: what a crash before the commit leaves behind. */
  prepare(nowMs: number, input: InputValue, entropy = this.entropy()): Outcome {
    return this.answer(this.core.step(create(InputSchema, { nowMs: BigInt(nowMs), entropy, input })));
  }

  /** One step, committed. Effects are for the caller. */
  step(nowMs: number, input: InputValue): Outcome {
    const outcome = this.prepare(nowMs, input);
    this.commit(outcome.changes);
    this.events.push(...outcome.events);
    return outcome;
  }

  /** A call: its reply's value, or the failure as a ChatError. Effects go to `effects`. */
  call<Case extends NonNullable<Reply["reply"]["case"]>>(
    nowMs: number,
    input: InputValue,
    expected: Case,
    effects: Effect[] = [],
  ) {
    const outcome = this.step(nowMs, input);
    effects.push(...outcome.effects);
    const reply = outcome.reply!.reply;
    if (reply.case === "failure")
      throw new ChatError(reply.value.code, reply.value.message, { retryable: reply.value.retryable });
    if (reply.case !== expected) throw new Error(`reply ${reply.case}, not ${expected}`);
    return reply.value as Extract<Reply["reply"], { case: Case }>["value"];
  }

  answer<Result>(steps: Steps<Result>): Result {
    let next = steps.next();
    while (!next.done) next = steps.next(this.#read(next.value));
    return next.value;
  }

  #read({ read }: Read): Answer {
    const found = (key: string | undefined): Answer => {
      const value = key === undefined ? undefined : this.disk.records.get(key);
      return value ? [{ key: key!, value }] : [];
    };
    if (read.case === "get") return found(read.value);
    if (read.case === "findTag") return found(this.disk.tags.get(hex(read.value)));
    if (read.case !== "scan") throw new Error("empty read");
    const { prefix, limit } = read.value;
    const keys = [...this.disk.records.keys()].filter((key) => key.startsWith(prefix)).sort();
    return (limit === 0 ? keys : keys.slice(0, limit)).map((key) => ({ key, value: this.disk.records.get(key)! }));
  }

  commit(changes: readonly Change[]): void {
    for (const { change } of changes) this.#apply(change);
  }

  #apply(change: Change["change"]): void {
    const { records, tags, messages, conversations } = this.disk;
    switch (change.case) {
      case "put":
        records.set(change.value.key, change.value.value);
        break;
      case "delete":
        this.#deleteRecord(change.value);
        break;
      case "deletePrefix":
        for (const key of [...records.keys()]) if (key.startsWith(change.value)) this.#deleteRecord(key);
        break;
      case "addTags":
        for (const tag of split(change.value.tags)) tags.set(tag, change.value.key);
        break;
      case "removeTags":
        for (const tag of split(change.value.tags)) tags.delete(tag);
        break;
      case "putMessage":
        messages.set(`${change.value.conversationId}/${change.value.messageId}`, change.value);
        break;
      case "setStatus": {
        const message = messages.get(`${change.value.conversationId}/${change.value.messageId}`);
        if (message && message.status < change.value.status)
          messages.set(`${message.conversationId}/${message.messageId}`, { ...message, status: change.value.status });
        break;
      }
      case "peerRead": {
        const upTo = messages.get(`${change.value.conversationId}/${change.value.messageId}`);
        for (const [id, message] of messages) {
          if (
            upTo &&
            message.conversationId === upTo.conversationId &&
            message.outgoing &&
            message.lamport <= upTo.lamport &&
            message.status === DeliveryStatus.DELIVERED
          ) {
            messages.set(id, { ...message, status: DeliveryStatus.READ });
          }
        }
        break;
      }
      case "ownRead":
        break;
      case "putConversation":
        conversations.set(change.value.conversationId, change.value);
        break;
      case "deleteConversation":
        conversations.delete(change.value);
        for (const id of [...messages.keys()]) if (id.startsWith(`${change.value}/`)) messages.delete(id);
        break;
      default:
        throw new Error(`unknown change ${change.case}`);
    }
  }

  #deleteRecord(key: string): void {
    this.disk.records.delete(key);
    for (const [tag, found] of this.disk.tags) if (found === key) this.disk.tags.delete(tag);
  }
}

function split(tags: Uint8Array): string[] {
  const list: string[] = [];
  for (let offset = 0; offset < tags.length; offset += 8) list.push(hex(tags.subarray(offset, offset + 8)));
  return list;
}
