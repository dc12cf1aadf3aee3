import { create } from "@bufbuild/protobuf";
import type { Reliability } from "@chatsdk/abi/records_pb";
import {
  HistoryEntrySchema,
  type Payload,
  PayloadSchema,
  type SdsMessage,
  SdsMessageSchema,
} from "@chatsdk/abi/wire_pb";
import { decode, encode } from "../codec.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { Rejected } from "../errors.ts";
import { MAX_AHEAD } from "./incoming-stream.ts";
import { messageId } from "./message-id.ts";
import { toBitmap } from "./sequence-set.ts";

/** SDS-R: at most so many ids in a repair request. */
const MAX_REPAIR_IDS = 3;
/** A peer's Lamport clock counts up to this far ahead of ours: a wild one cannot push ours to the end of time. */
const MAX_LAMPORT_AHEAD_MS = 3600 * 1000;

/** Identifies both streams: whose is whose. */
export interface StreamIds {
  crypto: Crypto;
  idKey: Uint8Array;
  /** We are the initiator. */
  initiator: boolean;
}

export const ourId = (ids: StreamIds, sequence: number): string =>
  messageId(ids.crypto, ids.idKey, ids.initiator, sequence);
export const peerId = (ids: StreamIds, sequence: number): string =>
  messageId(ids.crypto, ids.idKey, !ids.initiator, sequence);

/** SDS: max(now, current + 1). */
export function tick(stream: Reliability, nowMs: number): bigint {
  const next = stream.lamport + 1n;
  stream.lamport = BigInt(nowMs) > next ? BigInt(nowMs) : next;
  return stream.lamport;
}

/** Takes a peer's clock over, within reason. Returns the time that counts for the message: one past reason is cut, in order of arrival. */
export function witness(stream: Reliability, lamport: bigint, nowMs: number): bigint {
  const limit = BigInt(nowMs + MAX_LAMPORT_AHEAD_MS);
  const next = stream.lamport + 1n;
  const bounded = lamport <= limit ? lamport : next > limit ? next : limit;
  if (bounded > stream.lamport) stream.lamport = bounded;
  return bounded;
}

export interface SdsOptions {
  /** Absent in a sync message. */
  message?: { sequence: number; lamport: bigint; payload: Uint8Array };
  requestAcknowledgement?: boolean;
  /** Ids asked for; the oldest three travel. */
  missing?: readonly number[];
}

/** Every message of ours says how far the peer's have come: acknowledgements ride on whatever travels. */
export function encodeSds(ids: StreamIds, stream: Reliability, nowMs: number, options: SdsOptions): Uint8Array {
  const { message } = options;
  const sequence = message?.sequence ?? 0;
  const previous = message ? sequence - 1 : stream.nextSequence - 1;
  const history = [];
  if (previous > 0) history.push(ourId(ids, previous));
  if (stream.acknowledged > 0) history.push(peerId(ids, stream.acknowledged));
  return encode(
    SdsMessageSchema,
    create(SdsMessageSchema, {
      messageId: message ? ourId(ids, sequence) : "",
      lamportTimestamp: message?.lamport ?? tick(stream, nowMs),
      causalHistory: history.map((id) => create(HistoryEntrySchema, { messageId: id })),
      repairRequest: (options.missing ?? [])
        .slice(0, MAX_REPAIR_IDS)
        .map((missing) => create(HistoryEntrySchema, { messageId: peerId(ids, missing) })),
      ...(message && { content: message.payload }),
      sequence,
      acknowledged: stream.acknowledged,
      received: toBitmap(stream.acknowledged, stream.received),
      abandoned: stream.abandoned,
      acknowledgementRequested: options.requestAcknowledgement ?? false,
      nextSequence: message ? 0 : stream.nextSequence,
    }),
  );
}

/** Decodes and checks everything that can be checked without changing state. */
export function decodeSds(
  ids: StreamIds,
  stream: Reliability,
  bytes: Uint8Array,
): { sds: SdsMessage; payload?: Payload } {
  const sds = decode(SdsMessageSchema, bytes, "sds");
  if (sds.acknowledged >= stream.nextSequence) throw new Rejected("sds.acknowledged: beyond what was sent");
  if (sds.received.length > MAX_AHEAD / 8) throw new Rejected("sds.received: too long");
  if (sds.abandoned.length > MAX_AHEAD) throw new Rejected("sds.abandoned: too long");
  if (sds.repairRequest.length > MAX_REPAIR_IDS) throw new Rejected("sds.repair_request: too long");
  if (sds.causalHistory.length > 2) throw new Rejected("sds.causal_history: too long");
  if (sds.sequence === 0) return { sds };
  if (sds.messageId !== peerId(ids, sds.sequence)) throw new Rejected("sds.message_id: does not match its sequence");
  if (sds.content === undefined) throw new Rejected("sds.content: missing");
  const payload = decode(PayloadSchema, sds.content, "payload");
  return { sds, payload };
}
