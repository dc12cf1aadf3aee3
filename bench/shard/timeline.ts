/** Simulated time in milliseconds. What is due in the same millisecond runs in the order in which it was scheduled. */
export class Timeline {
  nowMs: number;
  readonly #startMs: number;
  readonly #slots: ((() => void)[] | undefined)[];

  constructor(startMs: number, endMs: number) {
    this.nowMs = startMs;
    this.#startMs = startMs;
    this.#slots = new Array(endMs - startMs);
  }

  /** What is due at the end or later never runs. */
  at(timeMs: number, run: () => void): void {
    const slot = Math.max(Math.round(timeMs), this.nowMs) - this.#startMs;
    if (slot >= this.#slots.length) return;
    const due = this.#slots[slot];
    if (due) due.push(run);
    else this.#slots[slot] = [run];
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  run(): void {
    for (let slot = 0; slot < this.#slots.length; slot++) {
      this.nowMs = this.#startMs + slot;
      // What runs may add to the list under way.
      for (const run of this.#slots[slot] ?? []) run();
      this.#slots[slot] = undefined;
    }
  }
}
