import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import {
  type Conversation,
  type Event,
  EventSchema,
  type FailureReason,
  type Message,
  type DeliveryStatus,
} from "@chatsdk/abi/api_pb";
import {
  type Change,
  ChangeSchema,
  type Effect,
  EffectSchema,
  LogLevel,
  type Outcome,
  OutcomeSchema,
  type Priority,
  type Read,
  ReadSchema,
  type Record,
  type Reply,
} from "@chatsdk/abi/host_pb";
import { GenerationRecordSchema, RateRecordSchema, type StateRecord, StateRecordSchema } from "@chatsdk/abi/records_pb";
import { bytesToHex, joinBytes } from "../bytes.ts";
import { decodeStored, encode } from "../codec.ts";
import type { Crypto } from "../crypto/crypto.ts";
import type { Entropy } from "../entropy.ts";
import { ChatError, Rejected } from "../errors.ts";
import type { Settings } from "../settings.ts";
import type { Vault } from "../vault/vault.ts";
import { Allowance } from "./allowance.ts";
import { RecordChanges } from "./record-changes.ts";
import { Keys } from "./records.ts";

/** What a read is answered with: none or one record, or those of a scan. Values as stored. */
export type Answer = readonly Pick<Record, "key" | "value">[];

/** A part of a step: yields what it must read, returns what it found out. */
export type Steps<Result> = Generator<Read, Result, Answer>;

/** Bytes of contents that a step shows before it leaves the rest to the next. The last one may be as long as contents are. */
const MOST_SHOWN = 1024 * 1024;
/** Bytes of envelopes that a step publishes before it leaves to the next what is not an answer to a call. */
const MOST_PUBLISHED = 1024 * 1024;

/** A change of the message store, not sealed yet. */
type RowChange =
  | { case: "putMessage"; value: Message }
  | { case: "putConversation"; value: Conversation }
  | Exclude<Change["change"], { case: undefined | "putMessage" | "putConversation" }>;

/** A publication whose result the host still owes. */
export interface UnderWay {
  /** Of a sync message, which is stored nowhere else; else empty. */
  envelope: Uint8Array;
  /** Of its slot. */
  epoch?: bigint | undefined;
}

/** What all steps of a core share. */
export interface Surroundings {
  crypto: Crypto;
  settings: Settings;
  vault: Vault;
  /** By publish id. */
  publishing: ReadonlyMap<string, UnderWay>;
}

/**
 * One step of the machine: reads see what the step has changed so far; nothing is final before `outcome`. A step within
 * a step (`attempt`) is dropped as a whole when its input turns out to be bad.
 */
export class Step {
  readonly crypto: Crypto;
  readonly settings: Settings;
  readonly vault: Vault;
  readonly nowMs: number;
  readonly entropy: Entropy;
  /** What the rate limit leaves to publish; of a whole step, loaded before its first part. */
  allowance: Allowance;
  readonly #surroundings: Surroundings;
  readonly #parent: Step | undefined;
  readonly #records = new RecordChanges();
  /** By tag in hexadecimal; `null`: removed. */
  readonly #tags = new Map<string, { tag: Uint8Array; hint: Uint8Array; key: string | null }>();
  /** Of the tags that these records had before, none is left. */
  readonly #untagged = new Set<string>();
  readonly #rows: RowChange[] = [];
  readonly #effects: Effect[] = [];
  readonly #events: Event[] = [];
  #timersChanged = false;
  #shownBytes = 0;
  #publishedBytes = 0;
  /** There may be events to show. */
  eventsChanged = false;

  constructor(surroundings: Surroundings, nowMs: number, entropy: Entropy, parent?: Step) {
    this.crypto = surroundings.crypto;
    this.settings = surroundings.settings;
    this.vault = surroundings.vault;
    this.#surroundings = surroundings;
    this.nowMs = nowMs;
    this.entropy = entropy;
    this.#parent = parent;
    this.allowance = parent?.allowance.copy() ?? new Allowance(undefined, create(RateRecordSchema), nowMs);
  }

