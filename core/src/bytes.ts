import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";

export { bytesToHex, concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";

export const EMPTY = new Uint8Array(0);

/** As `concatBytes`, of tens of thousands: no call takes so many arguments. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Big-endian. */
export function uint32Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Big-endian. */
export function readUint32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset);
}

/** Not constant time: for values an attacker may see. Secrets are compared inside the AEAD alone. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Concatenation in which every part is preceded by its length (4 bytes), so that no two lists give the same bytes. */
export function framed(...parts: Uint8Array[]): Uint8Array {
  return concatBytes(...parts.flatMap((part) => [uint32Bytes(part.length), part]));
}

/** Domain separation: every key of the protocol is derived under one of these. */
export function label(name: string): Uint8Array {
  return utf8ToBytes(`chatsdk/private_v2/${name}`);
}
