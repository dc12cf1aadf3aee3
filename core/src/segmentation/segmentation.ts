import { keccak_256 } from "@noble/hashes/sha3.js";
import { create } from "@bufbuild/protobuf";
import {
  type Frame,
  FrameSchema,
  type Payload,
  PayloadSchema,
  type Segment,
  SegmentSchema,
} from "@chatsdk/abi/wire_pb";
import { concatBytes, equalBytes } from "../bytes.ts";
import { checkLength, decode, encode } from "../codec.ts";
import { Rejected } from "../errors.ts";

/** With everything around it a segment fills one padded size of 64 KiB. */
export const SEGMENT_LENGTH = 64 * 1024 - 512;
/** 4 MB: what a step makes of a frame takes some twenty times its size, and a guest has 192 MiB (bench/README.md). */
export const MAX_SEGMENTS = 64;
/** Largest encoded frame. */
export const MAX_FRAME_LENGTH = SEGMENT_LENGTH * MAX_SEGMENTS;

/** One payload if the frame fits one envelope, else its parts (SEGMENTATION specification, without parity segments). */
export function split(frame: Frame): Payload[] {
  const encoded = encode(FrameSchema, frame);
  if (encoded.length <= SEGMENT_LENGTH) return [create(PayloadSchema, { kind: { case: "frame", value: frame } })];
  const entireMessageHash = keccak_256(encoded);
  const segmentCount = Math.ceil(encoded.length / SEGMENT_LENGTH);
  return Array.from({ length: segmentCount }, (_, index) => {
    const payload = encoded.slice(index * SEGMENT_LENGTH, (index + 1) * SEGMENT_LENGTH);
    const segment = create(SegmentSchema, { entireMessageHash, index, segmentCount, payload });
    return create(PayloadSchema, { kind: { case: "segment", value: segment } });
  });
}

/** Refuses a segment no honest sender makes. */
export function checkSegment(segment: Segment): void {
  checkLength(segment.entireMessageHash, 32, "segment.entire_message_hash");
  const { index, segmentCount } = segment;
  if (segmentCount < 2 || segmentCount > MAX_SEGMENTS || index >= segmentCount)
    throw new Rejected(`segment: ${index} of ${segmentCount}`);
  if (segment.payload.length === 0 || segment.payload.length > SEGMENT_LENGTH)
    throw new Rejected("segment.payload: length");
}

/** The frame whose parts these are, in order; `undefined` if they are not what the hash says. */
export function join(hash: Uint8Array, parts: Uint8Array[]): Frame | undefined {
  const encoded = concatBytes(...parts);
  if (!equalBytes(keccak_256(encoded), hash)) return undefined;
  try {
    return decode(FrameSchema, encoded, "frame");
  } catch (error) {
    if (error instanceof Rejected) return undefined;
    throw error;
  }
}