  /** Runs a part whose changes count only if it returns. A `Rejected` or a `ChatError` drops them and is returned as its reason. */
  *attempt(part: (step: Step) => Steps<void>): Steps<string | undefined> {
    const child = new Step(this.#surroundings, this.nowMs, this.entropy, this);
    try {
      yield* part(child);
    } catch (error) {
      if (error instanceof Rejected) return error.reason;
      if (error instanceof ChatError) return `${error.codeName}: ${error.message}`;
      throw error;
    }
    this.#merge(child);
    return undefined;
  }

  #merge(child: Step): void {
    for (const prefix of child.#records.deletedPrefixes) this.deletePrefix(prefix);
    for (const [key, value] of child.#records.values) this.#records.set(key, value);
    for (const key of child.#untagged) this.removeHintsOf(key);
    for (const [name, tag] of child.#tags) this.#tags.set(name, tag);
    for (const row of child.#rows) this.#rows.push(row);
    for (const effect of child.#effects) this.#effects.push(effect);
    this.eventsChanged ||= child.eventsChanged;
    this.#timersChanged ||= child.#timersChanged;
    this.allowance.adopt(child.allowance);
  }

  // Reading.

  *get<Desc extends DescMessage>(schema: Desc, key: string): Steps<MessageShape<Desc> | undefined> {
    return (yield* this.getSized(schema, key))?.record;
  }

  /** With the length of its encoding. */
  *getSized<Desc extends DescMessage>(
    schema: Desc,
    key: string,
  ): Steps<{ record: MessageShape<Desc>; size: number } | undefined> {
    const bytes = yield* this.#read(key);
    return bytes && { record: decodeStored(schema, bytes, `record ${key}`), size: bytes.length };
  }

  *#read(key: string): Steps<Uint8Array | undefined> {
    const pending = this.pending(key);
    if (pending !== undefined) return pending ?? undefined;
    const [record] = yield create(ReadSchema, { read: { case: "get", value: key } });
    return record && this.vault.openRecord(key, record.value);
  }

  /** `undefined`: not touched by this step. */
  private pending(key: string): Uint8Array | null | undefined {
    const own = this.#records.get(key);
    return own === undefined ? this.#parent?.pending(key) : own;
  }

  /** The key of the record that a hint finds. */
  *find(hint: Uint8Array): Steps<string | undefined> {
    const tag = this.vault.tag(hint);
    const pending = this.pendingTag(bytesToHex(tag));
    if (pending !== undefined) return pending ?? undefined;
    const [record] = yield create(ReadSchema, { read: { case: "findTag", value: tag } });
    return record && this.pending(record.key) !== null && !this.isUntagged(record.key) ? record.key : undefined;
  }

  private isUntagged(key: string): boolean {
    return this.#untagged.has(key) || (this.#parent?.isUntagged(key) ?? false);
  }

  private pendingTag(name: string): string | null | undefined {
    const own = this.#tags.get(name);
    return own ? own.key : this.#parent?.pendingTag(name);
  }

  /** Records under a prefix in key order; `limit` 0: all. */
  *scan<Desc extends DescMessage>(
    schema: Desc,
    prefix: string,
    limit = 0,
  ): Steps<{ key: string; record: MessageShape<Desc> }[]> {
    const pending = new Map<string, Uint8Array | null>();
    this.collectPending(prefix, pending);
    const read = { prefix, limit: limit === 0 ? 0 : limit + pending.size };
    const stored = yield create(ReadSchema, { read: { case: "scan", value: read } });
    const found = new Map<string, Uint8Array>();
    for (const { key, value } of stored) {
      if (this.pending(key) === undefined) found.set(key, this.vault.openRecord(key, value));
    }
    for (const [key, value] of pending) if (value) found.set(key, value);
    const keys = [...found.keys()].sort();
    return (limit === 0 ? keys : keys.slice(0, limit)).map((key) => ({
      key,
      record: decodeStored(schema, found.get(key)!, `record ${key}`),
    }));
  }

  private collectPending(prefix: string, into: Map<string, Uint8Array | null>): void {
    this.#parent?.collectPending(prefix, into);
    for (const key of into.keys()) if (this.#records.hasDeletedPrefixOf(key)) into.set(key, null);
    for (const key of this.#records.keysUnder(prefix)) into.set(key, this.#records.values.get(key)!);
  }

  *state(): Steps<StateRecord> {
    return (yield* this.get(StateRecordSchema, Keys.state)) ?? create(StateRecordSchema, { nextEventNumber: 1n });
  }

  // Changing.

  put<Desc extends DescMessage>(schema: Desc, key: string, record: MessageShape<Desc>): void {
    this.#noteTimer(key);
    this.#records.set(key, encode(schema, record));
  }

  delete(key: string): void {
    this.#noteTimer(key);
    this.#records.set(key, null);
  }

  setTimer(name: string, atMs: number): void {
    this.put(StateRecordSchema, Keys.timer(atMs, name), create(StateRecordSchema));
  }

  deletePrefix(prefix: string): void {
    this.#noteTimer(prefix);
    this.#records.deletePrefix(prefix);
  }

  #noteTimer(key: string): void {
    if (key.startsWith(Keys.timers)) this.#timersChanged = true;
  }

  addHints(key: string, hints: readonly Uint8Array[]): void {
    for (const hint of hints) this.#setTag(hint, key);
  }

  removeHints(hints: readonly Uint8Array[]): void {
    for (const hint of hints) this.#setTag(hint, null);
  }

  /** All that were awaited before this step, unnamed: of a thousand conversations they may be millions. The record is written anew. */
  removeHintsOf(key: string): void {
    for (const [name, tag] of this.#tags) if (tag.key === key) this.#tags.delete(name);
    this.#untagged.add(key);
  }

  /** Hints that are awaited from this step on. */
  *addedHints(): Generator<Uint8Array> {
    for (const { hint, key } of this.#tags.values()) if (key !== null) yield hint;
  }

  #setTag(hint: Uint8Array, key: string | null): void {
    const tag = this.vault.tag(hint);
    this.#tags.set(bytesToHex(tag), { tag, hint, key });
  }

  row(change: RowChange): void {
    this.#rows.push(change);
  }

  setStatus(conversationId: string, messageId: string, status: DeliveryStatus, failureReason: FailureReason): void {
    const value = { conversationId, messageId, status, failureReason };
    this.row(create(ChangeSchema, { change: { case: "setStatus", value } }).change as RowChange);
  }

  effect(effect: MessageInitShape<typeof EffectSchema>["effect"]): void {
    this.#effects.push(create(EffectSchema, { effect: effect! }));
  }

  /** False if the rate limit forbids it in this epoch: nothing happens then. */
  publish(publishId: string, topic: string, payload: Uint8Array, priority: Priority): boolean {
    const taken = this.allowance.take(priority);
    if (!taken) return false;
    this.effect({ case: "publish", value: { publishId, topic, payload, priority, ...taken } });
    this.notePublished(payload.length);
    return true;
  }

  private notePublished(bytes: number): void {
    this.#publishedBytes += bytes;
    this.#parent?.notePublished(bytes);
  }

  /** More is for a later step: a guest's memory must hold a step. */
  get hasPublishedEnough(): boolean {
    return this.#parent?.hasPublishedEnough ?? this.#publishedBytes >= MOST_PUBLISHED;
  }

  /** Publications under way whose ids start with this. */
  publishingUnder(prefix: string): number {
    let count = 0;
    for (const id of this.#surroundings.publishing.keys()) if (id.startsWith(prefix)) count++;
    return count;
  }

  /** The host has not told yet how an earlier publication of this id ended. */
  isPublishing(publishId: string): boolean {
    return this.#surroundings.publishing.has(publishId);
  }

  /** Its slot is of another epoch than the present: without a proof by now it fails. */
  isOutdated({ epoch }: UnderWay): boolean {
    return epoch !== undefined && epoch !== this.allowance.epoch;
  }

  /** Ids of outdated publications that start with this, of the last epoch: the result of an older one may never come. */
  outdatedUnder(prefix: string): string[] {
    return [...this.#surroundings.publishing].flatMap(([id, publication]) =>
      id.startsWith(prefix) && this.isOutdated(publication) && publication.epoch! + 1n >= this.allowance.epoch
        ? [id]
        : [],
    );
  }

  log(message: string): void {
    this.effect({ case: "log", value: { level: LogLevel.DEBUG, message } });
  }

  /** An event is stored until the application has dealt with it. */
  *event(accountId: string, conversationId: string, event: Event["event"]): Steps<void> {
    const state = yield* this.state();
    const eventNumber = state.nextEventNumber++;
    this.put(StateRecordSchema, Keys.state, state);
    const stored = create(EventSchema, { eventNumber, accountId, conversationId, event });
    this.put(EventSchema, Keys.event(eventNumber), stored);
    this.eventsChanged = true;
  }

  /** A content of so many bytes became a row and an event. */
  noteShown(bytes: number): void {
    this.#shownBytes += bytes;
    this.#parent?.noteShown(bytes);
  }

  /** More is for the next step: a guest's memory must hold a step. */
  get hasShownEnough(): boolean {
    return this.#parent?.hasShownEnough ?? this.#shownBytes >= MOST_SHOWN;
  }

  /** Once, in the order of numbers: see `EventWindow`. */
  show(event: Event): void {
    this.#events.push(event);
  }

  // Finishing.

  /** Tells the host the next wake time even if no timer was moved: its own timer has fired, perhaps a little early. */
  rearm(): void {
    this.#timersChanged = true;
  }

  /** Releases the time of the next timer, if this step moved any. */
  *nextWake(): Steps<void> {
    if (!this.#timersChanged) return;
    const [first] = yield* this.scan(StateRecordSchema, Keys.timers, 1);
    this.effect({ case: "wakeAtMs", value: first ? BigInt(first.key.split("/")[1]!) : 0n });
  }

  /** Seals and orders everything. `generation` counts the commits of the database. */
  outcome(reply: Reply | undefined, nextGeneration: () => bigint): Outcome {
    const changes: Change[] = [];
    const add = (change: MessageInitShape<typeof ChangeSchema>["change"]): void => {
      changes.push(create(ChangeSchema, { change: change! }));
    };
    for (const prefix of this.#records.deletedPrefixes) add({ case: "deletePrefix", value: prefix });
    // Its tags go with it.
    for (const key of this.#untagged) add({ case: "delete", value: key });
    for (const [key, value] of this.#records.values) {
      if (value) add({ case: "put", value: { key, value: this.vault.sealRecord(key, value, this.entropy) } });
      else add({ case: "delete", value: key });
    }
    for (const change of this.#tagChanges()) add(change);
    for (const row of this.#rows) add(this.#sealRow(row));
    if (changes.length > 0) {
      const value = encode(GenerationRecordSchema, create(GenerationRecordSchema, { generation: nextGeneration() }));
      add({
        case: "put",
        value: { key: Keys.generation, value: this.vault.sealRecord(Keys.generation, value, this.entropy) },
      });
    }
    return create(OutcomeSchema, { changes, effects: this.#effects, events: this.#events, ...(reply && { reply }) });
  }

  *#tagChanges(): Generator<MessageInitShape<typeof ChangeSchema>["change"]> {
    const removed: Uint8Array[] = [];
    const added = new Map<string, Uint8Array[]>();
    for (const { tag, key } of this.#tags.values()) {
      if (key === null) removed.push(tag);
      else if (this.#records.values.get(key) !== null) {
        const tags = added.get(key);
        if (tags) tags.push(tag);
        else added.set(key, [tag]);
      }
    }
    if (removed.length > 0) yield { case: "removeTags", value: joinBytes(removed) };
    for (const [key, tags] of added) yield { case: "addTags", value: { key, tags: joinBytes(tags) } };
  }

  #sealRow(row: RowChange): MessageInitShape<typeof ChangeSchema>["change"] {
    if (row.case === "putMessage") return { case: row.case, value: this.vault.sealMessage(row.value, this.entropy) };
    if (row.case === "putConversation")
      return { case: row.case, value: this.vault.sealConversation(row.value, this.entropy) };
    return row;
  }
}
