/** Nodes refuse a timestamp that is more than 20 s from their clock. Far below that, and far above what a burst adds. */
const MAX_AHEAD_NS = 5_000_000_000n;

/**
 * Timestamps of messages, Unix time in nanoseconds. No two in a row are alike: the network takes messages that differ in nothing for one. They
 * run ahead of the clock only briefly, so that a clock that was ahead and was put right is followed.
 */
export class Timestamps {
  #last = 0n;

  next(nowMs = Date.now()): bigint {
    const now = BigInt(nowMs) * 1_000_000n;
    const isStale = this.#last > now + MAX_AHEAD_NS;
    this.#last = now > this.#last || isStale ? now : this.#last + 1n;
    return this.#last;
  }
}
