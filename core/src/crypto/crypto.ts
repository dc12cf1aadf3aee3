/**
 * The primitives the protocol is built from. One interface, several providers: `nobleCrypto` (reference,
 * everywhere), the host's native primitives (node:crypto), the intrinsics of the WASM module. All providers give the same
 * bytes for the same input; conformance tests hold them to that with the Wycheproof vectors.
 *
 * Every method is pure: randomness is always an argument. Keys, nonces and digests are `Uint8Array`s of the length
 * stated at the parameter; a wrong length throws a `RangeError` (a programming error, never caused by network input:
 * decoders check lengths first).
 */
export interface Crypto {
  /** SHA-256 (FIPS 180-4), 32 bytes. */
  sha256(data: Uint8Array): Uint8Array;
  /** HMAC-SHA-256 (RFC 2104), 32 bytes. */
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** HKDF-SHA-256 (RFC 5869), extract then expand, `length` bytes (at most 8,160). */
  hkdfSha256(inputKeyMaterial: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array;

  /** X25519 (RFC 7748) public key of a 32-byte secret. */
  x25519PublicKey(secretKey: Uint8Array): Uint8Array;
  /** X25519 shared secret, 32 bytes; `undefined` if the result is all zero (a low-order public key, RFC 7748 section 6.1). */
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;

  /** Ed25519 (RFC 8032) public key of a 32-byte seed. */
  ed25519PublicKey(seed: Uint8Array): Uint8Array;
  /** Ed25519 signature, 64 bytes, deterministic. */
  ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  /** Strict verification: canonical encodings only (RFC 8032, S < L), and small-order public keys refused. Never throws. */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** The X25519 form of an Ed25519 public key; `undefined` if it is no point, not canonical, or of small order. */
  ed25519PublicToX25519(publicKey: Uint8Array): Uint8Array | undefined;
  /** The X25519 secret that belongs to an Ed25519 seed. */
  ed25519SeedToX25519(seed: Uint8Array): Uint8Array;

  /** ChaCha20-Poly1305 (RFC 8439): ciphertext followed by the 16-byte tag. `nonce` is 12 bytes. */
  aeadSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associatedData: Uint8Array): Uint8Array;
  /** The plaintext, or `undefined` if the tag does not verify. */
  aeadOpen(
    key: Uint8Array,
    nonce: Uint8Array,
    ciphertext: Uint8Array,
    associatedData: Uint8Array,
  ): Uint8Array | undefined;
  /** XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): as `aeadSeal` with a 24-byte nonce that may be random. */
  xaeadSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associatedData: Uint8Array): Uint8Array;
  /** The plaintext, or `undefined` if the tag does not verify. */
  xaeadOpen(
    key: Uint8Array,
    nonce: Uint8Array,
    ciphertext: Uint8Array,
    associatedData: Uint8Array,
  ): Uint8Array | undefined;

  /** ML-KEM-768 (FIPS 203) encapsulation key (1,184 bytes) of a 64-byte seed d || z. */
  mlKem768PublicKey(seed: Uint8Array): Uint8Array;
  /**
   * ML-KEM-768 encapsulation with 32 bytes of entropy: ciphertext (1,088 bytes) and shared secret (32 bytes);
   * `undefined` if the encapsulation key fails the modulus check of FIPS 203 section 7.2.
   */
  mlKem768Encapsulate(
    publicKey: Uint8Array,
    entropy: Uint8Array,
  ): { ciphertext: Uint8Array; sharedSecret: Uint8Array } | undefined;
  /** ML-KEM-768 decapsulation with the 64-byte seed; a wrong ciphertext gives an unrelated secret (implicit rejection). */
  mlKem768Decapsulate(seed: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}
