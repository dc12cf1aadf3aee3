import { concatBytes, readUint32, uint32Bytes } from "../bytes.ts";
import { checkLength } from "../codec.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { Rejected } from "../errors.ts";

/** Ratchet key, previous chain length, message number, length of the sealed responder hello. */
export interface Header {
  ratchetKey: Uint8Array;
  previousChainLength: number;
  messageNumber: number;
  helloLength: number;
}

const TAG_LENGTH = 16;
const PLAIN_LENGTH = 32 + 4 + 4 + 2;
export const SEALED_HEADER_LENGTH = PLAIN_LENGTH + TAG_LENGTH;

/** A header key seals at most two things a message, told apart by the first byte of the nonce. */
const HEADER = 0;
const HELLO = 1;

function nonce(purpose: number, messageNumber: number): Uint8Array {
  return concatBytes(Uint8Array.of(purpose, 0, 0, 0, 0, 0, 0, 0), uint32Bytes(messageNumber));
}

export function sealHeader(
  crypto: Crypto,
  headerKey: Uint8Array,
  header: Header,
  associatedData: Uint8Array,
): Uint8Array {
  const plain = concatBytes(
    header.ratchetKey,
    uint32Bytes(header.previousChainLength),
    uint32Bytes(header.messageNumber),
    uint32Bytes(header.helloLength).subarray(2),
  );
  return crypto.aeadSeal(headerKey.subarray(0, 32), nonce(HEADER, header.messageNumber), plain, associatedData);
}

/** The message number is known from the hint, so it serves as nonce; the header must repeat it. */
export function openHeader(
  crypto: Crypto,
  headerKey: Uint8Array,
  messageNumber: number,
  sealed: Uint8Array,
  associatedData: Uint8Array,
): Header {
  const plain = crypto.aeadOpen(headerKey.subarray(0, 32), nonce(HEADER, messageNumber), sealed, associatedData);
  if (!plain) throw new Rejected("header: does not verify");
  // A peer that lies can seal a shorter one.
  checkLength(plain, PLAIN_LENGTH, "header");
  const header = {
    ratchetKey: plain.slice(0, 32),
    previousChainLength: readUint32(plain, 32),
    messageNumber: readUint32(plain, 36),
    helloLength: (plain[40]! << 8) | plain[41]!,
  };
  if (header.messageNumber !== messageNumber) throw new Rejected("header: number does not match its hint");
  return header;
}

export function sealHello(
  crypto: Crypto,
  headerKey: Uint8Array,
  messageNumber: number,
  hello: Uint8Array,
  associatedData: Uint8Array,
): Uint8Array {
  return crypto.aeadSeal(headerKey.subarray(0, 32), nonce(HELLO, messageNumber), hello, associatedData);
}

export function openHello(
  crypto: Crypto,
  headerKey: Uint8Array,
  messageNumber: number,
  sealed: Uint8Array,
  associatedData: Uint8Array,
): Uint8Array {
  const hello = crypto.aeadOpen(headerKey.subarray(0, 32), nonce(HELLO, messageNumber), sealed, associatedData);
  if (!hello) throw new Rejected("responder hello: does not verify");
  return hello;
}
