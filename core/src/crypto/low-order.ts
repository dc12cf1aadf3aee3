import type { Crypto } from "./crypto.ts";

const ANY_SECRET = new Uint8Array(32).fill(0x42);

/**
 * True for an X25519 public key with which every agreement gives zero. Such a key is refused where it arrives: where it is
 * first used, while something of ours is sent, it would be too late.
 */
export function isLowOrder(crypto: Crypto, publicKey: Uint8Array): boolean {
  return crypto.x25519(ANY_SECRET, publicKey) === undefined;
}
