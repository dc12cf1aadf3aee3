import { Rejected } from "../errors.ts";

const SMALLEST = 256;
const MARK = 0x80;

/** The padded size of a plaintext: the smallest power of two from 256 that holds it and one mark. */
export function paddedSize(length: number): number {
  let size = SMALLEST;
  while (size < length + 1) size *= 2;
  return size;
}

/** ISO/IEC 7816-4: a mark, then zeros up to one of few sizes, so that a ciphertext's length says little. */
export function pad(plaintext: Uint8Array): Uint8Array {
  const padded = new Uint8Array(paddedSize(plaintext.length));
  padded.set(plaintext);
  padded[plaintext.length] = MARK;
  return padded;
}

export function unpad(padded: Uint8Array): Uint8Array {
  const mark = padded.lastIndexOf(MARK);
  if (mark < 0 || paddedSize(mark) !== padded.length || padded.subarray(mark + 1).some((byte) => byte !== 0)) {
    throw new Rejected("padding: malformed");
  }
  return padded.subarray(0, mark);
}
