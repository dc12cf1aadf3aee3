import type { Effect } from "@chatsdk/abi/host_pb";
import type { InputValue, Machine } from "./machine.ts";

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

interface Scheduled {
  atMs: number;
  order: number;
  run(): void;
}

/** A seeded generator (mulberry32): the weather is the same in every run with one seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Machines, a clock of their own and a network between them. Time passes only when nothing is left to do at the present
 * moment, so that days of retries take milliseconds.
 */
export class World {
  nowMs = Date.UTC(2026, 0, 1);
  weather: Weather = CALM;
  readonly published: { atMs: number; topic: string; payload: Uint8Array; from: string }[] = [];
  /** Drops an envelope for good if it returns true: neither delivered nor stored. */
  censor: (payload: Uint8Array, from: string) => boolean = () => false;
  readonly #queue: Scheduled[] = [];
  readonly #topics = new Map<Machine, Set<string>>();
  readonly #wakes = new Map<Machine, number>();
  readonly #offline = new Set<Machine>();
  readonly #store: { atMs: number; topic: string; payload: Uint8Array }[] = [];
  readonly #random: () => number;
  #order = 0;

  constructor(seed = 1) {
    this.#random = seededRandom(seed);
  }

  at(delayMs: number, run: () => void): void {
    const scheduled = { atMs: this.nowMs + delayMs, order: this.#order++, run };
    let index = this.#queue.length;
    while (index > 0 && this.#queue[index - 1]!.atMs > scheduled.atMs) index--;
    this.#queue.splice(index, 0, scheduled);
  }

  /** Feeds an input and carries out what it leads to. */
  feed(machine: Machine, input: InputValue): void {
    this.perform(machine, machine.step(this.nowMs, input).effects);
  }

  start(machine: Machine): void {
    this.feed(machine, { case: "start", value: {} });
  }

  /** The process is not running: nothing reaches it and no timer fires. */
  switchOff(machine: Machine): void {
    this.#offline.add(machine);
    this.#wakes.delete(machine);
    this.#topics.delete(machine);
  }

  switchOn(machine: Machine): void {
    this.#offline.delete(machine);
    machine.restart();
    this.start(machine);
  }

  perform(machine: Machine, effects: readonly Effect[]): void {
    for (const { effect } of effects) {
      if (effect.case === "subscribe") this.#topics.set(machine, new Set(effect.value.topics));
      else if (effect.case === "wakeAtMs") this.#setWake(machine, Number(effect.value));
      else if (effect.case === "publish") this.#publish(machine, effect.value);
      else if (effect.case === "queryHistory") this.#query(machine, effect.value);
    }
  }

  #running(machine: Machine): boolean {
    return !this.#offline.has(machine);
  }

  #setWake(machine: Machine, wakeMs: number): void {
    this.#wakes.set(machine, wakeMs);
    if (wakeMs === 0) return;
    this.at(Math.max(0, wakeMs - this.nowMs), () => {
      if (this.#wakes.get(machine) === wakeMs && this.#running(machine)) {
        this.#wakes.delete(machine);
        this.feed(machine, { case: "wake", value: {} });
      }
    });
  }

  #publish(
    machine: Machine,
    { publishId, topic, payload }: { publishId: string; topic: string; payload: Uint8Array },
  ): void {
    this.published.push({ atMs: this.nowMs, topic, payload, from: machine.name });
    this.at(1, () => {
      if (this.#running(machine)) this.feed(machine, { case: "publishResult", value: { publishId, ok: true } });
    });
    if (this.censor(payload, machine.name)) return;
    if (this.weather.store) this.#store.push({ atMs: this.nowMs, topic, payload });
    if (this.#random() < this.weather.loss) return;
    const copies = this.#random() < this.weather.duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) this.#deliver(topic, payload);
  }

  #deliver(topic: string, payload: Uint8Array): void {
    const overtaken = Math.floor(this.#random() * (this.weather.reorder + 1));
    const delay = Math.round(1 + this.#random() * this.weather.delayMs + overtaken * 25);
    this.at(delay, () => {
      for (const [machine, topics] of this.#topics) {
        if (topics.has(topic) && this.#running(machine))
          this.feed(machine, { case: "envelopeReceived", value: { topic, payload } });
      }
    });
  }

  #query(machine: Machine, query: { queryId: string; topics: string[]; startMs: bigint; endMs: bigint }): void {
    this.at(30, () => {
      if (!this.#running(machine)) return;
      const envelopes = this.#store.filter(
        ({ atMs, topic }) =>
          query.topics.includes(topic) && atMs >= Number(query.startMs) && atMs <= Number(query.endMs),
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
