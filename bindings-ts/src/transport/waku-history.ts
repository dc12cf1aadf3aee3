import { bytesToHex } from "@noble/hashes/utils.js";
import { waku } from "@waku/sdk";
import { backoff, sleep } from "./deadline.ts";
import type { StoredMessage, StorePage, StoreQuery, WakuMessage } from "./waku-wire.ts";

/** What one store node is asked. */
interface StoreNode {
  query(query: StoreQuery, signal: AbortSignal): Promise<StorePage<WakuMessage>>;
  hashes(query: StoreQuery, signal: AbortSignal): Promise<StorePage<Uint8Array>>;
  messages(hashes: Uint8Array[], signal: AbortSignal): Promise<StoredMessage[]>;
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

/** A node that gives more pages in a row with nothing of the interval is left for another. */
const MOST_STRAY_PAGES = 100;

/** What was read in the order of timestamps: how far that came. */
class Reading {
  newest: bigint;
  #atNewest = new Set<string>();
  /** Of no interval, such as those without a timestamp. */
  readonly #strays = new Set<string>();

  constructor(
    readonly startNs: bigint,
    readonly endNs: bigint,
  ) {
    this.newest = startNs;
  }

  covers(time: bigint): boolean {
    return time >= this.startNs && time < this.endNs;
  }

  has(hash: string, time: bigint): boolean {
    return time === this.newest && this.#atNewest.has(hash);
  }

  /** True if this is progress. */
  note(hash: string, time: bigint): boolean {
    if (!this.covers(time)) return added(this.#strays, hash);
    if (time > this.newest) {
      this.newest = time;
      this.#atNewest = new Set();
    }
    return time === this.newest && added(this.#atNewest, hash);
  }
}

function added<Value>(set: Set<Value>, value: Value): boolean {
  const before = set.size;
  return set.add(value).size > before;
}

async function* pagesOf(
  group: TopicGroup,
  startNs: bigint,
  endNs: bigint,
  options: HistoryOptions,
): AsyncGenerator<WakuMessage[]> {
  const wanted = new Set(group.topics);
  let query: StoreQuery = { ...group, startNs, endNs, limit: options.pageSize, cursor: undefined };
  // Where to resume at another node, which may not know this one's cursor: from the newest timestamp read, leaving out
  // what was read with it. The cursor alone would repeat messages, the timestamp alone skip those of equal time.
  const all = new Reading(startNs, endNs);
  let ofNode = all;
  let node: StoreNode | undefined;
  const failures = new Map<StoreNode, number>();
  let stalls = 0;
  let strayPages = 0;

  /** Another node is asked from here on. */
  function stalled(error: unknown): void {
    if (++stalls > options.rounds) throw error;
    if (node !== undefined) failures.set(node, (failures.get(node) ?? 0) + 1);
    node = undefined;
  }

  for (;;) {
    let page: Page;
    if (node === undefined) {
      query = { ...query, startNs: all.newest, cursor: undefined };
      ofNode = new Reading(all.newest, endNs);
      [node, page] = await firstAnswer(query, options, failures);
    } else {
      try {
        page = await pageOf(node, query, options);
      } catch (error) {
        options.signal.throwIfAborted();
        stalled(error);
        continue;
      }
    }
    let nodeProgressed = false;
    let isStray = true;
    const fresh: WakuMessage[] = [];
    for (const { hash, time, message } of page.entries) {
      nodeProgressed = ofNode.note(hash, time) || nodeProgressed;
      if (!all.covers(time)) continue;
      isStray = false;
      if (all.has(hash, time)) continue;
      if (all.note(hash, time)) stalls = 0;
      if (message !== undefined && wanted.has(message.contentTopic)) fresh.push(message);
    }
    if (fresh.length > 0) yield fresh;
    if (page.cursor === undefined || page.entries.length === 0) return;
    query = { ...query, cursor: page.cursor };
    strayPages = isStray ? strayPages + 1 : 0;
    if (!nodeProgressed || strayPages > MOST_STRAY_PAGES) stalled(new Error("the node gives what it gave before"));
  }
}

interface Page {
  /** Oldest first; without a message: it was left out. */
  entries: { hash: string; time: bigint; message: WakuMessage | undefined }[];
  cursor: Uint8Array | undefined;
}

async function pageOf(node: StoreNode, query: StoreQuery, { known, signal }: HistoryOptions): Promise<Page> {
  if (known === undefined) {
    const { entries, cursor } = await node.query(query, signal);
    return { entries: entries.map((message) => entryOf(query.pubsubTopic, message)), cursor };
  }
  const { entries: hashes, cursor } = await node.hashes(query, signal);
  if (hashes.length > query.limit) throw new Error("the node gives more hashes than it was asked for");
  const missed = new Map<string, Uint8Array>();
  const entries: Page["entries"] = [];
  for (const bytes of hashes) {
    const hash = bytesToHex(bytes);
    const time = known.get(hash);
    if (time === undefined) missed.set(hash, bytes);
    else entries.push({ hash, time, message: undefined });
  }
  entries.push(...(await fetchAll(node, query.pubsubTopic, missed, signal)));
  return { entries: entries.sort((a, b) => compare(a.time, b.time)), cursor };
}

/** All of them, or the node has not answered. One answer may hold a part. */
async function fetchAll(
  node: StoreNode,
  pubsubTopic: string,
  missed: Map<string, Uint8Array>,
  signal: AbortSignal,
): Promise<Page["entries"]> {
  const found: Page["entries"] = [];
  while (missed.size > 0) {
    const before = missed.size;
    for (const { hash: stated, message } of await node.messages([...missed.values()], signal)) {
      const entry = entryOf(pubsubTopic, message);
      // Implementations do not agree on the hash of a message without a timestamp.
      if (entry.time === 0n) entry.hash = bytesToHex(stated);
      if (missed.delete(entry.hash)) found.push(entry);
    }
    if (missed.size === before) throw new Error("the node does not give a message that it has named");
  }
  return found;
}

function entryOf(pubsubTopic: string, message: WakuMessage): Page["entries"][number] {
  return { hash: messageHash(pubsubTopic, message), time: timeOf(message), message };
}

/** The first page that any node gives, trying all of them `rounds` times, those that have failed less often first. */
async function firstAnswer(
  query: StoreQuery,
  options: HistoryOptions,
  failures: ReadonlyMap<StoreNode, number>,
): Promise<[StoreNode, Page]> {
  let failure: unknown = new Error("no store node is connected");
  const failuresOf = (node: StoreNode): number => failures.get(node) ?? 0;
  for (let round = 0; round < options.rounds; round++) {
    if (round > 0) await sleep(backoff(round, options.pauseMs, 10_000), options.signal);
    for (const node of options.nodes().toSorted((a, b) => failuresOf(a) - failuresOf(b))) {
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
