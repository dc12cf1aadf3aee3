import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  type KeyObject,
  sign,
} from "node:crypto";

/**
 * What docs/spec/README.md calls H, HMAC, HKDF, DH, seal and so on, made from node:crypto, and a protobuf writer: nothing of
 * the core. With these the tests follow the text of the specification.
 */

export type Bytes = Uint8Array;

export const concat = (...parts: readonly Bytes[]): Bytes => Buffer.concat(parts);
export const utf8 = (text: string): Bytes => Buffer.from(text, "utf8");
export const bytes = (hex: string): Bytes => Buffer.from(hex, "hex");
export const hex = (value: Bytes): string => Buffer.from(value).toString("hex");
export const L = (name: string): Bytes => utf8(`chatsdk/private_v2/${name}`);
export const u16 = (value: number): Bytes => Uint8Array.of(value >> 8, value & 0xff);

export function u32(value: number): Bytes {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

export const framed = (...parts: readonly Bytes[]): Bytes =>
  concat(...parts.flatMap((part) => [u32(part.length), part]));

export const H = (data: Bytes): Bytes => createHash("sha256").update(data).digest();
export const HMAC = (key: Bytes, data: Bytes): Bytes => createHmac("sha256", key).update(data).digest();
export const HKDF = (ikm: Bytes, salt: Bytes, info: Bytes, length: number): Bytes =>
  new Uint8Array(hkdfSync("sha256", ikm, salt, info, length));

const EMPTY = new Uint8Array(0);

// Curves. node:crypto takes keys as DER: a fixed prefix, then the 32 bytes.

const PKCS8 = { x25519: "302e020100300506032b656e04220420", ed25519: "302e020100300506032b657004220420" };
const SPKI = { x25519: "302a300506032b656e032100", ed25519: "302a300506032b6570032100" };

function privateKey(curve: keyof typeof PKCS8, secret: Bytes): KeyObject {
  return createPrivateKey({ key: Buffer.concat([bytes(PKCS8[curve]), secret]), format: "der", type: "pkcs8" });
}

function rawPublicKey(key: KeyObject): Bytes {
  return createPublicKey(key as never)
    .export({ format: "der", type: "spki" })
    .subarray(-32);
}

export const x25519PublicKey = (secret: Bytes): Bytes => rawPublicKey(privateKey("x25519", secret));
export const ed25519PublicKey = (seed: Bytes): Bytes => rawPublicKey(privateKey("ed25519", seed));
export const ed25519Sign = (seed: Bytes, message: Bytes): Bytes => sign(null, message, privateKey("ed25519", seed));

export function DH(secret: Bytes, publicKey: Bytes): Bytes {
  const key = Buffer.concat([bytes(SPKI.x25519), publicKey]);
  return diffieHellman({
    privateKey: privateKey("x25519", secret),
    publicKey: createPublicKey({ key, format: "der", type: "spki" }),
  });
}

/** X25519(seed): the first half of SHA-512, clamped. */
export function seedToX25519(seed: Bytes): Bytes {
  const secret = new Uint8Array(createHash("sha512").update(seed).digest().subarray(0, 32));
  secret[0]! &= 248;
  secret[31] = (secret[31]! & 127) | 64;
  return secret;
}

const P = 2n ** 255n - 19n;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let b = base % P, e = exponent; e > 0n; e >>= 1n, b = (b * b) % P) if (e & 1n) result = (result * b) % P;
  return result;
}

/** X25519(pub): u = (1 + y) / (1 - y). */
export function publicToX25519(identityKey: Bytes): Bytes {
  const y = BigInt(`0x${hex(Buffer.from(identityKey).reverse())}`) & (2n ** 255n - 1n);
  const u = ((1n + y) * power((1n - y + P) % P, P - 2n)) % P;
  return Buffer.from(u.toString(16).padStart(64, "0"), "hex").reverse();
}

// Seals.

export function seal(key: Bytes, nonce: Bytes, plaintext: Bytes, ad: Bytes): Bytes {
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
  cipher.setAAD(ad, { plaintextLength: plaintext.length });
  return concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}

/** Throws if the tag does not verify. */
export function open(key: Bytes, nonce: Bytes, sealed: Bytes, ad: Bytes): Bytes {
  const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
  decipher.setAAD(ad, { plaintextLength: sealed.length - 16 });
  decipher.setAuthTag(sealed.subarray(-16));
  return concat(decipher.update(sealed.subarray(0, -16)), decipher.final());
}

