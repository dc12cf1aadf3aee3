import { createHash } from "node:crypto";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type Change,
  type InputSchema,
  type KeyDerivation,
  KeyDerivationSchema,
  type Outcome,
  type Read,
} from "@chatsdk/abi/host_pb";
import { type StepResult, StepResultSchema } from "@chatsdk/abi/module_pb";
import { Disk } from "@chatsdk/conformance/disk";
import { replyValue } from "@chatsdk/conformance/machine";
import { text } from "@chatsdk/conformance/people";
import type { Answer } from "@chatsdk/core";

type InputValue = NonNullable<MessageInitShape<typeof InputSchema>["input"]>;

export type Reader = (read: Read) => Answer;

export interface Opening {
  derivation: KeyDerivation;
  hostKey: Uint8Array;
  entropy: Uint8Array;
}

/** One core, whatever runs it. */
export interface Engine {
  /** Makes a vault and opens the core over it. */
  open(opening: Opening, reader: Reader): void;
  step(input: MessageInitShape<typeof InputSchema>): StepResult;
  /** Linear memory of the instance; 0 where there is none. */
  readonly memoryBytes: number;
}

/** What a conversation has cost so far, in processor time. */
export interface Cost {
  /** `SendMessage` and `EnvelopeReceived`. */
  exchangeMs: number;
  /** All steps: also what a publication's end and the acknowledgement of events cost. */
  totalMs: number;
}

/** Messages after which the digest is complete: what the slowest engine can do in seconds. */
const DIGESTED_MESSAGES = 20;
const START_MS = Date.UTC(2026, 0, 1);
const BETWEEN_MESSAGES_MS = 1000;
const MESSAGE = text("x".repeat(100));

/**
 * Two cores that write to each other in turn, one message of 100 characters a second, with storage in memory and all that a host feeds: results of
 * publications, acknowledgements of events, timers. The programs of bindings-go/internal/bench and bindings-rust/bench do the
 * same to the byte, which the digest shows.
 */
export class Conversation {
  readonly cost: Cost = { exchangeMs: 0, totalMs: 0 };
  messages = 0;
  readonly #alice: Person;
  readonly #bob: Person;
  readonly #id: string;
  readonly #pending: [Person, InputValue][] = [];
  readonly #hash = createHash("sha256");
  #digest = "";
  #nowMs = START_MS;
  #received = 0;

  constructor(newEngine: () => Engine) {
    this.#alice = new Person("alice", newEngine());
    this.#bob = new Person("bob", newEngine());
    for (const person of [this.#alice, this.#bob]) this.#call(person, { case: "start", value: {} });
    const [accountId, peerId] = [this.#alice, this.#bob].map(
      (person) => replyValue(this.#call(person, { case: "createAccount", value: {} }), "account").accountId,
    );
    const { link } = replyValue(
      this.#call(this.#bob, { case: "createInvite", value: { accountId: peerId! } }),
      "invite",
    );
    const accepted = this.#call(this.#alice, {
      case: "acceptInvite",
      value: { accountId: accountId!, link, content: MESSAGE },
    });
    this.#id = replyValue(accepted, "sentMessage").conversation!.conversationId;
  }

  /** SHA-256 over every result up to the twentieth message: equal in all engines. */
  get digest(): string {
    return this.#digest;
  }

  /** Of the larger instance. */
  get memoryBytes(): number {
    return Math.max(this.#alice.engine.memoryBytes, this.#bob.engine.memoryBytes);
  }

  /** One message is written, arrives, and is shown. */
  exchange(): void {
    this.#nowMs += BETWEEN_MESSAGES_MS;
    for (const person of [this.#alice, this.#bob])
      if (person.takeAlarm(this.#nowMs)) this.#call(person, { case: "wake", value: {} });
    const from = this.messages % 2 === 0 ? this.#bob : this.#alice;
    const before = this.#received;
    replyValue(
      this.#call(from, { case: "sendMessage", value: { conversationId: this.#id, content: MESSAGE } }),
      "sentMessage",
    );
    if (this.#received !== before + 1)
      throw new Error(`message ${this.messages} arrived ${this.#received - before} times`);
    if (++this.messages === DIGESTED_MESSAGES) this.#digest = this.#hash.digest("hex");
  }

  #call(person: Person, input: InputValue): Outcome {
    const outcome = this.#step(person, input);
    for (let next = this.#pending.shift(); next; next = this.#pending.shift()) this.#step(...next);
    return outcome;
  }

  #step(person: Person, input: InputValue): Outcome {
    const start = cpuMs();
    const result = person.engine.step({ nowMs: BigInt(this.#nowMs), entropy: person.entropy(), input });
    const took = cpuMs() - start;
    this.cost.totalMs += took;
    if (input.case === "sendMessage" || input.case === "envelopeReceived") this.cost.exchangeMs += took;
    if (this.messages < DIGESTED_MESSAGES) this.#hash.update(toBinary(StepResultSchema, result));
    person.commit(result.outcome!);
    this.#perform(person, result.outcome!);
    return result.outcome!;
  }

  #perform(person: Person, { effects, events }: Outcome): void {
    const other = person === this.#alice ? this.#bob : this.#alice;
    for (const { effect } of effects) {
      if (effect.case === "publish") {
        const { publishId, topic, payload } = effect.value;
        this.#pending.push([person, { case: "publishResult", value: { publishId, ok: true } }]);
        this.#pending.push([other, { case: "envelopeReceived", value: { topic, payload } }]);
      } else if (effect.case === "queryHistory") {
        this.#pending.push([person, { case: "historyPage", value: { queryId: effect.value.queryId } }]);
      }
    }
    this.#received += events.filter(({ event }) => event.case === "messageReceived").length;
    const last = events.at(-1);
    if (last) this.#pending.push([person, { case: "acknowledgeEvents", value: { eventNumber: last.eventNumber } }]);
  }
}

const CHANGES_OF_RECORDS = new Set<Change["change"]["case"]>([
  "put",
  "delete",
  "deletePrefix",
  "addTags",
  "removeTags",
]);

class Person {
  readonly #disk = new Disk();
  #drawn = 0;
  #alarmMs = 0;

  constructor(
    readonly name: string,
    readonly engine: Engine,
  ) {
    const derivation = create(KeyDerivationSchema, { derivation: { case: "rawKey", value: {} } });
    engine.open({ derivation, hostKey: this.entropy(), entropy: this.entropy() }, (read) => this.#disk.answer(read));
  }

  /** Different for each person and step, and the same in each run. */
  entropy(): Uint8Array {
    const bytes = new Uint8Array(32).fill(this.name.length);
    new DataView(bytes.buffer).setUint32(0, this.#drawn++);
    return bytes;
  }

  /** Rows for the application are left out: the core never reads them. */
  commit({ changes, effects }: Outcome): void {
    for (const change of changes) if (CHANGES_OF_RECORDS.has(change.change.case)) this.#disk.apply(change);
    for (const { effect } of effects) if (effect.case === "wakeAtMs") this.#alarmMs = Number(effect.value);
  }

  takeAlarm(nowMs: number): boolean {
    const isDue = this.#alarmMs !== 0 && this.#alarmMs <= nowMs;
    if (isDue) this.#alarmMs = 0;
    return isDue;
  }
}

/** Of this process: other programs on the machine do not count. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
