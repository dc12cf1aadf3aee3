import { concatBytes, uint32Bytes } from "../bytes.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { HINT_LENGTH } from "../envelope/envelope.ts";

const PLAIN = Uint8Array.of(0x01);
const BEACON = Uint8Array.of(0x02);
/** Hints in one HMAC output. */
const PER_BLOCK = 4;
/** Every so many messages the hint is a beacon: awaited far ahead, so that a long loss cannot make the receiver deaf. */
export const BEACON_INTERVAL = 64;
const BEACONS_AHEAD = 3;
/** Every fourth beacon is awaited further ahead: beyond it a sender that was given no answer jumps. */
export const FAR_BEACON_INTERVAL = 256;
const FAR_BEACONS_AHEAD = 3;

/** The second half of a header key. */
export function hintKeyOf(headerKey: Uint8Array): Uint8Array {
  return headerKey.subarray(32, 64);
}

function block(crypto: Crypto, headerKey: Uint8Array, kind: Uint8Array, index: number): Uint8Array {
  return crypto.hmacSha256(hintKeyOf(headerKey), concatBytes(kind, uint32Bytes(index)));
}

/** Calculates hints of one header key, each HMAC output once. */
export class HintSource {
  readonly #blocks = new Map<string, Uint8Array>();
  readonly #crypto: Crypto;
  readonly #headerKey: Uint8Array;

  constructor(crypto: Crypto, headerKey: Uint8Array) {
    this.#crypto = crypto;
    this.#headerKey = headerKey;
  }

  hint(messageNumber: number): Uint8Array {
    const beacon = messageNumber % BEACON_INTERVAL === 0;
    const position = beacon ? messageNumber / BEACON_INTERVAL : messageNumber;
    const index = Math.floor(position / PER_BLOCK);
    const name = `${beacon}/${index}`;
    let bytes = this.#blocks.get(name);
    if (!bytes) {
      bytes = block(this.#crypto, this.#headerKey, beacon ? BEACON : PLAIN, index);
      this.#blocks.set(name, bytes);
    }
    const start = (position % PER_BLOCK) * HINT_LENGTH;
    return bytes.slice(start, start + HINT_LENGTH);
  }
}

/**
 * Message numbers awaited in a chain whose next number is `next`: a window that grows with the chain (a short exchange
 * stays cheap, a stream may be reordered by up to 32), the next three beacons, and three far beacons after those. While messages are missing the window is
 * `wide`: the beginning of a chain may have gone into repairs that were lost as well.
 */
export function awaitedNumbers(next: number, wide = false): number[] {
  const ahead = wide ? BEACON_INTERVAL : Math.min(Math.max(2 * next, 4), 32);
  const end = Math.ceil((next + ahead) / 8) * 8;
  const numbers: number[] = [];
  for (let number = next; number < end; number++) numbers.push(number);
  const firstBeacon = Math.ceil(end / BEACON_INTERVAL) * BEACON_INTERVAL;
  for (let i = 0; i < BEACONS_AHEAD; i++) numbers.push(firstBeacon + i * BEACON_INTERVAL);
  const lastBeacon = firstBeacon + (BEACONS_AHEAD - 1) * BEACON_INTERVAL;
  const firstFar = (Math.floor(lastBeacon / FAR_BEACON_INTERVAL) + 1) * FAR_BEACON_INTERVAL;
  for (let i = 0; i < FAR_BEACONS_AHEAD; i++) numbers.push(firstFar + i * FAR_BEACON_INTERVAL);
  return numbers;
}
