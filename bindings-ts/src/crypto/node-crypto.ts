import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hash,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { type Crypto, nobleCrypto } from "@chatsdk/core";
import { hchacha } from "@noble/ciphers/chacha.js";
import { swap32IfBE } from "@noble/ciphers/utils.js";

/**
 * The provider for Node: OpenSSL through node:crypto, and noble for what Node 22 lacks (HChaCha20, ML-KEM, the conversion of
 * Ed25519 keys). Where OpenSSL is laxer or stricter than the reference, a check here makes them equal.
 */
export const nodeCrypto: Crypto = {
  /** FIPS 180-4 section 6.2. */
  sha256(data) {
    return plain(hash("sha256", data, "buffer"));
  },

  /** RFC 2104 section 2. */
  hmacSha256(key, data) {
    return plain(createHmac("sha256", key).update(data).digest());
  },

  /** RFC 5869 sections 2.2 and 2.3; Node refuses an empty output and more than 1,024 bytes of info. */
  hkdfSha256(inputKeyMaterial, salt, info, length) {
    if (length === 0 || info.length > nodeMaximumInfo)
      return nobleCrypto.hkdfSha256(inputKeyMaterial, salt, info, length);
    return new Uint8Array(hkdfSync("sha256", inputKeyMaterial, salt, info, length));
  },

  /** RFC 7748 section 6.1. */
  x25519PublicKey(secretKey) {
    requireLength("X25519 secret key", secretKey, 32);
    return rawPublicKey(privateKeyObject(x25519Prefix, secretKey));
  },

  /** RFC 7748 section 5, with the all-zero check of section 6.1. */
  x25519(secretKey, publicKey) {
    requireLength("X25519 secret key", secretKey, 32);
    requireLength("X25519 public key", publicKey, 32);
    const keys = {
      privateKey: privateKeyObject(x25519Prefix, secretKey),
      publicKey: publicKeyObject("X25519", publicKey),
    };
    try {
      return plain(diffieHellman(keys));
    } catch {
      // OpenSSL throws for an all-zero result; the reference tells it from a fault.
      return nobleCrypto.x25519(secretKey, publicKey);
    }
  },

  /** RFC 8032 section 5.1.5. */
  ed25519PublicKey(seed) {
    requireLength("Ed25519 seed", seed, 32);
    return rawPublicKey(privateKeyObject(ed25519Prefix, seed));
  },

  /** RFC 8032 section 5.1.6. */
  ed25519Sign(seed, message) {
    requireLength("Ed25519 seed", seed, 32);
    return plain(sign(null, message, privateKeyObject(ed25519Prefix, seed)));
  },

  /** RFC 8032 section 5.1.7 without the cofactor; OpenSSL refuses S >= L, but takes any encoding and order of A and R. */
  ed25519Verify(publicKey, message, signature) {
    if (publicKey.length !== 32 || signature.length !== 64) return false;
    const keyCoordinate = yCoordinate(publicKey);
    if (keyCoordinate >= fieldPrime || smallOrderCoordinates.has(keyCoordinate)) return false;
    if (smallOrderCoordinates.has(yCoordinate(signature.subarray(0, 32)))) return false;
    try {
      return verify(null, message, publicKeyObject("Ed25519", publicKey), signature);
    } catch {
      return false;
    }
  },

  ed25519PublicToX25519: nobleCrypto.ed25519PublicToX25519,
  ed25519SeedToX25519: nobleCrypto.ed25519SeedToX25519,

  /** RFC 8439 section 2.8. */
  aeadSeal(key, nonce, plaintext, associatedData) {
    requireLength("ChaCha20-Poly1305 key", key, 32);
    requireLength("ChaCha20-Poly1305 nonce", nonce, 12);
    const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: tagLength });
    cipher.setAAD(associatedData, { plaintextLength: plaintext.length });
    const sealed = new Uint8Array(plaintext.length + tagLength);
    sealed.set(cipher.update(plaintext));
    cipher.final();
    sealed.set(cipher.getAuthTag(), plaintext.length);
    return sealed;
  },

  /** RFC 8439 section 2.8; anything shorter than a tag cannot verify. */
  aeadOpen(key, nonce, ciphertext, associatedData) {
    requireLength("ChaCha20-Poly1305 key", key, 32);
    requireLength("ChaCha20-Poly1305 nonce", nonce, 12);
    if (ciphertext.length < tagLength) return undefined;
    const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: tagLength });
    const encrypted = ciphertext.subarray(0, -tagLength);
    decipher.setAAD(associatedData, { plaintextLength: encrypted.length });
    decipher.setAuthTag(ciphertext.subarray(-tagLength));
    const plaintext = plain(decipher.update(encrypted));
    try {
      decipher.final();
    } catch {
      // Unauthenticated plaintext must not outlive this call.
      plaintext.fill(0);
      return undefined;
    }
    return plaintext;
  },

  /** draft-irtf-cfrg-xchacha-03, section 2.3. */
  xaeadSeal(key, nonce, plaintext, associatedData) {
    return withSubkey(key, nonce, (...of) => nodeCrypto.aeadSeal(...of, plaintext, associatedData));
  },

  /** draft-irtf-cfrg-xchacha-03, section 2.3. */
  xaeadOpen(key, nonce, ciphertext, associatedData) {
    return withSubkey(key, nonce, (...of) => nodeCrypto.aeadOpen(...of, ciphertext, associatedData));
  },

  mlKem768PublicKey: nobleCrypto.mlKem768PublicKey,
  mlKem768Encapsulate: nobleCrypto.mlKem768Encapsulate,
  mlKem768Decapsulate: nobleCrypto.mlKem768Decapsulate,
};

