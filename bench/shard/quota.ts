import type { Priority } from "@chatsdk/abi/host_pb";

/** The network's default: so many messages of a member in so many seconds. */
export const EPOCH_MS = 600_000;
export const MESSAGES_PER_EPOCH = 100;

/** Publications of one user in one epoch, in the order of `Priority`. */
export type Use = [messages: number, acknowledgements: number, repairs: number];

/** What each publication would take of its user's quota: one message id of the epoch it falls into. */
export class Quota {
  readonly #uses = new Map<string, Use>();
  readonly #startMs: number;
  readonly #epochMs: number;

  /** Of a window shorter than an epoch, the window counts as one. */
  constructor(users: readonly number[], startMs: number, windowMs: number) {
    this.#startMs = startMs;
    this.#epochMs = Math.min(windowMs, EPOCH_MS);
    for (let epoch = 0; epoch < Math.floor(windowMs / this.#epochMs); epoch++) {
      for (const user of users) this.#uses.set(`${user}/${epoch}`, [0, 0, 0]);
    }
  }

  note(user: number, priority: Priority, nowMs: number): void {
    const use = this.#uses.get(`${user}/${Math.floor((nowMs - this.#startMs) / this.#epochMs)}`);
    // The window's last, incomplete epoch is left out.
    if (use) use[priority]++;
  }

  /** One for each user and complete epoch. */
  get uses(): Use[] {
    return [...this.#uses.values()];
  }
}
