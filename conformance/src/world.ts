import type { Effect, Outcome, Publish, QueryHistory, RateSlot } from "@chatsdk/abi/host_pb";
import type { InputValue, Machine } from "./machine.ts";
import { seededRandom } from "./random.ts";

/** How the network treats each envelope. Probabilities from 0 to 1. */
export interface Weather {
  loss: number;
  duplication: number;
  /** Each copy arrives after a random time up to this. */
  delayMs: number;
  /** An envelope may be overtaken by up to so many that were published later. */
  reorder: number;
  /** The store keeps what was published. */
  store: boolean;
}

export const CALM: Weather = { loss: 0, duplication: 0, delayMs: 20, reorder: 0, store: true };

/** What the network has seen. */
export interface Publication {
  atMs: number;
  from: string;
  publishId: string;
  topic: string;
  payload: Uint8Array;
  /** With a rate limit. */
  slot?: RateSlot;
}

/**
 * How a step ends badly: the process dies before the commit, after it, or after so many of the effects; or the disk refuses the
 * commit and the process lives on.
 */
export type Fault = "before the commit" | "after the commit" | "commit refused" | number;

/** A call that got no answer. */
export class Interrupted extends Error {}

/** One message on the network. The same envelope published again is another one. */
interface Sent {
  atMs: number;
  topic: string;
  payload: Uint8Array;
}

interface Scheduled {
  atMs: number;
  run(): void;
}

/** Events an application deals with at once. */
const EVENTS_AT_ONCE = 20;
/** From the death of a process to its next start. */
const DOWNTIME_MS = 700;
/** After a step that could not be committed, until a host tells again what it alone knows. */
const RETRY_MS = 5000;
/** What nothing else brings again. */
const TOLD_AGAIN: ReadonlySet<InputValue["case"]> = new Set([
  "publishResult",
  "connectionChanged",
  "acknowledgeEvents",
]);

/**
 * Machines, a clock of their own and a network between them. Time passes only when nothing is left to do at the present
 * moment, so that days of retries take milliseconds.
 */
export class World {
  nowMs = Date.UTC(2026, 0, 1);
  weather: Weather = CALM;
  readonly published: Publication[] = [];
  /** Drops an envelope for good if it returns true: neither delivered nor stored. */
  censor: (publication: Publication) => boolean = () => false;
  /** No node takes the envelope: the machine is told. */
  refuse: (publication: Publication) => boolean = () => false;
  /** Publications with a slot wait for proofs, one at a time, each of which takes so long. One whose epoch is over fails instead. */
  proving: { epochMs: number; takesMs: number } | undefined;
  /** Asked before each step of a running machine. */
  fault: (machine: Machine, input: InputValue) => Fault | undefined = () => undefined;
  /** Machines whose application leaves events unacknowledged. */
  readonly forgetful = new Set<Machine>();
  readonly #queue: Scheduled[] = [];
  readonly #topics = new Map<Machine, Set<string>>();
  readonly #wakes = new Map<Machine, number>();
  readonly #provingUntil = new Map<Machine, number>();
  readonly #offline = new Set<Machine>();
  readonly #store: Sent[] = [];
  /** What each running process was given by its subscription. */
  readonly #pushed = new Map<Machine, Set<Sent>>();
  readonly #unacknowledged = new Map<Machine, number>();
  readonly #random: () => number;

  constructor(seed = 1) {
    this.#random = seededRandom(seed);
  }

  /** Runs something after a while; what was scheduled first goes first. */
  at(delayMs: number, run: () => void): void {
    const atMs = this.nowMs + Math.round(delayMs);
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#queue[middle]!.atMs <= atMs) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, { atMs, run });
  }

  /** Feeds an input and carries out what it leads to. `undefined` if it came to a bad end. */
  feed(machine: Machine, input: InputValue): Outcome | undefined {
    const fault = this.fault(machine, input);
    const outcome = machine.prepare(this.nowMs, input);
    if (fault !== undefined) return this.#fail(machine, input, outcome, fault);
    machine.settle(outcome, input);
    this.perform(machine, outcome.effects);
    if (outcome.events.length > 0) this.#noteEvents(machine, outcome.events.length);
    return outcome;
  }

  /** A call of the application. */
  call(machine: Machine, input: InputValue): Outcome {
    const outcome = this.feed(machine, input);
    if (!outcome) throw new Interrupted();
    return outcome;
  }

