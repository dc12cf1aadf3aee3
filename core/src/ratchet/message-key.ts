import { EMPTY, label } from "../bytes.ts";
import type { Crypto } from "../crypto/crypto.ts";

const LABEL = label("message");

function keyAndNonce(crypto: Crypto, messageKey: Uint8Array): [Uint8Array, Uint8Array] {
  const output = crypto.hkdfSha256(messageKey, EMPTY, LABEL, 44);
  return [output.slice(0, 32), output.slice(32, 44)];
}

/** Both key and nonce come from the message key, which serves once: no nonce travels, none can repeat. */
export function sealMessage(
  crypto: Crypto,
  messageKey: Uint8Array,
  plaintext: Uint8Array,
  associatedData: Uint8Array,
): Uint8Array {
  const [key, nonce] = keyAndNonce(crypto, messageKey);
  return crypto.aeadSeal(key, nonce, plaintext, associatedData);
}

export function openMessage(
  crypto: Crypto,
  messageKey: Uint8Array,
  ciphertext: Uint8Array,
  associatedData: Uint8Array,
): Uint8Array | undefined {
  const [key, nonce] = keyAndNonce(crypto, messageKey);
  return crypto.aeadOpen(key, nonce, ciphertext, associatedData);
}
