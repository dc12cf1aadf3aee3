import { proto_message } from "@waku/proto";
import type { RlnGroup } from "./group.ts";

/**
 * What a proof says about a message, as nwaku has it (sources named in waku-node/rln/message.go): the signal is
 * payload | content topic | timestamp, the epoch is the number of `epochSeconds` since 1970, integers are little-endian.
 * js-waku's and go-waku's own RLN leave the timestamp out.
 */
export function signalOf(payload: Uint8Array, contentTopic: string, timestampNs: bigint): Uint8Array {
  const timestamp = Buffer.alloc(8);
  timestamp.writeBigInt64LE(timestampNs);
  return new Uint8Array(Buffer.concat([payload, Buffer.from(contentTopic, "utf8"), timestamp]));
}

/** The number of the epoch of a message's timestamp. */
export function epochOf(timestampNs: bigint, { epochSeconds }: Pick<RlnGroup, "epochSeconds">): bigint {
  return timestampNs / (BigInt(epochSeconds) * 1_000_000_000n);
}

/** The epoch as the proof has it: 32 bytes. */
export function epochBytes(epoch: bigint): Uint8Array {
  const bytes = Buffer.alloc(32);
  bytes.writeBigUInt64LE(epoch);
  return new Uint8Array(bytes);
}

const SNARK_SIZE = 128;

/** The value of WakuMessage's `rateLimitProof`, from zerokit's layout: proof | root | external nullifier | x | y | nullifier. */
export function encodeProof(proof: Uint8Array, epoch: bigint, rlnIdentifier: Uint8Array): Uint8Array {
  const value = (position: number) => proof.subarray(SNARK_SIZE + 32 * position, SNARK_SIZE + 32 * (position + 1));
  return proto_message.RateLimitProof.encode({
    proof: proof.subarray(0, SNARK_SIZE),
    merkleRoot: value(0),
    epoch: epochBytes(epoch),
    shareX: value(2),
    shareY: value(3),
    nullifier: value(4),
    rlnIdentifier,
  });
}
