import { chacha20poly1305, xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { bytesToNumberLE } from "@noble/curves/utils.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import type { Crypto } from "./crypto.ts";

/**
 * The reference provider: plain JavaScript, no native code, runs everywhere.
 *
 * No result depends on the host's random source: every key, nonce and encapsulation seed is an argument. Where the
 * host has a random source, noble still draws from it to blind secret scalar multiplications against side channels;
 * where it has none (the WASM module) noble leaves the blinding out. The bytes are the same either way.
 */
export const nobleCrypto: Crypto = {
  /** FIPS 180-4 section 6.2. */
  sha256(data) {
    return sha256(data);
  },

  /** RFC 2104 section 2. */
  hmacSha256(key, data) {
    return hmac(sha256, key, data);
  },

  /** RFC 5869 sections 2.2 and 2.3. */
  hkdfSha256(inputKeyMaterial, salt, info, length) {
    requireOutputLength(length);
    return hkdf(sha256, inputKeyMaterial, salt, info, length);
  },

  /** RFC 7748 section 6.1. */
  x25519PublicKey(secretKey) {
    requireLength("X25519 secret key", secretKey, 32);
    return x25519.getPublicKey(secretKey);
  },

  /** RFC 7748 section 5, with the all-zero check of section 6.1. */
  x25519(secretKey, publicKey) {
    requireLength("X25519 secret key", secretKey, 32);
    requireLength("X25519 public key", publicKey, 32);
    return unlessRefused("invalid private or public key received", () => x25519.getSharedSecret(secretKey, publicKey));
  },

  /** RFC 8032 section 5.1.5. */
  ed25519PublicKey(seed) {
    requireLength("Ed25519 seed", seed, 32);
    return ed25519.getPublicKey(seed);
  },

  /** RFC 8032 section 5.1.6. */
  ed25519Sign(seed, message) {
    requireLength("Ed25519 seed", seed, 32);
    return ed25519.sign(message, seed);
  },

  /** RFC 8032 section 5.1.7; `holdsWithoutCofactor` only narrows what noble accepts. */
  ed25519Verify(publicKey, message, signature) {
    try {
      return (
        ed25519.verify(signature, message, publicKey, { zip215: false }) &&
        holdsWithoutCofactor(publicKey, message, signature)
      );
    } catch {
      return false;
    }
  },

  /** RFC 7748 section 4.1, the birational map u = (1 + y) / (1 - y), after decoding by RFC 8032 section 5.1.3. */
  ed25519PublicToX25519(publicKey) {
    requireLength("Ed25519 public key", publicKey, 32);
    const point = decodePoint(publicKey);
    if (point === undefined || point.isSmallOrder()) return undefined;
    return ed25519.utils.toMontgomery(publicKey);
  },

  /** RFC 8032 section 5.1.5 steps 1 and 2: the hashed and clamped scalar is the X25519 secret. */
  ed25519SeedToX25519(seed) {
    requireLength("Ed25519 seed", seed, 32);
    return ed25519.utils.toMontgomerySecret(seed).slice();
  },

  /** RFC 8439 section 2.8. */
  aeadSeal(key, nonce, plaintext, associatedData) {
    requireLength("ChaCha20-Poly1305 key", key, 32);
    requireLength("ChaCha20-Poly1305 nonce", nonce, 12);
    return chacha20poly1305(key, nonce, associatedData).encrypt(plaintext);
  },

  /** RFC 8439 section 2.8; anything shorter than a tag cannot verify. */
  aeadOpen(key, nonce, ciphertext, associatedData) {
    requireLength("ChaCha20-Poly1305 key", key, 32);
    requireLength("ChaCha20-Poly1305 nonce", nonce, 12);
    if (ciphertext.length < tagLength) return undefined;
    return unlessRefused("invalid tag", () => chacha20poly1305(key, nonce, associatedData).decrypt(ciphertext));
  },

  /** draft-irtf-cfrg-xchacha-03 section 2. */
  xaeadSeal(key, nonce, plaintext, associatedData) {
    requireLength("XChaCha20-Poly1305 key", key, 32);
    requireLength("XChaCha20-Poly1305 nonce", nonce, 24);
    return xchacha20poly1305(key, nonce, associatedData).encrypt(plaintext);
  },

  /** draft-irtf-cfrg-xchacha-03 section 2; anything shorter than a tag cannot verify. */
  xaeadOpen(key, nonce, ciphertext, associatedData) {
    requireLength("XChaCha20-Poly1305 key", key, 32);
    requireLength("XChaCha20-Poly1305 nonce", nonce, 24);
    if (ciphertext.length < tagLength) return undefined;
    return unlessRefused("invalid tag", () => xchacha20poly1305(key, nonce, associatedData).decrypt(ciphertext));
  },

  /** FIPS 203 algorithm 16. */
  mlKem768PublicKey(seed) {
    requireLength("ML-KEM-768 seed", seed, 64);
    return ml_kem768.keygen(seed).publicKey;
  },

  /** FIPS 203 algorithm 17, with the input check of section 7.2. */
  mlKem768Encapsulate(publicKey, entropy) {
    requireLength("ML-KEM-768 encapsulation key", publicKey, 1184);
    requireLength("ML-KEM-768 entropy", entropy, 32);
    const encapsulated = unlessRefused("ML-KEM.encapsulate: wrong publicKey modulus", () =>
      ml_kem768.encapsulate(publicKey, entropy),
    );
    if (encapsulated === undefined) return undefined;
    return { ciphertext: encapsulated.cipherText, sharedSecret: encapsulated.sharedSecret.slice() };
  },

  /** FIPS 203 algorithm 18; the expanded key is rebuilt each time, so only the seed is ever stored. */
  mlKem768Decapsulate(seed, ciphertext) {
    requireLength("ML-KEM-768 seed", seed, 64);
    requireLength("ML-KEM-768 ciphertext", ciphertext, 1088);
    const { secretKey } = ml_kem768.keygen(seed);
    const sharedSecret = ml_kem768.decapsulate(ciphertext, secretKey).slice();
    secretKey.fill(0);
    return sharedSecret;
  },
};

const tagLength = 16;
const hkdfMaximumLength = 255 * 32;

/**
 * RFC 8032 section 5.1.7 step 3 without the cofactor, and R not of small order. noble checks the cofactored equation,
 * which OpenSSL and ed25519-dalek do not: a signer who adds a small-order point to the key or to R could otherwise make
 * a signature that one provider accepts and another refuses.
 */
function holdsWithoutCofactor(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const encodedR = signature.subarray(0, 32);
  const pointR = ed25519.Point.fromBytes(encodedR);
  if (pointR.isSmallOrder()) return false;
  const challenge = ed25519.Point.Fn.create(bytesToNumberLE(sha512(concatBytes(encodedR, publicKey, message))));
  const scalarS = bytesToNumberLE(signature.subarray(32));
  const right = pointR.add(ed25519.Point.fromBytes(publicKey).multiplyUnsafe(challenge));
  return ed25519.Point.BASE.multiplyUnsafe(scalarS).equals(right);
}

/** RFC 8032 section 5.1.3, canonical encodings only. */
function decodePoint(encoded: Uint8Array) {
  try {
    return ed25519.Point.fromBytes(encoded);
  } catch {
    return undefined;
  }
}

/** noble reports a refused input only as an exception with this text; any other exception is a fault and passes. */
function unlessRefused<Result>(refusal: string, compute: () => Result): Result | undefined {
  try {
    return compute();
  } catch (error) {
    if (error instanceof Error && error.message === refusal) return undefined;
    throw error;
  }
}

function requireLength(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${name}: expected ${length} bytes, got ${bytes.length}`);
}

function requireOutputLength(length: number): void {
  if (!Number.isInteger(length) || length < 0 || length > hkdfMaximumLength)
    throw new RangeError(`HKDF-SHA-256 output: expected 0 to ${hkdfMaximumLength} bytes, got ${length}`);
}
