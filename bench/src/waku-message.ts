import { proto_message } from "@waku/proto";

/** As nwaku and zerokit lay it out: a Groth16 proof of 128 bytes and six field elements of 32. Counted, not made. */
const RATE_LIMIT_PROOF: proto_message.RateLimitProof = {
  proof: new Uint8Array(128),
  merkleRoot: new Uint8Array(32),
  epoch: new Uint8Array(32),
  shareX: new Uint8Array(32),
  shareY: new Uint8Array(32),
  nullifier: new Uint8Array(32),
  rlnIdentifier: new Uint8Array(32),
};

/** A WakuMessage as the SDK publishes it (docs/spec/07-waku.md), with or without a proof in field 21. */
export function wakuMessage(
  contentTopic: string,
  payload: Uint8Array,
  timestampMs: number,
  withProof = false,
): proto_message.WakuMessage {
  const message = { contentTopic, payload, timestamp: BigInt(timestampMs) * 1_000_000n };
  return withProof ? { ...message, rateLimitProof: RATE_LIMIT_PROOF } : message;
}

/** Bytes of an encoded WakuMessage without a proof; one adds `RLN_FIELD_LENGTH`. */
export function wakuMessageLength(contentTopic: string, payload: Uint8Array, timestampMs: number): number {
  return proto_message.WakuMessage.encode(wakuMessage(contentTopic, payload, timestampMs)).length;
}

/** Bytes that a proof adds to a WakuMessage. */
export const RLN_FIELD_LENGTH = proto_message.WakuMessage.encode({ rateLimitProof: RATE_LIMIT_PROOF }).length;

/** P1: what users write, in messages a minute each. */
export const MESSAGES_PER_MINUTE = 4;

/** Mbps on the shard if each of so many users writes four messages a minute, and each costs so many bytes. */
export function shardMbps(bytesPerMessage: number, users: number): number {
  return (bytesPerMessage * 8 * users * MESSAGES_PER_MINUTE) / 60 / 1e6;
}
