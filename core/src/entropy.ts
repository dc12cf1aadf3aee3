import { concatBytes, label, uint32Bytes } from "./bytes.ts";
import type { Crypto } from "./crypto/crypto.ts";

const LABEL = label("entropy");

/**
 * Random bytes of one step, expanded from the 32 bytes that came with the input: HMAC-SHA-256 in counter mode. The same
 * seed gives the same bytes in the same order, so a step can be replayed; no seed serves two steps.
 */
export class Entropy {
  #drawn = 0;
  readonly #crypto: Crypto;
  readonly #seed: Uint8Array;

  constructor(crypto: Crypto, seed: Uint8Array) {
    if (seed.length !== 32) throw new RangeError("entropy: 32 bytes expected");
    this.#crypto = crypto;
    this.#seed = seed;
  }

  bytes(length: number): Uint8Array {
    const blocks: Uint8Array[] = [];
    for (let have = 0; have < length; have += 32) {
      blocks.push(this.#crypto.hmacSha256(this.#seed, concatBytes(LABEL, uint32Bytes(this.#drawn++))));
    }
    return concatBytes(...blocks).slice(0, length);
  }

  /** Uniform in [0, 1), for jitter only. */
  fraction(): number {
    return new DataView(this.bytes(4).buffer).getUint32(0) / 2 ** 32;
  }
}
