import { EPOCH_MS, Quota, type Use } from "./quota.ts";
import { Traffic } from "./traffic.ts";

/** Begin of the measured window, and of an RLN epoch. */
export const WINDOW_START_MS = Date.UTC(2026, 0, 1);
if (WINDOW_START_MS % EPOCH_MS !== 0) throw new Error("the window must begin with an epoch");

/** What is asked of the store nodes for one content topic. */
export class Asked {
  /** For all messages. */
  readonly all = { queries: 0, spanMs: 0 };
  /** For the hashes of all messages, and for those of them that were not pushed. */
  readonly missedOnly = { queries: 0, spanMs: 0 };

  /** `spanMs`: the history asked for. */
  note(missedOnly: boolean, spanMs: number, queries = 1): void {
    const sum = missedOnly ? this.missedOnly : this.all;
    sum.queries += queries;
    sum.spanMs += spanMs;
  }
}

/** What users could read of the answers to queries for what was missed. */
export interface Missed {
  named: number;
  fetched: number;
}

/** Everything the window shows of one part of the shard. Can be sent between threads. */
export interface Measurements {
  traffic: Traffic;
  uses: Use[];
  /** By content topic. */
  history: Map<string, Asked>;
  missed: Missed;
  /** Time users of a content topic were online, summed. */
  onlineMs: Map<string, number>;
  setUps: number;
  shown: number;
  lost: number;
  failed: number;
  /** From writing a message to the sign that the peer's device has it. */
  confirmedAfterMs: number[];
  /** Envelopes given to users they are not for, and the time it took to drop them. */
  strangers: { envelopes: number; ms: number };
}

export function askedOf(history: Measurements["history"], topic: string): Asked {
  const asked = history.get(topic) ?? new Asked();
  history.set(topic, asked);
  return asked;
}

/** Collects within the window, ignores what is outside of it. */
export class Collector {
  readonly #endMs: number;
  readonly #quota: Quota;
  readonly #traffic = new Traffic();
  readonly #history: Measurements["history"] = new Map();
  readonly #missed: Missed = { named: 0, fetched: 0 };
  readonly #onlineMs: Measurements["onlineMs"] = new Map();
  readonly #counts = { setUps: 0, shown: 0, lost: 0, failed: 0 };
  readonly #confirmedAfterMs: number[] = [];
  readonly #strangers = { envelopes: 0, ms: 0 };

  constructor(users: readonly number[], windowMs: number) {
    this.#endMs = WINDOW_START_MS + windowMs;
    this.#quota = new Quota(users, WINDOW_START_MS, windowMs);
  }

  #measures(nowMs: number): boolean {
    return nowMs >= WINDOW_START_MS && nowMs < this.#endMs;
  }

  publication(
    user: number,
    publish: Parameters<Traffic["note"]>[0],
    body: Uint8Array | undefined,
    text: number,
    nowMs: number,
  ): void {
    if (!this.#measures(nowMs)) return;
    this.#traffic.note(publish, body, text, nowMs);
    this.#quota.note(user, publish.priority, nowMs);
  }

  query(topic: string, missedOnly: boolean, spanMs: number, nowMs: number): void {
    if (this.#measures(nowMs)) askedOf(this.#history, topic).note(missedOnly, spanMs);
  }

  /** The answer to a query for what was missed named so many messages for the user, of which so many were fetched. */
  missed(named: number, fetched: number, nowMs: number): void {
    if (!this.#measures(nowMs)) return;
    this.#missed.named += named;
    this.#missed.fetched += fetched;
  }

  /** A user was online from one time to another. */
  online(topic: string, fromMs: number, untilMs: number): void {
    const within = Math.min(untilMs, this.#endMs) - Math.max(fromMs, WINDOW_START_MS);
    if (within > 0) this.#onlineMs.set(topic, (this.#onlineMs.get(topic) ?? 0) + within);
  }

  count(what: "setUps" | "shown" | "lost" | "failed", by: number, nowMs: number): void {
    if (this.#measures(nowMs)) this.#counts[what] += by;
  }

  confirmed(writtenMs: number, nowMs: number): void {
    if (this.#measures(nowMs)) this.#confirmedAfterMs.push(nowMs - writtenMs);
  }

  /** Dropping an envelope for somebody else took so long. */
  stranger(ms: number): void {
    this.#strangers.envelopes++;
    this.#strangers.ms += ms;
  }

  get measurements(): Measurements {
    return {
      traffic: this.#traffic,
      uses: this.#quota.uses,
      history: this.#history,
      missed: this.#missed,
      onlineMs: this.#onlineMs,
      ...this.#counts,
      confirmedAfterMs: this.#confirmedAfterMs,
      strangers: this.#strangers,
    };
  }
}

/** The parts of a shard, put together. */
export function merge(parts: readonly Measurements[]): Measurements {
  const traffic = new Traffic();
  const history: Measurements["history"] = new Map();
  const onlineMs: Measurements["onlineMs"] = new Map();
  for (const part of parts) {
    traffic.add(part.traffic);
    for (const [topic, { all, missedOnly }] of part.history) {
      askedOf(history, topic).note(false, all.spanMs, all.queries);
      askedOf(history, topic).note(true, missedOnly.spanMs, missedOnly.queries);
    }
    for (const [topic, ms] of part.onlineMs) onlineMs.set(topic, (onlineMs.get(topic) ?? 0) + ms);
  }
  const sum = (value: (part: Measurements) => number): number => parts.reduce((all, part) => all + value(part), 0);
  return {
    traffic,
    uses: parts.flatMap(({ uses }) => uses),
    history,
    missed: { named: sum(({ missed }) => missed.named), fetched: sum(({ missed }) => missed.fetched) },
    onlineMs,
    setUps: sum(({ setUps }) => setUps),
    shown: sum(({ shown }) => shown),
    lost: sum(({ lost }) => lost),
    failed: sum(({ failed }) => failed),
    confirmedAfterMs: parts.flatMap(({ confirmedAfterMs }) => confirmedAfterMs),
    strangers: { envelopes: sum(({ strangers }) => strangers.envelopes), ms: sum(({ strangers }) => strangers.ms) },
  };
}
