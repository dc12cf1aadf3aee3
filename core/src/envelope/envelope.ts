import { create } from "@bufbuild/protobuf";
import { type Envelope, EnvelopeSchema } from "@chatsdk/abi/wire_pb";
import { checkLength, decode, encode } from "../codec.ts";
import { Rejected } from "../errors.ts";

export const HINT_LENGTH = 8;
/** 14/WAKU2-MESSAGE limits a message to 150 KB; the largest envelope of ours is far below. */
export const MAX_ENVELOPE_LENGTH = 150 * 1024;

export function encodeEnvelope(hint: Uint8Array, payload: Uint8Array): Uint8Array {
  return encode(EnvelopeSchema, create(EnvelopeSchema, { hint, payload }));
}

export function decodeEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > MAX_ENVELOPE_LENGTH) throw new Rejected("envelope: too long");
  const envelope = decode(EnvelopeSchema, bytes, "envelope");
  checkLength(envelope.hint, HINT_LENGTH, "envelope.hint");
  return envelope;
}
