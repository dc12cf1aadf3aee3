import { lightClientTraffic, type LightClientTraffic } from "../shard/light-client.ts";
import { askedOf, type Measurements } from "../shard/measurements.ts";
import { RLN_FIELD_LENGTH } from "../src/waku-message.ts";
import type { Published } from "./published.ts";
import type { RealMeasurements } from "./run.ts";

/** What both sides can be asked: per user message, in the measured time. */
export interface Figures {
  messages: number;
  resends: number;
  /** Sync messages: bare acknowledgements and repair requests. On the wire they look the same. */
  syncs: number;
  /** WakuMessages without field 21. */
  bytes: number;
  /** Field 21. */
  proofBytes: number;
  confirmedAfterMs: number[];
}

export function simulated({ traffic, confirmedAfterMs }: Measurements): Figures {
  const { publications } = traffic;
  const proofBytes = traffic.totalPublications * RLN_FIELD_LENGTH;
  return {
    messages: publications["user message"],
    resends: publications.resend,
    syncs: publications["bare acknowledgement"] + publications["repair request"],
    bytes: traffic.totalBytes - proofBytes,
    proofBytes,
    confirmedAfterMs,
  };
}

/** What was published for the first time and is no user's message is a sync message. */
export function observed(measured: RealMeasurements): Figures {
  const inWindow = within(measured);
  const resends = inWindow.filter(({ resend }) => resend).length;
  const proofBytes = inWindow.reduce((sum, one) => sum + one.proofBytes, 0);
  return {
    messages: measured.written,
    resends,
    syncs: inWindow.length - resends - measured.written,
    bytes: inWindow.reduce((sum, { bytes }) => sum + bytes, 0) - proofBytes,
    proofBytes,
    confirmedAfterMs: measured.confirmedAfterMs,
  };
}

function within({ published, window: [startMs, endMs] }: RealMeasurements): Published[] {
  return published.filter(({ atMs }) => atMs >= startMs && atMs < endMs);
}

/** History is asked for at the start, and then each time so much has passed, with so much of an overlap (docs/spec/07-waku.md). */
const HISTORY_INTERVAL_MS = 5 * 60_000;
const HISTORY_OVERLAP_MS = 2 * 60_000;

/** What the simulation would say of the clients' links, calculated from what was really published: protocol messages, without libp2p. */
export function calculatedLinks(measured: RealMeasurements): LightClientTraffic {
  const { window, windowMs, published, clients } = measured;
  const inWindow = within(measured);
  const buckets = new Map<string, { publications: number; bytes: number }>();
  for (const { topic, bytes } of inWindow) {
    const bucket = buckets.get(topic) ?? { publications: 0, bytes: 0 };
    buckets.set(topic, { publications: bucket.publications + 1, bytes: bucket.bytes + bytes });
  }
  const onlineMs = new Map<string, number>();
  const history: Measurements["history"] = new Map();
  const firstMs = published[0]?.atMs ?? window[0];
  for (const { topic, openedAtMs } of clients) {
    onlineMs.set(topic, (onlineMs.get(topic) ?? 0) + windowMs);
    for (let askedMs = openedAtMs; askedMs < window[1]; askedMs += HISTORY_INTERVAL_MS) {
      if (askedMs < window[0]) continue;
      const fromMs = Math.max(firstMs, askedMs - HISTORY_INTERVAL_MS - HISTORY_OVERLAP_MS);
      askedOf(history, topic).note(askedMs > openedAtMs, askedMs - fromMs);
    }
  }
  const traffic = {
    buckets,
    totalBytes: inWindow.reduce((sum, { bytes }) => sum + bytes, 0),
    totalPublications: inWindow.length,
  };
  // Nobody was offline, and a loss fails the run.
  return lightClientTraffic({ traffic, onlineMs, history, missed: { named: 0, fetched: 0 } }, windowMs);
}

/** Streams that the measured publications took: one for each light push, and one for each push to a subscriber. */
export function streams(measured: RealMeasurements): number {
  const subscribers = Map.groupBy(measured.clients, ({ topic }) => topic);
  return within(measured).reduce((sum, { topic }) => sum + 1 + (subscribers.get(topic)?.length ?? 0), 0);
}
