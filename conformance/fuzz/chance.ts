import { seededRandom } from "../src/random.ts";

/** Choices of a seeded generator. */
export class Chance {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.below(256);
    return bytes;
  }

  /** A copy that differs in at most `count` bits, at least one. */
  flip(bytes: Uint8Array, count: number): Uint8Array {
    const flipped = Uint8Array.from(bytes);
    const first = this.below(bytes.length * 8);
    if (bytes.length > 0) flipped[first >> 3]! ^= 1 << (first & 7);
    for (let i = 1; i < count; i++) {
      const bit = this.below(bytes.length * 8);
      if (bit !== first) flipped[bit >> 3]! ^= 1 << (bit & 7);
    }
    return flipped;
  }
}
