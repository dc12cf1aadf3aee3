import { concatBytes, label, readUint32 } from "../bytes.ts";
import type { Crypto } from "../crypto/crypto.ts";

const LABEL = label("safety-number");
/** Makes the search for a look-alike key slower; Signal's figure. */
const ITERATIONS = 5200;
const GROUPS = 6;

function fingerprint(crypto: Crypto, identityKey: Uint8Array): string {
  let digest = crypto.sha256(concatBytes(LABEL, identityKey));
  for (let i = 1; i < ITERATIONS; i++) digest = crypto.sha256(concatBytes(digest, identityKey));
  const groups: string[] = [];
  for (let group = 0; group < GROUPS; group++) {
    const number = (digest[group * 5]! * 2 ** 32 + readUint32(digest, group * 5 + 1)) % 100000;
    groups.push(String(number).padStart(5, "0"));
  }
  return groups.join(" ");
}

/** Sixty digits, the same on both sides: thirty of each identity key, the smaller first (as Signal's numeric fingerprint). */
export function safetyNumber(crypto: Crypto, ours: Uint8Array, theirs: Uint8Array): string {
  return [fingerprint(crypto, ours), fingerprint(crypto, theirs)].sort().join(" ");
}
