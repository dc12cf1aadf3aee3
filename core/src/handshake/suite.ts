/** X25519, Ed25519, HKDF-SHA-256, ChaCha20-Poly1305. */
export const SUITE_CLASSIC = 1;
/** Suite 1 with ML-KEM-768 mixed into the root key at the responder's first step. */
export const SUITE_HYBRID = 2;

export function suiteBit(suite: number): number {
  return 1 << (suite - 1);
}

/** Bits of all suites from `minimum` to `maximum`. */
export function suiteBits(minimum: number, maximum: number): number {
  let bits = 0;
  for (let suite = minimum; suite <= maximum; suite++) bits |= suiteBit(suite);
  return bits;
}

/** The highest suite in both sets, 0 if none. */
export function chooseSuite(ours: number, theirs: number): number {
  const common = ours & theirs;
  if (common & suiteBit(SUITE_HYBRID)) return SUITE_HYBRID;
  return common & suiteBit(SUITE_CLASSIC) ? SUITE_CLASSIC : 0;
}
