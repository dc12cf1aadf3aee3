import type { Crypto } from "../crypto/crypto.ts";

const MESSAGE = Uint8Array.of(0x01);
const NEXT = Uint8Array.of(0x02);

/** KDF_CK of the Double Ratchet specification, section 5.2: HMAC-SHA-256 with constants 0x01 and 0x02. */
export function advanceChain(crypto: Crypto, chainKey: Uint8Array): { messageKey: Uint8Array; chainKey: Uint8Array } {
  return { messageKey: crypto.hmacSha256(chainKey, MESSAGE), chainKey: crypto.hmacSha256(chainKey, NEXT) };
}
