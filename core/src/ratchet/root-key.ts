import { concatBytes, label } from "../bytes.ts";
import type { Crypto } from "../crypto/crypto.ts";

const LABEL = label("root");

export interface RootStep {
  rootKey: Uint8Array;
  chainKey: Uint8Array;
  /** 64 bytes: 32 that seal headers, 32 from which hints are made. */
  nextHeaderKey: Uint8Array;
}

/**
 * KDF_RK_HE of the Double Ratchet specification, section 4.1: HKDF-SHA-256 with the root key as salt. In suite 2 the
 * ML-KEM shared secret follows the Diffie-Hellman output at the responder's first step.
 */
export function advanceRoot(
  crypto: Crypto,
  rootKey: Uint8Array,
  sharedSecret: Uint8Array,
  kemSecret: Uint8Array,
): RootStep {
  const output = crypto.hkdfSha256(concatBytes(sharedSecret, kemSecret), rootKey, LABEL, 128);
  return { rootKey: output.slice(0, 32), chainKey: output.slice(32, 64), nextHeaderKey: output.slice(64, 128) };
}
