import { text } from "@chatsdk/conformance/people";
import { exponential, MEETING_MS, STARTING_MS, TEXT_LENGTH, WARM_UP_MS } from "../src/habits.ts";
import { MESSAGES_PER_MINUTE } from "../src/waku-message.ts";
import { Collector, type Measurements, WINDOW_START_MS } from "./measurements.ts";
import { type Delays, Network } from "./network.ts";
import { EPOCH_MS, MESSAGES_PER_EPOCH } from "./quota.ts";
import { Timeline } from "./timeline.ts";
import { User } from "./user.ts";

export interface ShardOptions {
  /** Even. */
  users: number;
  /** Measured, after the warm-up. */
  minutes: number;
  seed: number;
  /** Probability that an envelope does not reach its receiver by subscription. */
  loss: number;
  /** Share of the time that a user's process is not running. */
  offline: number;
  /** The core keeps to the network's default quota: what is over it waits for the next epoch. */
  rateLimit?: boolean;
  /** Nobody turns to another peer than the first. */
  fixedPairs?: boolean;
  /** Times between the messages of a user, who is named by his number. Default: P1's law, drawn from the user's own random numbers. */
  writing?: (user: number) => () => number;
  /** Default: 50 to 500 ms. */
  delays?: Delays;
}

/** Users talk to others of their circle, and to nobody else. */
const CIRCLE = 10;
const WRITING_INTERVAL_MS = 60_000 / MESSAGES_PER_MINUTE;
const MESSAGE = text("x".repeat(TEXT_LENGTH));
/** Mean time until a user turns to another peer of his own accord. It takes three others along: each has a new peer four times as often. */
const REGROUPING_MS = 80 * 60_000;
/** Mean length of an absence. */
const ABSENCE_MS = 3 * 60_000;

/** The users of one part of a shard: every `parts`-th circle. A circle's results do not depend on the part it is in. */
export function simulate(options: ShardOptions, part = 0, parts = 1): Measurements {
  return new Shard(options, part, parts).run();
}

/** What the users of a shard do. All times between two acts are random and without memory. */
class Shard {
  readonly #options: ShardOptions;
  readonly #timeline: Timeline;
  readonly #endMs: number;
  readonly #collector: Collector;
  readonly #network: Network;
  readonly #circles: User[][] = [];
  /** By the numbers of both users. */
  readonly #conversations = new Map<string, string>();

  constructor(options: ShardOptions, part: number, parts: number) {
    this.#options = options;
    this.#endMs = WINDOW_START_MS + options.minutes * 60_000;
    this.#timeline = new Timeline(WINDOW_START_MS - WARM_UP_MS, this.#endMs);
    const numbers: number[][] = [];
    for (let first = part * CIRCLE; first < options.users; first += parts * CIRCLE)
      numbers.push(Array.from({ length: Math.min(CIRCLE, options.users - first) }, (_, i) => first + i));
    this.#collector = new Collector(numbers.flat(), options.minutes * 60_000);
    this.#network = new Network(this.#timeline, this.#collector, options);
    const { crypto } = this.#network.observed;
    const rateLimit = { epochSeconds: EPOCH_MS / 1000, messagesPerEpoch: MESSAGES_PER_EPOCH };
    const config = { clusterId: 42, ...(options.rateLimit && { rateLimit }) };
    this.#circles = numbers.map((circle) => circle.map((number) => new User(number, options.seed, crypto, config)));
  }

  run(): Measurements {
    const options = this.#options;
    for (const circle of this.#circles) {
      for (const user of circle) this.#timeline.after(user.random() * STARTING_MS, () => this.#join(user));
      for (let i = 0; i + 1 < circle.length; i += 2) {
        const [one, other] = [circle[i]!, circle[i + 1]!];
        this.#timeline.after(STARTING_MS + one.random() * MEETING_MS, () => this.#meet(one, other));
      }
      this.#timeline.after(STARTING_MS + MEETING_MS, () => {
        for (const user of circle) {
          this.#keepWriting(
            user,
            options.writing?.(user.number) ?? (() => exponential(user.random, WRITING_INTERVAL_MS)),
          );
          if (!options.fixedPairs) this.#keepRegrouping(user, circle);
          this.#beginAbsences(user);
        }
      });
    }
    this.#timeline.run();
    this.#network.close(this.#endMs);
    return this.#collector.measurements;
  }

  #join(user: User): void {
    this.#network.switchOn(user);
    const { accountId, deliveryAddress } = this.#network.call(user, { case: "createAccount", value: {} }, "account");
    user.accountId = accountId;
    this.#network.enterBucket(user, deliveryAddress);
  }

  /** Two users turn to each other: by a link if they have never met. */
  #meet(one: User, other: User): void {
    one.peer = other;
    other.peer = one;
    const pair = [one.number, other.number].sort((a, b) => a - b).join("/");
    const known = this.#conversations.get(pair);
    if (known !== undefined) {
      for (const user of [one, other]) if (user.conversations.has(known)) user.conversationId = known;
      return;
    }
    const { link } = this.#network.call(
      other,
      { case: "createInvite", value: { accountId: other.accountId, reusable: false } },
      "invite",
    );
    const value = { accountId: one.accountId, link, content: MESSAGE };
    const { conversation, message } = this.#network.connect(one, other, { case: "acceptInvite", value });
    one.conversationId = conversation!.conversationId;
    one.written.set(message!.messageId, this.#timeline.nowMs);
    this.#conversations.set(pair, conversation!.conversationId);
    this.#collector.count("setUps", 1, this.#timeline.nowMs);
  }

  #keepWriting(user: User, nextMs: () => number): void {
    this.#timeline.after(nextMs(), () => {
      const { conversationId } = user;
      if (user.online && conversationId !== undefined) {
        const value = { conversationId, content: MESSAGE };
        const { message } = this.#network.call(user, { case: "sendMessage", value }, "sentMessage");
        user.written.set(message!.messageId, this.#timeline.nowMs);
      }
      this.#keepWriting(user, nextMs);
    });
  }

  /** Turns to another user of the circle; those two leave their peers, who turn to each other if they are there. */
  #keepRegrouping(user: User, circle: readonly User[]): void {
    this.#timeline.after(exponential(user.random, REGROUPING_MS), () => {
      const other = circle[Math.floor(user.random() * circle.length)]!;
      const [left, alone] = [user.peer!, other.peer!];
      if (other !== user && other !== left && user.online && other.online) {
        this.#meet(user, other);
        const parted = left !== alone && alone !== user;
        if (parted && left.online && alone.online) this.#meet(left, alone);
      }
      this.#keepRegrouping(user, circle);
    });
  }

  /** As many users are away at the beginning as later. */
  #beginAbsences(user: User): void {
    const { offline } = this.#options;
    if (offline === 0) return;
    if (user.random() < offline) this.#leave(user);
    else this.#leaveLater(user);
  }

  #leaveLater(user: User): void {
    const { offline } = this.#options;
    const presenceMs = (ABSENCE_MS * (1 - offline)) / offline;
    this.#timeline.after(exponential(user.random, presenceMs), () => this.#leave(user));
  }

  #leave(user: User): void {
    this.#network.switchOff(user);
    this.#timeline.after(exponential(user.random, ABSENCE_MS), () => {
      user.machine.restart();
      this.#network.switchOn(user);
      this.#leaveLater(user);
    });
  }
}
