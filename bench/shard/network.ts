import type { Effect, Outcome, Publish, QueryHistory } from "@chatsdk/abi/host_pb";
import { type InputValue, type ReplyCase, replyValue, type ReplyValue } from "@chatsdk/conformance/machine";
import { seededRandom } from "@chatsdk/conformance/random";
import { TEXT_LENGTH } from "../src/habits.ts";
import type { Collector } from "./measurements.ts";
import { ObservedCrypto } from "./observed-crypto.ts";
import type { Timeline } from "./timeline.ts";
import type { Stored, User } from "./user.ts";

/** From publishing to the receiver. */
export interface Delays {
  leastMs: number;
  /** So much more at random. */
  jitterMs: number;
}

const DELAYS: Delays = { leastMs: 50, jitterMs: 450 };
const PUBLISH_MS = 60;
const QUERY_MS = 100;
const PAGE = 100;
/** Of the envelopes that are lost to the subscription, the store misses so many as well. */
const STORE_LOSS = 0.1;
/** Events an application deals with at once. */
const EVENTS_AT_ONCE = 20;
/** This share of envelopes is also given to another user of the bucket, who must drop it. */
const STRANGERS = 0.1;

/**
 * Runs the cores and carries what they publish. An envelope is given to the user it is for, though all of a bucket receive it:
 * whoever it is not for drops it after one look-up, which changes nothing and publishes nothing. That is checked, and timed, on a sample.
 */
export class Network {
  readonly observed = new ObservedCrypto();
  readonly #timeline: Timeline;
  readonly #collector: Collector;
  readonly #loss: number;
  readonly #delays: Delays;
  readonly #buckets = new Map<string, User[]>();
  /** Both sides, by conversation. */
  readonly #sides = new Map<string, readonly [User, User]>();
  readonly #onlineSince = new Map<User, number>();
  readonly #strangerRandom: () => number;

  constructor(timeline: Timeline, collector: Collector, options: { loss: number; seed: number; delays?: Delays }) {
    this.#timeline = timeline;
    this.#collector = collector;
    this.#loss = options.loss;
    this.#delays = options.delays ?? DELAYS;
    this.#strangerRandom = seededRandom(options.seed);
  }

  switchOn(user: User): void {
    user.online = true;
    user.runs++;
    this.#onlineSince.set(user, this.#timeline.nowMs);
    this.feed(user, { case: "start", value: {} });
  }

  /** The process ends: nothing reaches it, and no timer fires. */
  switchOff(user: User): void {
    user.online = false;
    user.wakeMs = 0;
    this.#collector.online(user.topic, this.#onlineSince.get(user)!, this.#timeline.nowMs);
    this.#onlineSince.delete(user);
  }