const tagLength = 16;

/** "expand 32-byte k" (RFC 8439 section 2.3), as hchacha takes it. */
const sigma = words(Buffer.from("expand 32-byte k"));

/** HChaCha20 turns a key and the first 16 bytes of the nonce into the key of a ChaCha20-Poly1305 under the other 8. */
function withSubkey<Result>(
  key: Uint8Array,
  nonce: Uint8Array,
  use: (subkey: Uint8Array, nonce: Uint8Array) => Result,
): Result {
  requireLength("XChaCha20-Poly1305 key", key, 32);
  requireLength("XChaCha20-Poly1305 nonce", nonce, 24);
  const keyWords = words(key);
  const subkeyWords = new Uint32Array(8);
  hchacha(sigma, keyWords, words(nonce.subarray(0, 16)), subkeyWords);
  const shortNonce = new Uint8Array(12);
  shortNonce.set(nonce.subarray(16), 4);
  const result = use(new Uint8Array(swap32IfBE(subkeyWords).buffer), shortNonce);
  keyWords.fill(0);
  subkeyWords.fill(0);
  return result;
}
const nodeMaximumInfo = 1024;

/** PKCS #8 in DER up to the 32 secret bytes (RFC 8410 section 7). */
const x25519Prefix = Buffer.from("302e020100300506032b656e04220420", "hex");
const ed25519Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

/** 2^255 - 19, big-endian. */
const fieldPrime = "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed";

/** The y coordinates of the eight points whose order divides the cofactor, big-endian. */
const smallOrderCoordinates = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000001",
  "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec",
  "05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826",
  "7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
]);

/** The y coordinate of an encoded point (RFC 8032 section 5.1.2) in big-endian hex, so that strings compare as numbers. */
function yCoordinate(encodedPoint: Uint8Array): string {
  const y = Buffer.from(encodedPoint).reverse();
  y.writeUInt8(y.readUInt8(0) & 0x7f, 0);
  return y.toString("hex");
}

/** DER, because a JWK of a secret also needs its public key; both take the same time. */
function privateKeyObject(prefix: Uint8Array, secret: Uint8Array): KeyObject {
  // Not Buffer.concat: its pool would keep the secret.
  const encoded = Buffer.alloc(prefix.length + secret.length);
  encoded.set(prefix);
  encoded.set(secret, prefix.length);
  const privateKey = createPrivateKey({ key: encoded, format: "der", type: "pkcs8" });
  encoded.fill(0);
  return privateKey;
}

/** JWK (RFC 8037), because Node reads it twice as fast as DER. */
function publicKeyObject(curve: "X25519" | "Ed25519", publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: curve, x }, format: "jwk" });
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return new Uint8Array(Buffer.from(x, "base64url"));
}

/** Bytes as little-endian words, in memory of their own. */
function words(bytes: Uint8Array): Uint32Array<ArrayBuffer> {
  const copy = new Uint32Array(bytes.length / 4);
  new Uint8Array(copy.buffer).set(bytes);
  return swap32IfBE(copy) as Uint32Array<ArrayBuffer>;
}

/** Callers get Uint8Array, whose `slice` copies; Buffer's shares memory. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

function requireLength(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${name}: expected ${length} bytes, got ${bytes.length}`);
}
