import { base64Encode } from "@bufbuild/protobuf/wire";
import { concatBytes, uint32Bytes } from "../bytes.ts";
import type { Crypto } from "../crypto/crypto.ts";

const INITIATOR = Uint8Array.of(0x49);
const RESPONDER = Uint8Array.of(0x52);

/**
 * The id of a message is a function of its sender and sequence under a key of the session: both sides can name every
 * message, also those that never arrived, and nobody else can.
 */
export function messageId(crypto: Crypto, idKey: Uint8Array, byInitiator: boolean, sequence: number): string {
  const input = concatBytes(byInitiator ? INITIATOR : RESPONDER, uint32Bytes(sequence));
  return base64Encode(crypto.hmacSha256(idKey, input).subarray(0, 12), "url");
}
