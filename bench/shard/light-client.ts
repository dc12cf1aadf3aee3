import { proto_filter_v2, proto_lightpush, proto_store } from "@waku/proto";
import { wakuMessage } from "../src/waku-message.ts";
import { Asked, type Measurements, WINDOW_START_MS } from "./measurements.ts";
import type { Traffic } from "./traffic.ts";

/** What clients exchange with service nodes. It is no traffic of the shard, and is not part of P1's figure. */
export interface LightClientTraffic {
  /** Bits per second, all clients together. */
  lightPush: number;
  filter: number;
  store: number;
  queriesPerUserAndMinute: number;
  /** Envelopes that an average user online receives per second. Nearly all are for others of the bucket. */
  envelopesPerUser: number;
  /** Clients online, on average. */
  online: number;
}

/** What tells the traffic of light clients: the simulation, or real clients. */
export type Observed = Pick<Measurements, "history" | "missed" | "onlineMs"> & {
  traffic: Pick<Traffic, "buckets" | "totalBytes" | "totalPublications">;
};

const PUBSUB_TOPIC = "/waku/2/rs/42/4";
const CONTENT_TOPIC = "/chatsdk/2/15/proto";
const REQUEST_ID = "1z141z3";
const HASH = new Uint8Array(32);
const PAGE = 100;

/** With the length before it, as all these protocols have it. */
function framed(body: Uint8Array): number {
  return body.length + Math.ceil(Math.max(1, body.length.toString(2).length) / 7);
}

const sample = wakuMessage(CONTENT_TOPIC, new Uint8Array(343), WINDOW_START_MS, true);
const sampleLength = proto_store.WakuMessage.encode(sample).length;

const LIGHT_PUSH_FRAMING =
  framed(
    proto_lightpush.LightPushRequestV3.encode({ requestId: REQUEST_ID, pubsubTopic: PUBSUB_TOPIC, message: sample }),
  ) -
  sampleLength +
  framed(proto_lightpush.LightPushResponseV3.encode({ requestId: REQUEST_ID, statusCode: 200, relayPeerCount: 6 }));

const FILTER_FRAMING =
  framed(proto_filter_v2.MessagePush.encode({ pubsubTopic: PUBSUB_TOPIC, wakuMessage: sample })) - sampleLength;

const STORE_ENTRY_FRAMING =
  proto_store.StoreQueryResponse.encode({
    messages: [{ messageHash: HASH, message: sample, pubsubTopic: PUBSUB_TOPIC }],
  }).length - sampleLength;

/** One hash in an answer, and as much in a request. */
const HASH_ENTRY = proto_store.StoreQueryResponse.encode({ messages: [{ messageHash: HASH }] }).length;

const STORE_PAGE_FRAMING =
  framed(
    proto_store.StoreQueryRequest.encode({
      requestId: REQUEST_ID,
      includeData: true,
      pubsubTopic: PUBSUB_TOPIC,
      contentTopics: [CONTENT_TOPIC],
      timeStart: BigInt(WINDOW_START_MS) * 1_000_000n,
      timeEnd: BigInt(WINDOW_START_MS) * 1_000_000n,
      messageHashes: [],
      paginationCursor: HASH,
      paginationForward: true,
      paginationLimit: BigInt(PAGE),
    }),
  ) +
  framed(
    proto_store.StoreQueryResponse.encode({
      requestId: REQUEST_ID,
      statusCode: 200,
      statusDesc: "OK",
      messages: [],
      paginationCursor: HASH,
    }),
  );

/**
 * From the traffic of each bucket, the time its users were online and the history they asked for. Every user online gets every
 * message of its bucket; a query returns as many as the bucket has in such a time on average, and fetches as large a part of what it names as
 * users do of what is for them.
 */
export function lightClientTraffic(measured: Observed, windowMs: number): LightClientTraffic {
  let filter = 0;
  let store = 0;
  let queries = 0;
  let received = 0;
  let onlineMs = 0;
  const missed = measured.missed.named === 0 ? 0 : measured.missed.fetched / measured.missed.named;
  for (const [topic, { publications, bytes }] of measured.traffic.buckets) {
    const online = measured.onlineMs.get(topic) ?? 0;
    onlineMs += online;
    received += (online / windowMs) * publications;
    filter += (online / windowMs) * (bytes + publications * FILTER_FRAMING);
    const { all, missedOnly } = measured.history.get(topic) ?? new Asked();
    queries += all.queries + missedOnly.queries;
    const entry = bytes / publications + STORE_ENTRY_FRAMING;
    const pagesOf = (messages: number, atLeast: number): number => Math.max(atLeast, messages / PAGE);
    const returned = (all.spanMs / windowMs) * publications;
    store += returned * entry + pagesOf(returned, all.queries) * STORE_PAGE_FRAMING;
    const named = (missedOnly.spanMs / windowMs) * publications;
    const pages = pagesOf(named, missedOnly.queries);
    const withFetch = pages === 0 ? 0 : pages * (1 - (1 - missed) ** (named / pages));
    store += named * HASH_ENTRY + named * missed * (entry + HASH_ENTRY) + (pages + withFetch) * STORE_PAGE_FRAMING;
  }
  const { totalBytes, totalPublications } = measured.traffic;
  const perSecond = (bytes: number): number => (bytes * 8000) / windowMs;
  return {
    lightPush: perSecond(totalBytes + totalPublications * LIGHT_PUSH_FRAMING),
    filter: perSecond(filter),
    store: perSecond(store),
    queriesPerUserAndMinute: (queries * 60_000) / onlineMs,
    envelopesPerUser: (received * 1000) / onlineMs,
    online: onlineMs / windowMs,
  };
}
