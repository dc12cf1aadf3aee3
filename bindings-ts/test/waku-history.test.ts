import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { history, type HistoryOptions, messageHash } from "../src/transport/waku-history.ts";
import type { StoredMessage, StorePage, StoreQuery, WakuMessage } from "../src/transport/waku-wire.ts";

const TOPIC = "/chatsdk/1/b-7/proto";
const PUBSUB_TOPIC = "/waku/2/rs/42/0";
const MS = 1_000_000n;

function message(text: string, timestamp: bigint | undefined): WakuMessage {
  const fields = { payload: Buffer.from(text), contentTopic: TOPIC } as WakuMessage;
  return timestamp === undefined ? fields : { ...fields, timestamp };
}

const textOf = ({ payload }: WakuMessage): string => Buffer.from(payload).toString();
const hashOf = (stored: WakuMessage): Uint8Array => Buffer.from(messageHash(PUBSUB_TOPIC, stored), "hex");

/** A store node, and what may go wrong with it. */
class Store {
  calls = 0;
  /** Fails from this call on; later again only if it is asked this often. */
  failsAt = (_call: number): boolean => false;
  /** The most messages that it gives by their hashes. */
  mostByHash = 100;

  constructor(
    readonly archive: readonly WakuMessage[],
    readonly pageSize: number,
  ) {}

  async query(query: StoreQuery): Promise<StorePage<WakuMessage>> {
    if (this.failsAt(++this.calls)) throw new Error("broken");
    const inRange = this.archive.filter(
      ({ timestamp }) => timestamp === undefined || (timestamp >= query.startNs && timestamp <= query.endNs),
    );
    const cursor = query.cursor && Buffer.from(query.cursor).toString("hex");
    const start = cursor ? inRange.findIndex((stored) => messageHash(PUBSUB_TOPIC, stored) === cursor) + 1 : 0;
    const entries = inRange.slice(start, start + Math.min(query.limit, this.pageSize));
    const last = entries.at(-1);
    return { entries, cursor: last === undefined || last === inRange.at(-1) ? undefined : hashOf(last) };
  }

  async hashes(query: StoreQuery): Promise<StorePage<Uint8Array>> {
    const { entries, cursor } = await this.query(query);
    return { entries: entries.map(statedHash), cursor };
  }

  async messages(hashes: Uint8Array[]): Promise<StoredMessage[]> {
    if (this.failsAt(++this.calls)) throw new Error("broken");
    const wanted = new Set(hashes.map((hash) => Buffer.from(hash).toString("hex")));
    return this.archive
      .map((stored) => ({ hash: statedHash(stored), message: stored }))
      .filter(({ hash }) => wanted.has(Buffer.from(hash).toString("hex")))
      .slice(0, this.mostByHash);
  }
}

/** As go-waku has it for a message without a timestamp: not what we calculate. */
function statedHash(stored: WakuMessage): Uint8Array {
  const hash = hashOf(stored);
  return stored.timestamp === undefined ? hash.map((byte) => byte ^ 1) : hash;
}

async function read(nodes: Store[], known?: ReadonlyMap<string, bigint>): Promise<string[]> {
  const options: HistoryOptions = {
    nodes: () => nodes,
    known,
    pageSize: 100,
    rounds: 4,
    pauseMs: 1,
    signal: AbortSignal.timeout(20_000),
  };
  const texts: string[] = [];
  for await (const page of history([{ pubsubTopic: PUBSUB_TOPIC, topics: [TOPIC] }], 1, 1000, options))
    texts.push(...page.map(textOf));
  return texts;
}

const knownOf = (messages: readonly WakuMessage[]): Map<string, bigint> =>
  new Map(messages.map((known) => [messageHash(PUBSUB_TOPIC, known), known.timestamp ?? 0n]));

describe("R1 a store node that never ends", () => {
  test.each([
    ["one message", 1, false],
    ["two messages", 2, false],
    ["one known message", 1, true],
    ["two known messages", 2, true],
    ["messages without a timestamp", 0, false],
  ])("giving %s again and again is left for another, and alone it fails the query", async (_, count, known) => {
    const archive = Array.from({ length: 10 }, (_, i) => message(`${i}`, BigInt(i + 1) * MS));
    const repeated = count === 0 ? [message("strange", undefined)] : archive.slice(0, count);
    const endless = new Store(archive, 100);
    endless.query = async () => {
      endless.calls++;
      return { entries: [...repeated], cursor: Buffer.from([endless.calls & 255]) };
    };
    const knowledge = known ? knownOf(repeated) : undefined;
    await expect(read([endless], knowledge)).rejects.toThrow("the node gives what it gave before");
    expect(endless.calls).toBeLessThan(100);
    const texts = await read([endless, new Store(archive, 3)], knowledge);
    expect([...new Set(texts)]).toEqual(archive.slice(known ? count : 0).map(textOf));
  });
});

test("R1 a store node that never ends with messages of no interval fails the query", async () => {
  const endless = new Store([], 100);
  endless.query = async () => ({ entries: [message(`${++endless.calls}`, undefined)], cursor: Buffer.from([1]) });
  await expect(read([endless])).rejects.toThrow("the node gives");
  expect(endless.calls).toBeLessThan(1000);
});

test("R1 what is lacking in an answer to hashes is asked for again, as long as more comes", async () => {
  const archive = Array.from({ length: 50 }, (_, i) => message(`${i}`, BigInt(i + 1) * MS));
  const store = new Store(archive, 100);
  store.mostByHash = 7;
  expect(await read([store], knownOf(archive.slice(0, 3)))).toEqual(archive.slice(3).map(textOf));
  store.mostByHash = 0;
  await expect(read([store], new Map())).rejects.toThrow("does not give a message that it has named");
});

test("R1 messages without a timestamp, whatever their hash, are nobody's and stop no query", async () => {
  const archive = [message("1", MS), ...Array.from({ length: 600 }, (_, i) => message(`strange ${i}`, undefined))];
  archive.push(message("2", 2n * MS));
  for (const known of [undefined, new Map<string, bigint>()])
    expect(await read([new Store(archive, 100)], known)).toEqual(["1", "2"]);
});

test("R1 P1 whatever is known and whichever nodes fail: all the rest comes once, oldest first", async () => {
  const scenario = fc.record({
    times: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 60 }),
    known: fc.option(fc.array(fc.nat(59), { maxLength: 60 }), { nil: undefined }),
    pageSizes: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 3 }),
    failing: fc.array(fc.nat(40), { maxLength: 6 }),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ times, known, pageSizes, failing }) => {
      const archive = times.toSorted((a, b) => a - b).map((time, i) => message(`${i}`, BigInt(time) * MS));
      const left = known?.flatMap((i) => archive[i] ?? []);
      const nodes = pageSizes.map((size) => new Store(archive, size));
      let calls = 0;
      for (const node of nodes) node.failsAt = () => failing.includes(calls++);
      const expected = archive.filter((stored) => !left?.includes(stored)).map(textOf);
      expect(await read(nodes, left && knownOf(left))).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});
