import { EPOCH_MS, Quota, type Use } from "./quota.ts";
import { Traffic } from "./traffic.ts";

/** Begin of the measured window, and of an RLN epoch. */
export const WINDOW_START_MS = Date.UTC(2026, 0, 1);
if (WINDOW_START_MS % EPOCH_MS !== 0) throw new Error("the window must begin with an epoch");

/** What is asked of the store nodes for one content topic. */
interface Asked {
  queries: number;
  /** History asked for, summed over the queries. */
  spanMs: number;
}

/** Everything the window shows of one part of the shard. Can be sent between threads. */
export interface Measurements {
  traffic: Traffic;
  uses: Use[];
  /** By content topic. */
  history: Map<string, Asked>;
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

/** Collects within the window, ignores what is outside of it. */
export class Collector {
  readonly #endMs: number;
  readonly #quota: Quota;
  readonly #traffic = new Traffic();
  readonly #history: Measurements["history"] = new Map();
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

  query(topic: string, spanMs: number, nowMs: number): void {
    if (!this.#measures(nowMs)) return;
    const asked = this.#history.get(topic) ?? { queries: 0, spanMs: 0 };
    this.#history.set(topic, { queries: asked.queries + 1, spanMs: asked.spanMs + spanMs });
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
    for (const [topic, { queries, spanMs }] of part.history) {
      const asked = history.get(topic) ?? { queries: 0, spanMs: 0 };
      history.set(topic, { queries: asked.queries + queries, spanMs: asked.spanMs + spanMs });
    }
    for (const [topic, ms] of part.onlineMs) onlineMs.set(topic, (onlineMs.get(topic) ?? 0) + ms);
  }
  const sum = (value: (part: Measurements) => number): number => parts.reduce((all, part) => all + value(part), 0);
  return {
    traffic,
    uses: parts.flatMap(({ uses }) => uses),
    history,
    onlineMs,
    setUps: sum(({ setUps }) => setUps),
    shown: sum(({ shown }) => shown),
    lost: sum(({ lost }) => lost),
    failed: sum(({ failed }) => failed),
    confirmedAfterMs: parts.flatMap(({ confirmedAfterMs }) => confirmedAfterMs),
    strangers: { envelopes: sum(({ strangers }) => strangers.envelopes), ms: sum(({ strangers }) => strangers.ms) },
  };
}