  /** The simulation ends. */
  close(endMs: number): void {
    for (const [user, sinceMs] of this.#onlineSince) this.#collector.online(user.topic, sinceMs, endMs);
  }

  enterBucket(user: User, topic: string): void {
    user.topic = topic;
    const bucket = this.#buckets.get(topic);
    if (bucket) bucket.push(user);
    else this.#buckets.set(topic, [user]);
  }

  step(user: User, input: InputValue): Outcome {
    this.observed.forget();
    return user.machine.step(this.#timeline.nowMs, input);
  }

  feed(user: User, input: InputValue): Outcome {
    const outcome = this.step(user, input);
    this.#release(user, outcome);
    return outcome;
  }

  call<Case extends ReplyCase>(user: User, input: InputValue, expected: Case): ReplyValue<Case> {
    return replyValue(this.feed(user, input), expected);
  }

  /** The first message of a conversation can be carried once its receiver is known. */
  connect(user: User, peer: User, input: InputValue): ReplyValue<"sentMessage"> {
    const outcome = this.step(user, input);
    const sent = replyValue(outcome, "sentMessage");
    this.#sides.set(sent.conversation!.conversationId, [user, peer]);
    this.#release(user, outcome);
    return sent;
  }

  /** Runs something later, unless the process has ended until then. */
  #later(user: User, delayMs: number, run: () => void): void {
    const { runs } = user;
    this.#timeline.after(delayMs, () => {
      if (user.online && user.runs === runs) run();
    });
  }

  #release(user: User, outcome: Outcome): void {
    for (const effect of outcome.effects) this.#perform(user, effect);
    for (const event of outcome.events) user.see(event, this.#timeline.nowMs, this.#collector);
    if (user.machine.events.length < EVENTS_AT_ONCE) return;
    const { eventNumber } = user.machine.events.at(-1)!;
    user.machine.events.length = 0;
    this.feed(user, { case: "acknowledgeEvents", value: { eventNumber } });
  }

  #perform(user: User, { effect }: Effect): void {
    if (effect.case === "publish") this.#publish(user, effect.value);
    else if (effect.case === "queryHistory") this.#query(user, effect.value);
    else if (effect.case === "wakeAtMs") this.#setWake(user, Number(effect.value));
  }

  #setWake(user: User, wakeMs: number): void {
    user.wakeMs = wakeMs;
    if (wakeMs === 0) return;
    this.#later(user, wakeMs - this.#timeline.nowMs, () => {
      if (user.wakeMs !== wakeMs) return;
      user.wakeMs = 0;
      this.feed(user, { case: "wake", value: {} });
    });
  }

  #publish(user: User, publish: Publish): void {
    const { publishId, topic, payload } = publish;
    const { nowMs } = this.#timeline;
    this.#collector.publication(user.number, publish, this.observed.bodyOf(payload), TEXT_LENGTH, nowMs);
    this.#later(user, PUBLISH_MS, () => this.feed(user, { case: "publishResult", value: { publishId, ok: true } }));
    const [one, other] = this.#sides.get(publishId.split("/")[1]!)!;
    const receiver = user === one ? other : one;
    const lost = user.random() < this.#loss;
    const sent: Stored = { atMs: nowMs, payload };
    if (!lost || user.random() >= STORE_LOSS) receiver.stored.push(sent);
    const delayMs = this.#delays.leastMs + user.random() * this.#delays.jitterMs;
    if (lost) return;
    this.#timeline.after(delayMs, () => {
      if (!receiver.online) return;
      sent.pushedToRun = receiver.runs;
      this.feed(receiver, { case: "envelopeReceived", value: { topic, payload } });
    });
    if (this.#strangerRandom() < STRANGERS) this.#deliverToStranger(topic, payload, [user, receiver]);
  }

  /** An envelope leaves no trace with a user it is not for, or this throws. */
  #deliverToStranger(topic: string, payload: Uint8Array, parties: readonly User[]): void {
    const bucket = this.#buckets.get(topic)!;
    const stranger = bucket[Math.floor(this.#strangerRandom() * bucket.length)]!;
    if (!stranger.online || parties.includes(stranger)) return;
    const start = performance.now();
    const outcome = stranger.machine.prepare(this.#timeline.nowMs, {
      case: "envelopeReceived",
      value: { topic, payload },
    });
    this.#collector.stranger(performance.now() - start);
    // The user's own entropy shall not depend on strangers.
    stranger.machine.rewind();
    const traces = outcome.effects.filter(({ effect }) => effect.case !== "log");
    if (outcome.changes.length + outcome.events.length + traces.length > 0)
      throw new Error("an envelope has changed the state of a user it was not for");
  }

  /** The store answers with what the user can read; the rest of the bucket is only counted. */
  #query(user: User, { queryId, startMs, endMs, missedOnly }: QueryHistory): void {
    this.#collector.query(user.topic, missedOnly, Number(endMs - startMs), this.#timeline.nowMs);
    this.#later(user, QUERY_MS, () => {
      const named = user.stored.filter(({ atMs }) => atMs >= Number(startMs) && atMs <= Number(endMs));
      const found = missedOnly ? named.filter(({ pushedToRun }) => pushedToRun !== user.runs) : named;
      if (missedOnly) this.#collector.missed(named.length, found.length, this.#timeline.nowMs);
      for (let from = 0; from < found.length || from === 0; from += PAGE) {
        const envelopes = found.slice(from, from + PAGE).map(({ payload }) => ({ topic: user.topic, payload }));
        this.feed(user, { case: "historyPage", value: { queryId, envelopes, more: from + PAGE < found.length } });
      }
    });
  }
}