  #fail(machine: Machine, input: InputValue, outcome: Outcome, fault: Fault): undefined {
    // A host that cannot even start tries again.
    if (fault === "commit refused" && input.case !== "start") {
      machine.core.commitFailed();
      if (input.case === "wake") this.#setWake(machine, this.nowMs + RETRY_MS);
      if (TOLD_AGAIN.has(input.case)) this.#tellAgain(machine, input);
      return undefined;
    }
    if (fault !== "before the commit" && fault !== "commit refused") machine.commit(outcome.changes);
    if (typeof fault === "number") this.perform(machine, outcome.effects.slice(0, fault));
    this.switchOff(machine);
    this.at(DOWNTIME_MS, () => this.switchOn(machine));
    return undefined;
  }

  /** To the same process. */
  #tellAgain(machine: Machine, input: InputValue): void {
    const { core } = machine;
    this.at(RETRY_MS, () => {
      if (this.isRunning(machine) && machine.core === core) this.feed(machine, input);
    });
  }

  #noteEvents(machine: Machine, count: number): void {
    const waiting = (this.#unacknowledged.get(machine) ?? 0) + count;
    this.#unacknowledged.set(machine, waiting);
    if (waiting >= EVENTS_AT_ONCE && !this.forgetful.has(machine)) this.acknowledge(machine);
  }

  /** The application has dealt with all events. */
  acknowledge(machine: Machine): void {
    this.#unacknowledged.set(machine, 0);
    const { eventNumber } = machine.events.at(-1) ?? { eventNumber: 0n };
    this.feed(machine, { case: "acknowledgeEvents", value: { eventNumber } });
  }

  start(machine: Machine, rolledBack = false): void {
    this.feed(machine, { case: "start", value: { rolledBack, seenGeneration: machine.seenGeneration } });
  }

  /** The process is not running: nothing reaches it and no timer fires. */
  switchOff(machine: Machine): void {
    this.#offline.add(machine);
    this.#wakes.delete(machine);
    this.#topics.delete(machine);
    this.#pushed.delete(machine);
  }

  switchOn(machine: Machine, rolledBack = false): void {
    if (!this.#offline.delete(machine)) return;
    machine.restart();
    this.start(machine, rolledBack);
  }

  isRunning(machine: Machine): boolean {
    return !this.#offline.has(machine);
  }

  perform(machine: Machine, effects: readonly Effect[]): void {
    for (const { effect } of effects) {
      if (effect.case === "subscribe") this.#topics.set(machine, new Set(effect.value.topics));
      else if (effect.case === "wakeAtMs") this.#setWake(machine, Number(effect.value));
      else if (effect.case === "publish") this.#publish(machine, effect.value);
      else if (effect.case === "queryHistory") this.#query(machine, effect.value);
    }
  }

  #setWake(machine: Machine, wakeMs: number): void {
    this.#wakes.set(machine, wakeMs);
    if (wakeMs === 0) return;
    this.at(Math.max(0, wakeMs - this.nowMs), () => {
      if (this.#wakes.get(machine) === wakeMs && this.isRunning(machine)) {
        this.#wakes.delete(machine);
        this.feed(machine, { case: "wake", value: {} });
      }
    });
  }

  #publish(machine: Machine, publish: Publish): void {
    if (!this.proving || !publish.slot) return this.#publishNow(machine, publish);
    const { epochMs, takesMs } = this.proving;
    const { publishId, slot } = publish;
    const startMs = Math.max(this.nowMs, this.#provingUntil.get(machine) ?? 0);
    if (Math.floor(startMs / epochMs) !== Number(slot.epoch)) {
      this.at(startMs - this.nowMs, () => this.#published(machine, publishId, false));
      return;
    }
    this.#provingUntil.set(machine, startMs + takesMs);
    this.at(startMs + takesMs - this.nowMs, () => {
      if (this.isRunning(machine)) this.#publishNow(machine, publish);
    });
  }

  #publishNow(machine: Machine, { publishId, topic, payload, slot }: Publish): void {
    const publication = { atMs: this.nowMs, from: machine.name, publishId, topic, payload, ...(slot && { slot }) };
    this.published.push(publication);
    const ok = !this.refuse(publication);
    this.at(1, () => this.#published(machine, publishId, ok));
    if (!ok || this.censor(publication)) return;
    this.inject(topic, payload);
  }

  #published(machine: Machine, publishId: string, ok: boolean): void {
    if (this.isRunning(machine)) this.feed(machine, { case: "publishResult", value: { publishId, ok } });
  }

  /** An envelope enters the network, whoever made it. */
  inject(topic: string, payload: Uint8Array): void {
    const sent = { atMs: this.nowMs, topic, payload };
    if (this.weather.store) this.#store.push(sent);
    if (this.#random() < this.weather.loss) return;
    const copies = this.#random() < this.weather.duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) this.#deliver(sent);
  }

  #deliver(sent: Sent): void {
    const { topic, payload } = sent;
    const overtaken = Math.floor(this.#random() * (this.weather.reorder + 1));
    const delay = Math.round(1 + this.#random() * this.weather.delayMs + overtaken * 25);
    this.at(delay, () => {
      for (const [machine, topics] of this.#topics) {
        if (!topics.has(topic) || !this.isRunning(machine)) continue;
        const pushed = this.#pushed.get(machine);
        if (pushed) pushed.add(sent);
        else this.#pushed.set(machine, new Set([sent]));
        this.feed(machine, { case: "envelopeReceived", value: { topic, payload } });
      }
    });
  }

  #query(machine: Machine, query: QueryHistory): void {
    this.at(30, () => {
      if (!this.isRunning(machine)) return;
      const skipped = query.missedOnly ? this.#pushed.get(machine) : undefined;
      const envelopes = this.#store.filter(
        (sent) =>
          query.topics.includes(sent.topic) &&
          sent.atMs >= Number(query.startMs) &&
          sent.atMs <= Number(query.endMs) &&
          skipped?.has(sent) !== true,
      );
      for (let from = 0; from < envelopes.length || from === 0; from += 100) {
        const page = envelopes.slice(from, from + 100).map(({ topic, payload }) => ({ topic, payload }));
        this.feed(machine, {
          case: "historyPage",
          value: { queryId: query.queryId, envelopes: page, more: from + 100 < envelopes.length },
        });
      }
    });
  }

  /** Runs what is due within the next `durationMs`; stops early once `done` says so. Returns whether it did. */
  run(durationMs: number, done: () => boolean = () => false): boolean {
    const end = this.nowMs + durationMs;
    while (!done()) {
      const next = this.#queue[0];
      if (!next || next.atMs > end) {
        this.nowMs = end;
        return done();
      }
      this.#queue.shift();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    return true;
  }
}