/** draft-irtf-cfrg-xchacha-03, section 2.2. */
function hChaCha20(key: Bytes, nonce: Bytes): Bytes {
  const input = Buffer.concat([utf8("expand 32-byte k"), key, nonce]);
  const s = Uint32Array.from({ length: 16 }, (_, i) => input.readUInt32LE(4 * i));
  const add = (a: number, b: number, c: number, turn: number): void => {
    s[a] = s[a]! + s[b]!;
    const mixed = s[c]! ^ s[a]!;
    s[c] = (mixed << turn) | (mixed >>> (32 - turn));
  };
  const quarter = (a: number, b: number, c: number, d: number): void => {
    add(a, b, d, 16);
    add(c, d, b, 12);
    add(a, b, d, 8);
    add(c, d, b, 7);
  };
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 4; i++) quarter(i, 4 + i, 8 + i, 12 + i);
    for (let i = 0; i < 4; i++) quarter(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4));
  }
  const out = Buffer.alloc(32);
  [0, 1, 2, 3, 12, 13, 14, 15].forEach((word, i) => {
    out.writeUInt32LE(s[word]!, 4 * i);
  });
  return out;
}

export function xseal(key: Bytes, nonce: Bytes, plaintext: Bytes, ad: Bytes): Bytes {
  return seal(hChaCha20(key, nonce.subarray(0, 16)), concat(new Uint8Array(4), nonce.subarray(16)), plaintext, ad);
}

// Keccak-256 with the original padding, which node:crypto does not have.

const ROTATION = [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];
const MASK = 2n ** 64n - 1n;
const rotate = (value: bigint, by: number): bigint =>
  by === 0 ? value : ((value << BigInt(by)) | (value >> BigInt(64 - by))) & MASK;

function roundConstants(): bigint[] {
  let register = 1;
  const bit = (): bigint => {
    const out = BigInt(register & 1);
    register = (register << 1) ^ (register & 0x80 ? 0x171 : 0);
    return out;
  };
  return Array.from({ length: 24 }, () => {
    let constant = 0n;
    for (let j = 0; j < 7; j++) constant |= bit() << (2n ** BigInt(j) - 1n);
    return constant;
  });
}

const CONSTANTS = roundConstants();

function permute(a: bigint[]): void {
  for (const constant of CONSTANTS) {
    const column = [0, 1, 2, 3, 4].map((x) => a[x]! ^ a[x + 5]! ^ a[x + 10]! ^ a[x + 15]! ^ a[x + 20]!);
    for (let i = 0; i < 25; i++) a[i]! ^= column[(i + 4) % 5]! ^ rotate(column[(i + 1) % 5]!, 1);
    const b = new Array<bigint>(25);
    for (let y = 0; y < 5; y++)
      for (let x = 0; x < 5; x++) b[y + 5 * ((2 * x + 3 * y) % 5)] = rotate(a[x + 5 * y]!, ROTATION[x + 5 * y]!);
    for (let i = 0; i < 25; i++) {
      const row = i - (i % 5);
      a[i] = b[i]! ^ (~b[row + ((i + 1) % 5)]! & MASK & b[row + ((i + 2) % 5)]!);
    }
    a[0]! ^= constant;
  }
}

export function keccak256(data: Bytes): Bytes {
  const rate = 136;
  const padded = Buffer.alloc((Math.floor(data.length / rate) + 1) * rate);
  padded.set(data);
  padded[data.length]! ^= 0x01;
  padded[padded.length - 1]! ^= 0x80;
  const state = new Array<bigint>(25).fill(0n);
  for (let offset = 0; offset < padded.length; offset += rate) {
    for (let i = 0; i < rate / 8; i++) state[i]! ^= padded.readBigUInt64LE(offset + 8 * i);
    permute(state);
  }
  const out = Buffer.alloc(32);
  for (let i = 0; i < 4; i++) out.writeBigUInt64LE(state[i]!, 8 * i);
  return out;
}

// Protobuf, as much as the schemas need.

function varint(value: number | bigint): Bytes {
  const out: number[] = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 128n) {
      out.push(Number(rest));
      return Uint8Array.from(out);
    }
    out.push(Number(rest & 127n) | 128);
  }
}

/** One field; nothing if the value is proto3's default. */
export function field(number: number, value: Bytes | string | number | bigint | boolean): Bytes {
  if (typeof value === "string") return field(number, utf8(value));
  if (typeof value === "boolean") return field(number, value ? 1 : 0);
  if (value instanceof Uint8Array)
    return value.length === 0 ? EMPTY : concat(varint((number << 3) | 2), varint(value.length), value);
  return BigInt(value) === 0n ? EMPTY : concat(varint(number << 3), varint(value));
}

/** A field that is there even if empty: a message, or an element of a list. */
export function present(number: number, value: Bytes): Bytes {
  return concat(varint((number << 3) | 2), varint(value.length), value);
}

/** repeated uint32. */
export function packed(number: number, values: readonly number[]): Bytes {
  return values.length === 0 ? EMPTY : present(number, concat(...values.map(varint)));
}

/** The fields of a message by number; only the last of each, which suffices for the schemas here. */
export function parse(message: Bytes): Map<number, Bytes | bigint> {
  const fields = new Map<number, Bytes | bigint>();
  let at = 0;
  const read = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = Number(read());
    if ((tag & 7) === 0) fields.set(tag >> 3, read());
    else if ((tag & 7) === 2) {
      const length = Number(read());
      fields.set(tag >> 3, message.subarray(at, at + length));
      at += length;
    } else throw new Error(`wire type ${tag & 7}`);
  }
  return fields;
}
