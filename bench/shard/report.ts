import { table } from "../src/measure.ts";
import { shardMbps } from "../src/waku-message.ts";
import { relayNode } from "./gossipsub.ts";
import { lightClientTraffic } from "./light-client.ts";
import type { Measurements } from "./measurements.ts";
import { EPOCH_MS, MESSAGES_PER_EPOCH, type Use } from "./quota.ts";
import type { ShardOptions } from "./shard.ts";
import { CAUSES, KINDS } from "./traffic.ts";

const mbps = (bitsPerSecond: number): string => (bitsPerSecond / 1e6).toFixed(2);

/** Everything that was measured, in Markdown. */
export function report(options: ShardOptions, measured: Measurements): string {
  const windowMs = options.minutes * 60_000;
  const parts = [
    `${options.users} users, ${options.minutes} minutes, loss ${options.loss}, offline ${options.offline}, seed ${options.seed}${options.rateLimit ? ", rate limited" : ""}`,
    ["## The shard: each WakuMessage once", shard(options, measured, windowMs)],
    ["## Bytes of a user message, by cause", causes(measured)],
    ["## Delivery", delivery(measured)],
    ["## RLN quota", quota(measured.uses, windowMs)],
    ["## Clients and service nodes (not traffic of the shard)", clients(measured, windowMs)],
    ["## A relay node (calculated: gossipsub multiplies the shard's traffic)", relay(options, measured)],
  ];
  return parts.map((part) => (typeof part === "string" ? part : part.join("\n\n"))).join("\n\n");
}

function shard({ users }: ShardOptions, { traffic }: Measurements, windowMs: number): string {
  const bytes = traffic.bytesPerUserMessage;
  return table(
    ["figure", "value"],
    [
      [
        "**Mbps if every user writes 4 messages a minute (P1: at most 10; goal 5)**",
        shardMbps(bytes, users).toFixed(2),
      ],
      [
        "Mbps in the simulation, where those who are offline do not write",
        mbps((traffic.totalBytes * 8000) / windowMs),
      ],
      ["bytes for each user message (P1: at most 1,875; goal 937)", bytes.toFixed(1)],
      ...KINDS.map((kind) => [`publications: ${kind}`, traffic.publications[kind]]),
    ],
  );
}

function causes({ traffic }: Measurements): string {
  const messages = traffic.publications["user message"];
  const rows = CAUSES.map((cause) => [cause, (traffic.bytes[cause] / messages).toFixed(1)]);
  return table(["cause", "bytes"], [...rows, ["total", traffic.bytesPerUserMessage.toFixed(1)]]);
}

function delivery({ traffic, setUps, shown, lost, failed, confirmedAfterMs }: Measurements): string {
  const seconds = (share: number): string => `${(percentile(confirmedAfterMs, share) / 1000).toFixed(1)} s`;
  return table(
    ["figure", "value"],
    [
      [
        "messages written, shown to the peer, confirmed",
        `${traffic.publications["user message"]}, ${shown}, ${confirmedAfterMs.length}`,
      ],
      ["messages reported lost, failed", `${lost}, ${failed}`],
      ["conversations set up", setUps],
      ["confirmed after (median, 90%, 99%)", [0.5, 0.9, 0.99].map(seconds).join(", ")],
    ],
  );
}

function quota(uses: readonly Use[], windowMs: number): string {
  const epochMs = Math.min(windowMs, EPOCH_MS);
  const row = (name: string, of: (use: Use) => number): (string | number)[] => {
    const values = uses.map(of);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return [name, mean.toFixed(1), ...[0.5, 0.9, 0.99, 0.999, 1].map((share) => percentile(values, share))];
  };
  const total = ([message, acknowledgement, repair]: Use): number => message + acknowledgement + repair;
  const limit = (MESSAGES_PER_EPOCH * epochMs) / EPOCH_MS;
  const above = (share: number): string =>
    `${uses.filter((use) => total(use) > share * limit).length} of ${uses.length}`;
  const head = [`publications of a user in ${epochMs / 1000} s`, "mean", "50%", "90%", "99%", "99.9%", "most"];
  return [
    table(head, [
      row("messages", (use) => use[0]),
      row("acknowledgements", (use) => use[1]),
      row("repairs and resends", (use) => use[2]),
      row(`all (${limit} are allowed)`, total),
    ]),
    `Above 80% of the quota: ${above(0.8)}; above the quota: ${above(1)}.`,
  ].join("\n\n");
}

function clients(measured: Measurements, windowMs: number): string {
  const traffic = lightClientTraffic(measured, windowMs);
  const each = (bitsPerSecond: number): string => (bitsPerSecond / 1000 / traffic.online).toFixed(2);
  const { envelopes, ms } = measured.strangers;
  const dropMs = envelopes === 0 ? 0 : ms / envelopes;
  return [
    table(
      ["what", "Mbps, all clients", "kbps, each client online"],
      [
        ["light push, upload and answer", mbps(traffic.lightPush), each(traffic.lightPush)],
        ["filter, download of the whole bucket", mbps(traffic.filter), each(traffic.filter)],
        ["store, answers to history queries", mbps(traffic.store), each(traffic.store)],
      ],
    ),
    `${traffic.queriesPerUserAndMinute.toFixed(2)} history queries a minute for each user online.`,
    `A client online receives ${traffic.envelopesPerUser.toFixed(1)} envelopes a second, nearly all for others of its bucket. ` +
      `Dropping one took ${dropMs.toFixed(3)} ms (${envelopes} tried, none changed anything): ` +
      `${(dropMs * traffic.envelopesPerUser * 0.1).toFixed(2)}% of a processor.`,
  ].join("\n\n");
}

function relay({ users }: ShardOptions, { traffic }: Measurements): string {
  const perPublication = traffic.totalBytes / traffic.totalPublications;
  const node = relayNode(shardMbps(traffic.bytesPerUserMessage, users), perPublication);
  return (
    `Mesh degree ${node.degree}: a node receives each message ${node.leastCopies} to ${node.mostCopies} times and ` +
    `${node.announcements} bytes of announcements for it: ${node.leastMbps.toFixed(1)} to ${node.mostMbps.toFixed(1)} Mbps in, ` +
    "and on average as much out."
  );
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] ?? 0;
}
