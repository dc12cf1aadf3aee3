import { bytesToHex } from "@noble/hashes/utils.js";
import { waku } from "@waku/sdk";
import { backoff, sleep } from "./deadline.ts";
import type { StorePage, StoreQuery, WakuMessage } from "./waku-wire.ts";

/** What one store node is asked. */
interface StoreNode {
  query(query: StoreQuery, signal: AbortSignal): Promise<StorePage<WakuMessage>>;
  hashes(query: StoreQuery, signal: AbortSignal): Promise<StorePage<Uint8Array>>;
  messages(hashes: Uint8Array[], signal: AbortSignal): Promise<WakuMessage[]>;
}

export interface HistoryOptions {
  /** The store nodes connected now, the preferred one first. */
  nodes: () => readonly StoreNode[];
  /** Timestamps of messages to leave out, by hash. */
  known: ReadonlyMap<string, bigint> | undefined;
  pageSize: number;
  /** How many times the whole list is tried for one page, and the pause between. */
  rounds: number;
  pauseMs: number;
  signal: AbortSignal;
}

/** The topics of one shard. */
export interface TopicGroup {
  pubsubTopic: string;
  topics: readonly string[];
}

const NS_PER_MS = 1_000_000n;
const LARGEST_NS = 2n ** 63n - 1n;

/** Messages of all groups with floor(timestamp / 1 ms) in [startMs, endMs], oldest first, page by page. */
export async function* history(
  groups: readonly TopicGroup[],
  startMs: number,
  endMs: number,
  options: HistoryOptions,
): AsyncGenerator<WakuMessage[]> {
  // The store specification leaves the end out, go-waku and nwaku let it in: ask beyond it, and select here.
  const startNs = toNs(Math.floor(startMs));
  const endNs = toNs(Math.floor(endMs) + 1);
  if (startNs >= endNs) return;
  const pages = groups.map((group) => pagesOf(group, startNs, endNs, options));
  if (pages.length === 1) yield* pages[0] as AsyncGenerator<WakuMessage[]>;
  else yield* mergeByTime(pages);
}

function toNs(ms: number): bigint {
  if (!(ms > 0)) return 0n;
  return ms >= Number(LARGEST_NS / NS_PER_MS) ? LARGEST_NS : BigInt(ms) * NS_PER_MS;
}

async function* pagesOf(
  group: TopicGroup,
  startNs: bigint,
  endNs: bigint,
  options: HistoryOptions,
): AsyncGenerator<WakuMessage[]> {
  const wanted = new Set(group.topics);
  let query: StoreQuery = { ...group, startNs, endNs, limit: options.pageSize, cursor: undefined };
  // Where to resume at another node, which may not know this one's cursor: from the newest timestamp seen, leaving out
  // what was yielded with it. The cursor alone would repeat messages, the timestamp alone skip those of equal time.
  let newest = startNs;
  let atNewest = new Set<string>();
  let node: StoreNode | undefined;
  let stalls = 0;

  for (;;) {
    let page: Page;
    if (node === undefined) {
      query = { ...query, startNs: newest, cursor: undefined };
      [node, page] = await firstAnswer(query, options);
    } else {
      try {
        page = await pageOf(node, query, options);
      } catch (error) {
        options.signal.throwIfAborted();
        if (++stalls > options.rounds) throw error;
        node = undefined;
        continue;
      }
    }
    const fresh: WakuMessage[] = [];
    for (const message of page.messages) {
      const time = timeOf(message);
      if (!wanted.has(message.contentTopic) || time < startNs || time >= endNs) continue;
      const hash = messageHash(group.pubsubTopic, message);
      if (time === newest && atNewest.has(hash)) continue;
      if (time > newest) {
        newest = time;
        atNewest = new Set();
      }
      if (time === newest) atNewest.add(hash);
      fresh.push(message);
    }
    if (page.knownUntilNs > newest) {
      newest = page.knownUntilNs;
      atNewest = new Set();
    }
    if (page.length > 0) stalls = 0;
    if (fresh.length > 0) yield fresh;
    if (page.cursor === undefined || page.length === 0) return;
    query = { ...query, cursor: page.cursor };
  }
}

interface Page {
  /** Those not left out, oldest first. */
  messages: WakuMessage[];
  /** With those left out. */
  length: number;
  /** The newest timestamp of those left out. */
  knownUntilNs: bigint;
  cursor: Uint8Array | undefined;
}

async function pageOf(node: StoreNode, query: StoreQuery, { known, signal }: HistoryOptions): Promise<Page> {
  if (known === undefined) {
    const { entries, cursor } = await node.query(query, signal);
    return { messages: entries, length: entries.length, knownUntilNs: 0n, cursor };
  }
  const { entries, cursor } = await node.hashes(query, signal);
  if (entries.length > query.limit) throw new Error("the node gives more hashes than it was asked for");
  const missed = new Map(entries.map((hash) => [bytesToHex(hash), hash]));
  let knownUntilNs = 0n;
  for (const hash of missed.keys()) {
    const timestamp = known.get(hash);
    if (timestamp === undefined) continue;
    missed.delete(hash);
    if (timestamp > knownUntilNs) knownUntilNs = timestamp;
  }
  const messages = missed.size === 0 ? [] : await node.messages([...missed.values()], signal);
  for (const message of messages) missed.delete(messageHash(query.pubsubTopic, message));
  if (missed.size > 0) throw new Error("the node does not give a message that it has named");
  messages.sort((a, b) => compare(timeOf(a), timeOf(b)));
  return { messages, length: entries.length, knownUntilNs, cursor };
}

/** The first page that any node gives, trying all of them `rounds` times. */
async function firstAnswer(query: StoreQuery, options: HistoryOptions): Promise<[StoreNode, Page]> {
  let failure: unknown = new Error("no store node is connected");
  for (let round = 0; round < options.rounds; round++) {
    if (round > 0) await sleep(backoff(round, options.pauseMs, 10_000), options.signal);
    for (const node of options.nodes()) {
      try {
        return [node, await pageOf(node, query, options)];
      } catch (error) {
        options.signal.throwIfAborted();
        failure = error;
      }
    }
  }
  throw failure;
}

/** Merges sorted sequences of pages into one: what is older than every sequence's newest known message is in place. */
async function* mergeByTime(sequences: readonly AsyncGenerator<WakuMessage[]>[]): AsyncGenerator<WakuMessage[]> {
  const open = new Map(sequences.map((sequence) => [sequence, [] as WakuMessage[]]));
  while (open.size > 0) {
    for (const [sequence, pending] of open) {
      if (pending.length > 0) continue;
      const next = await sequence.next();
      if (next.done === true) open.delete(sequence);
      else pending.push(...next.value);
    }
    const pending = [...open.values()].filter((messages) => messages.length > 0);
    const settled = pending.map((messages) => timeOf(messages.at(-1))).reduce((a, b) => (a < b ? a : b), LARGEST_NS);
    const page = pending.flatMap((messages) => {
      const later = messages.findIndex((message) => timeOf(message) > settled);
      return messages.splice(0, later === -1 ? messages.length : later);
    });
    if (page.length > 0) yield page.sort((a, b) => compare(timeOf(a), timeOf(b)));
  }
}

const timeOf = (message: WakuMessage | undefined): bigint => message?.timestamp ?? 0n;
const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** Deterministic message hash of 14/WAKU2-MESSAGE, in hex. */
export function messageHash(pubsubTopic: string, message: WakuMessage): string {
  return waku.messageHashStr(pubsubTopic, message as Parameters<typeof waku.messageHashStr>[1]);
}
