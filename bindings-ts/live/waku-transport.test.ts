import { spawn } from "node:child_process";
import { createECDH, createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { multiaddr } from "@multiformats/multiaddr";
import { EnrCreator } from "@waku/enr";
import { createLibp2pAndUpdateOptions, utils } from "@waku/sdk";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type LocalNode, type NodeOptions, startNode } from "../../conformance/src/local-network.ts";
import type { ReceivedMessage } from "../src/transport/transport.ts";
import { WakuTransport, type WakuTransportOptions } from "../src/transport/waku-transport.ts";
import { lightPush, type WakuMessage } from "../src/transport/waku-wire.ts";
import { type Behaviour, startFaultyNode } from "./faulty-node.ts";

const CLUSTER = 42;
const SHARDS = 8;
const TOPIC = "/chatsdk/1/b-7/proto";
const PUBSUB_TOPIC = utils.contentTopicToPubsubTopic(TOPIC, CLUSTER, SHARDS);
const live = new AbortController().signal;

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A transport and what it told its listener. */
class Client {
  readonly transport: WakuTransport;
  readonly texts: string[] = [];
  readonly connection: boolean[] = [];

  constructor(peers: readonly string[], options: Partial<WakuTransportOptions> = {}) {
    this.transport = new WakuTransport({ clusterId: CLUSTER, shardCount: SHARDS, peers, ...options });
  }

  async start(): Promise<this> {
    cleanups.push(() => this.transport.stop());
    await this.transport.start({
      onMessage: ({ payload }) => this.texts.push(Buffer.from(payload).toString()),
      onConnection: (online) => this.connection.push(online),
    });
    return this;
  }

  async online(): Promise<this> {
    await until(() => this.connection.at(-1) === true);
    return this;
  }

  async publish(text: string, topic = TOPIC): Promise<void> {
    await this.transport.publish(topic, Buffer.from(text), { signal: live });
  }

  async history(
    startMs: number,
    endMs: number,
    topics = [TOPIC],
    missedOnly = false,
  ): Promise<{ texts: string[]; pages: number }> {
    const pages: ReceivedMessage[][] = [];
    const request = { topics, startMs, endMs, missedOnly };
    for await (const page of this.transport.queryHistory(request, { signal: live })) pages.push(page);
    return { texts: pages.flat().map(({ payload }) => Buffer.from(payload).toString()), pages: pages.length };
  }

  async missed(startMs: number, endMs: number): Promise<string[]> {
    return (await this.history(startMs, endMs, [TOPIC], true)).texts;
  }
}

async function connect(peers: readonly string[], options: Partial<WakuTransportOptions> = {}): Promise<Client> {
  const client = await new Client(peers, options).start();
  return client.online();
}

async function subscribed(peers: readonly string[], options: Partial<WakuTransportOptions> = {}): Promise<Client> {
  const client = await connect(peers, options);
  await client.transport.subscribe([TOPIC]);
  return client;
}

async function serviceNode(options: NodeOptions = {}): Promise<LocalNode> {
  return stopAfterwards(await startNode(options));
}

function stopAfterwards(node: LocalNode): LocalNode {
  cleanups.push(() => node.stop());
  return node;
}

async function faultyNode(behaviour: Partial<Behaviour> = {}, clusterId = CLUSTER) {
  const node = await startFaultyNode(clusterId, PUBSUB_TOPIC, behaviour);
  cleanups.push(node.stop);
  return node;
}

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "waku-transport-"));
  cleanups.push(async () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function until(condition: () => boolean, timeout = 30_000): Promise<void> {
  await vi.waitUntil(condition, { timeout, interval: 20 });
}

const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix} ${i}`);

/** Messages with timestamps of our choice, given to a node the way the transport does. */
async function pushRaw(websocket: string, messages: readonly WakuMessage[]): Promise<void> {
  const libp2p = await createLibp2pAndUpdateOptions({
    networkConfig: { clusterId: CLUSTER },
    defaultBootstrap: false,
    libp2p: { filterMultiaddrs: false, hideWebSocketInfo: true },
  });
  cleanups.push(async () => libp2p.stop());
  const connection = await libp2p.dial(multiaddr(websocket));
  const line = [...messages];
  const worker = async () => {
    for (let message = line.shift(); message !== undefined; message = line.shift())
      await lightPush(connection, PUBSUB_TOPIC, message, live);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

/** A signed node record (EIP-778) that names one multiaddr. */
async function nodeRecord(nodeKey: string, address: string): Promise<Uint8Array> {
  const identity = createECDH("secp256k1");
  identity.setPrivateKey(nodeKey, "hex");
  const record = EnrCreator.fromPublicKey(identity.getPublicKey(null, "compressed"));
  record.multiaddrs = [multiaddr(address)];
  const rlp = (body: Uint8Array, base: number) =>
    Buffer.concat(
      [body.length < 56 ? [base + body.length] : [base + 56, body.length], body].map((part) => Buffer.from(part)),
    );
  const item = (bytes: Uint8Array) =>
    bytes.length === 1 && (bytes[0] as number) < 0x80 ? Buffer.from(bytes) : rlp(bytes, 0x80);
  const pairs = [...record]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, value]) => [item(Buffer.from(key)), item(value)]);
  const content = Buffer.concat([item(new Uint8Array([Number(record.seq)])), ...pairs]);
  const signature = await record.sign(rlp(content, 0xc0), Buffer.from(nodeKey, "hex"));
  return rlp(Buffer.concat([item(signature), content]), 0xc0);
}

const raw = (text: string, timestamp: bigint): WakuMessage => ({
  payload: Buffer.from(text),
  contentTopic: TOPIC,
  timestamp,
});

describe("messages", () => {
  test("U1 a message reaches the other client through a service node", async () => {
    const node = await serviceNode();
    const [alice, bob] = await Promise.all([connect([node.websocket]), subscribed([node.websocket])]);
    await alice.publish("hello");
    await until(() => bob.texts.length > 0);
    expect(bob.texts).toEqual(["hello"]);
    expect(bob.connection).toEqual([true]);
    expect(alice.texts).toEqual([]);
  });

  test("R1 300 messages published at once all arrive, each once", async () => {
    const node = await serviceNode();
    const [alice, bob] = await Promise.all([connect([node.websocket]), subscribed([node.websocket])]);
    const sent = numbered("burst", 300);
    await Promise.all(sent.map((text) => alice.publish(text)));
    await until(() => bob.texts.length >= sent.length);
    await pause(500);
    expect(bob.texts.toSorted()).toEqual(sent.toSorted());
    expect(alice.connection).toEqual([true]);
    expect(bob.connection).toEqual([true]);
  });

  test("R1 500 publishes at once are paced: all are taken, all are in the store", async () => {
    const node = await serviceNode();
    const alice = await connect([node.websocket]);
    const startMs = Date.now();
    const sent = numbered("paced", 500);
    await Promise.all(sent.map((text) => alice.publish(text)));
    await pause(500);
    expect((await alice.history(startMs, Date.now())).texts.toSorted()).toEqual(sent.toSorted());
  });

  test("R1 3,000 messages pushed by many clients at once all arrive", async () => {
    const node = await serviceNode();
    const bob = await subscribed([node.websocket]);
    const clients = await Promise.all(
      Array.from({ length: 5 }, () => connect([node.websocket], { publishConcurrency: 60 })),
    );
    const sent = clients.flatMap((client, c) => numbered(`client ${c}`, 600).map((text) => ({ client, text })));
    await Promise.all(sent.map(({ client, text }) => client.publish(text)));
    await until(() => bob.texts.length >= sent.length);
    expect(new Set(bob.texts).size).toBe(3000);
    expect(bob.connection).toEqual([true]);
  });

  test("U1 a message crosses two linked nodes", async () => {
    const first = await serviceNode();
    const second = await serviceNode({ peers: [first.tcp] });
    const [alice, bob] = await Promise.all([connect([first.websocket]), subscribed([second.websocket])]);
    // The mesh forms within a heartbeat or two after the nodes are linked; publish until it does.
    for (let i = 0; i < 40 && bob.texts.length === 0; i++) {
      await alice.publish("across");
      await pause(250);
    }
    expect(bob.texts).toContain("across");
  });

  test("R1 what two nodes both push is delivered once", async () => {
    const first = await serviceNode();
    const second = await serviceNode({ peers: [first.tcp] });
    await pause(2_000);
    const bob = await subscribed([first.websocket, second.websocket], { filterPeers: 2 });
    await pause(500);
    const alice = await connect([first.websocket]);
    await Promise.all(numbered("twice", 50).map((text) => alice.publish(text)));
    await until(() => bob.texts.length >= 50);
    await pause(1_000);
    expect(bob.texts).toHaveLength(50);
  });

  test("U1 subscribe replaces the topics: the old ones are silent, any number is possible", async () => {
    const node = await serviceNode();
    const [alice, bob] = await Promise.all([connect([node.websocket]), subscribed([node.websocket])]);
    const many = numbered("/chatsdk/1/b", 250).map((topic) => `${topic.replace(" ", "-")}x/proto`);
    await bob.transport.subscribe(many);
    await alice.publish("old topic");
    await alice.publish("first", many[0]);
    await alice.publish("last", many[249]);
    await until(() => bob.texts.length >= 2);
    await pause(300);
    expect(bob.texts).toEqual(["first", "last"]);
    await bob.transport.subscribe([]);
    await alice.publish("nobody listens", many[0]);
    await pause(300);
    expect(bob.texts).toHaveLength(2);
    expect(bob.connection).toEqual([true]);
  });

  test("U1 a payload of 100,000 bytes arrives unchanged", async () => {
    const node = await serviceNode();
    const [alice, bob] = await Promise.all([connect([node.websocket]), subscribed([node.websocket])]);
    const text = "0123456789".repeat(10_000);
    await alice.publish(text);
    await until(() => bob.texts.length > 0);
    expect(bob.texts[0] === text).toBe(true);
    expect((await bob.history(Date.now() - 60_000, Date.now())).texts[0] === text).toBe(true);
  });
});

describe("history", () => {
  test("R1 2,500 messages of one timestamp are paged fully, each once", async () => {
    const node = await serviceNode();
    const now = Date.now();
    const sent = numbered("equal", 2500);
    await pushRaw(
      node.websocket,
      sent.map((text) => raw(text, BigInt(now) * 1_000_000n)),
    );
    await pause(1_000);
    const bob = await connect([node.websocket]);
    const { texts, pages } = await bob.history(now, now);
    expect(texts.toSorted()).toEqual(sent.toSorted());
    expect(pages).toBeGreaterThanOrEqual(25);
    const small = await connect([node.websocket], { historyPageSize: 7 });
    expect((await small.history(now, now)).texts.toSorted()).toEqual(sent.toSorted());
  });

  test("R1 both ends of the range belong to it, to the nanosecond, and the oldest comes first", async () => {
    const node = await serviceNode();
    const now = Date.now();
    const base = BigInt(now) * 1_000_000n;
    const inside = [raw("first", base), raw("middle", base + 1n), raw("last", base + 2_999_999n)];
    await pushRaw(node.websocket, [
      raw("too late", base + 3_000_000n),
      ...inside.toReversed(),
      raw("too early", base - 1n),
    ]);
    await pause(500);
    const bob = await connect([node.websocket]);
    expect((await bob.history(now, now + 2)).texts).toEqual(["first", "middle", "last"]);
    expect((await bob.history(now + 3, now + 3)).texts).toEqual(["too late"]);
    expect((await bob.history(now + 2, now)).texts).toEqual([]);
    expect((await bob.history(0, Number.MAX_SAFE_INTEGER)).texts).toHaveLength(5);
    expect((await bob.history(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)).texts).toHaveLength(5);
  });

  test("R1 topics of several shards are merged, oldest first", async () => {
    const node = await serviceNode();
    const alice = await connect([node.websocket], { historyPageSize: 3 });
    const topics = ["/chatsdk/1/a/proto", "/other/1/a/proto", "/third/1/a/proto"];
    const sent = numbered("n", 30);
    for (const [i, text] of sent.entries()) await alice.publish(text, topics[i % topics.length]);
    await pause(500);
    expect((await alice.history(Date.now() - 60_000, Date.now(), topics)).texts).toEqual(sent);
  });

  test("R1 a store node that fails half way is replaced by another, nothing is lost or repeated", async () => {
    const archive = Array.from({ length: 1000 }, (_, i) => raw(`n ${i}`, 1_000_000_000n + BigInt(Math.floor(i / 40))));
    // Whichever is asked first fails for good after five pages. Their pages differ in size, so cursors never fall together.
    let served = 0;
    let broken = "";
    const page = (name: string, count: number) => () => {
      if (broken === "" && ++served > 5) broken = name;
      return name === broken ? { status: 500 } : { count };
    };
    const nodes = [await faultyNode({ store: page("first", 50) }), await faultyNode({ store: page("second", 30) })];
    for (const node of nodes) node.archive.push(...archive);
    const client = await connect(nodes.map((node) => node.websocket));
    await pause(500);
    expect((await client.history(0, 10_000)).texts).toEqual(
      archive.map(({ payload }) => Buffer.from(payload).toString()),
    );
    expect(nodes.every((node) => node.calls.store > 1)).toBe(true);
  });

  test("R1 without an answer from any store node the query throws a typed error", async () => {
    const client = await connect([(await faultyNode({ store: () => ({ status: 503 }) })).websocket]);
    await expect(client.history(0, 10_000)).rejects.toMatchObject({
      name: "ChatError",
      code: ErrorCode.TRANSPORT_FAILED,
      retryable: true,
    });
    const aborted = AbortSignal.abort(new Error("changed my mind"));
    const pages = client.transport.queryHistory({ topics: [TOPIC], startMs: 0, endMs: 1 }, { signal: aborted });
    await expect(pages[Symbol.asyncIterator]().next()).rejects.toThrow("changed my mind");
  });
});

describe("history without what was pushed", () => {
  test.each([1, 2, 100])("P1 brings what was missed alone, in pages of %d", async (historyPageSize) => {
    const node = await serviceNode();
    const alice = await connect([node.websocket]);
    const bob = await subscribed([node.websocket], { historyPageSize });
    const startMs = Date.now();
    const publish = async (texts: readonly string[]) => {
      for (const text of texts) await alice.publish(text);
      await pause(500);
    };
    expect(await bob.missed(startMs, Date.now())).toEqual([]);
    await publish(numbered("before", 5));
    expect(await bob.missed(startMs, Date.now())).toEqual([]);
    await bob.transport.subscribe([]);
    await publish(numbered("missed", 4));
    expect(await bob.missed(startMs, Date.now())).toEqual(numbered("missed", 4));
    await bob.transport.subscribe([TOPIC]);
    await publish(numbered("after", 3));
    expect(bob.texts).toEqual([...numbered("before", 5), ...numbered("after", 3)]);
    expect(await bob.missed(startMs, Date.now())).toEqual(numbered("missed", 4));
    const all = [...numbered("before", 5), ...numbered("missed", 4), ...numbered("after", 3)];
    expect((await bob.history(startMs, Date.now())).texts).toEqual(all);
    // Another process has been pushed nothing.
    const again = await connect([node.websocket], { historyPageSize });
    expect(await again.missed(startMs, Date.now())).toEqual(all);
  });

  test("R1 a node that names a message and withholds it has not answered", async () => {
    const archive = Array.from({ length: 5 }, (_, i) => raw(`n ${i}`, 1_000_000_000n + BigInt(i)));
    const node = await faultyNode({ withholds: ({ timestamp }) => timestamp === 1_000_000_003n });
    node.archive.push(...archive);
    const client = await connect([node.websocket]);
    await expect(client.missed(0, 10_000)).rejects.toMatchObject({ code: ErrorCode.TRANSPORT_FAILED, retryable: true });
    expect((await client.history(0, 10_000)).texts).toEqual(numbered("n", 5));
    const other = await faultyNode();
    other.archive.push(...archive);
    const both = await connect([node.websocket, other.websocket]);
    await pause(500);
    expect(await both.missed(0, 10_000)).toEqual(numbered("n", 5));
  });

  test("R1 a store node that fails half way is replaced by another, nothing is lost or repeated", async () => {
    const archive = Array.from({ length: 200 }, (_, i) => raw(`n ${i}`, 1_000_000_000n + BigInt(Math.floor(i / 7))));
    const isPushed = (i: number): boolean => i % 3 === 0 || (i > 40 && i < 120);
    let served = 0;
    let broken = "";
    const page = (name: string, count: number) => (): { status: number } | { count: number } => {
      if (broken === "" && ++served > 5) broken = name;
      return name === broken ? { status: 500 } : { count };
    };
    const nodes = [await faultyNode({ store: page("first", 11) }), await faultyNode({ store: page("second", 17) })];
    for (const node of nodes) node.archive.push(...archive);
    const client = await subscribed(nodes.map((node) => node.websocket));
    const pushed = archive.filter((_, i) => isPushed(i));
    for (const message of pushed) await nodes[0]?.deliver(PUBSUB_TOPIC, message);
    await until(() => client.texts.length === pushed.length);
    expect(await client.missed(0, 10_000)).toEqual(
      archive.filter((_, i) => !isPushed(i)).map(({ payload }) => Buffer.from(payload).toString()),
    );
    expect(nodes.every((node) => node.calls.store > 1)).toBe(true);
  });
});

describe("connection", () => {
  test("R1 a killed node that comes back: offline, online, subscribed again, what was missed is in the history", async () => {
    const store = join(temporaryDirectory(), "node.sqlite");
    let node = await serviceNode({ store });
    const bob = await subscribed([node.websocket], { reconnectMinMs: 12_000, reconnectMaxMs: 13_000 });
    const killed = performance.now();
    await node.kill("SIGKILL");
    await until(() => bob.connection.length === 2);
    const offlineAfter = performance.now() - killed;
    await expect(bob.publish("into the void")).rejects.toMatchObject({
      code: ErrorCode.TRANSPORT_FAILED,
      retryable: true,
    });

    node = stopAfterwards(await node.restart());
    const missedFrom = Date.now();
    const alice = await connect([node.websocket]);
    await Promise.all(numbered("missed", 20).map((text) => alice.publish(text)));
    expect(bob.connection).toEqual([true, false]);

    await until(() => bob.connection.length === 3);
    expect(bob.connection).toEqual([true, false, true]);
    expect((await bob.history(missedFrom, Date.now())).texts.toSorted()).toEqual(numbered("missed", 20).toSorted());
    await alice.publish("live again");
    await until(() => bob.texts.length > 0);
    expect(bob.texts).toEqual(["live again"]);
    expect(offlineAfter).toBeLessThan(2_000);
  });

  test("R1 reconnects soon after a node is back, five times in a row", async () => {
    let node = await serviceNode();
    const bob = await subscribed([node.websocket]);
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      await node.kill("SIGKILL");
      await until(() => bob.connection.at(-1) === false);
      node = stopAfterwards(await node.restart());
      const since = performance.now();
      await until(() => bob.connection.at(-1) === true);
      times.push(performance.now() - since);
      await bob.publish(`round ${i}`);
      await until(() => bob.texts.length === i + 1);
    }
    expect(bob.texts).toEqual(numbered("round", 5));
    expect(Math.max(...times)).toBeLessThan(3_000);
  });

  test("R1 a node that stops answering without closing is noticed within 13 seconds, and so is its return", async () => {
    const node = await serviceNode();
    const bob = await subscribed([node.websocket]);
    await node.kill("SIGSTOP");
    const since = performance.now();
    await until(() => bob.connection.at(-1) === false);
    expect(performance.now() - since).toBeLessThan(13_000);
    await node.kill("SIGCONT");
    await until(() => bob.connection.at(-1) === true);
    await bob.publish("awake");
    await until(() => bob.texts.includes("awake"));
  });

  test("R1 a second node takes over when the first is killed; the client stays online", async () => {
    const first = await serviceNode();
    const second = await serviceNode({ peers: [first.tcp] });
    const bob = await subscribed([first.websocket, second.websocket]);
    const alice = await connect([second.websocket]);
    await pause(1_000);
    await first.kill("SIGKILL");
    await bob.publish("by the second");
    await alice.publish("from alice");
    await until(() => bob.texts.length >= 2);
    expect(bob.texts.toSorted()).toEqual(["by the second", "from alice"]);
    expect(bob.connection).toEqual([true]);
  });

  test("R1 a subscription that the node forgot is noticed, reported and renewed", async () => {
    const node = await faultyNode();
    const bob = await subscribed([node.websocket], { watchdogIntervalMs: 500 });
    await node.deliver(PUBSUB_TOPIC, raw("before", 1n), 3);
    await until(() => bob.texts.length > 0);
    node.forgetSubscribers();
    await until(() => bob.connection.length === 3, 5_000);
    expect(bob.connection).toEqual([true, false, true]);
    await node.deliver(PUBSUB_TOPIC, raw("after", 2n), 3);
    await until(() => bob.texts.length > 1);
    await pause(200);
    expect(bob.texts).toEqual(["before", "after"]);
  });

  test("R1 a node that pushes all the time keeps the subscription", async () => {
    const node = await serviceNode({ args: ["--filter-idle-timeout", "4s"] });
    const bob = await subscribed([node.websocket], { watchdogIntervalMs: 300 });
    const alice = await connect([node.websocket]);
    const end = Date.now() + 10_000;
    let sent = 0;
    for (; Date.now() < end; await pause(100)) await alice.publish(`${sent++}`);
    await until(() => bob.texts.length === sent);
    expect(bob.connection).toEqual([true]);
  });

  test("R1 a node that is too busy to subscribe is asked again", async () => {
    let refusals = 2;
    const node = await faultyNode({ filter: (action) => (action === "SUBSCRIBE" && refusals-- > 0 ? 429 : 200) });
    const bob = await subscribed([node.websocket]);
    await node.deliver(PUBSUB_TOPIC, raw("patience", 1n));
    await until(() => bob.texts.length > 0);
    expect(node.calls.filter.filter((action) => action === "SUBSCRIBE")).toHaveLength(3);
  });

  test("R1 a node that will not subscribe us still takes messages, and another subscribes us", async () => {
    const full = await faultyNode({ filter: (action) => (action === "SUBSCRIBE" ? 400 : 200) });
    const open = await faultyNode({ lightPush: () => 500 });
    const bob = await subscribed([full.websocket, open.websocket], { filterPeers: 1 });
    await bob.publish("taken");
    expect(full.calls.lightPush).toBe(1);
    await open.deliver(PUBSUB_TOPIC, raw("delivered", 1n));
    await until(() => bob.texts.length > 0);
    expect(bob.connection.at(-1)).toBe(true);
  });

  test("R1 pushes that were not asked for are dropped", async () => {
    const node = await faultyNode();
    const bob = await subscribed([node.websocket]);
    await node.deliver("/waku/2/rs/42/0", raw("wrong shard", 1n));
    await bob.transport.subscribe(["/chatsdk/1/b-8/proto"]);
    await node.deliver(PUBSUB_TOPIC, raw("wrong topic", 2n));
    await pause(300);
    expect(bob.texts).toEqual([]);
  });

  test("R1 a node that begins many pushes and finishes none holds little memory, for a short time, and others are heard", async () => {
    const [hostile, honest] = [await faultyNode(), await faultyNode()];
    const bob = await subscribed([hostile.websocket, honest.websocket]);
    const half = new Uint8Array(100 * 1024);
    const pushes = await hostile.beginPushes(600, 200 * 1024, half);
    // 12.8 MB.
    await until(() => pushes.open() <= 128);
    expect(pushes.open()).toBeGreaterThan(100);
    await honest.deliver(PUBSUB_TOPIC, raw("from an honest node", 1n));
    await until(() => bob.texts.length > 0);
    await until(() => pushes.open() === 0, 11_000);
    await hostile.deliver(PUBSUB_TOPIC, raw("changed its mind", 2n));
    await until(() => bob.texts.length > 1);
    expect(bob.texts).toEqual(["from an honest node", "changed its mind"]);
  });

  test("R1 a push above what a network relays, and one from a node that was not asked, are refused at once", async () => {
    const node = await faultyNode();
    await subscribed([node.websocket]);
    const tooLarge = await node.beginPushes(1, 200 * 1024 + 1, Uint8Array.of(1));
    await until(() => tooLarge.open() === 0, 5_000);
    const bystander = await subscribed([node.websocket], { filterPeers: 1 });
    node.does.filter = () => 400;
    await bystander.transport.subscribe(["/chatsdk/1/b-8/proto"]);
    const unasked = await node.beginPushes(1, 1_000, Uint8Array.of(1));
    await until(() => unasked.open() === 1, 5_000);
  });

  test("R1 nothing listens at the address: never online, publish and history reject", async () => {
    const client = await new Client(["/ip4/127.0.0.1/tcp/9/ws"]).start();
    await client.transport.subscribe([TOPIC]);
    await until(() => client.connection.length > 0);
    await expect(client.publish("nobody")).rejects.toMatchObject({ code: ErrorCode.TRANSPORT_FAILED, retryable: true });
    await expect(client.history(0, 1)).rejects.toMatchObject({ code: ErrorCode.TRANSPORT_FAILED, retryable: true });
    await pause(3_000);
    expect(client.connection).toEqual([false]);
  });

  test("U2 a node of another cluster is not used", async () => {
    const client = await new Client([(await faultyNode({}, 7)).websocket]).start();
    await until(() => client.connection.length > 0);
    await pause(2_000);
    expect(client.connection).toEqual([false]);
  });

  test.each<[string, Partial<WakuTransportOptions>]>([
    ["no multiaddr", { peers: ["http://127.0.0.1"] }],
    ["no websocket", { peers: ["/ip4/127.0.0.1/tcp/9"] }],
    ["no DNS list", { peers: [], discovery: { dns: ["https://example.org"] } }],
    ["no way to find a node", { peers: [], discovery: { dns: false, peerExchange: false } }],
    ["a shard count of 0", { shardCount: 0 }],
  ])("U1 unusable settings make start reject: %s", async (_, options) => {
    const client = new Client(["/ip4/127.0.0.1/tcp/9/ws"], options);
    await expect(client.start()).rejects.toMatchObject({
      name: "ChatError",
      code: ErrorCode.INVALID_ARGUMENT,
      retryable: false,
    });
  });
});

describe("discovery", () => {
  test("U1 a node met through peer exchange is used when the first one goes", async () => {
    const nodeKey = "11".repeat(32);
    const found = await serviceNode({ nodeKey });
    const introducer = await faultyNode({ lightPush: () => 500, filter: () => 400 });
    introducer.acquaintances.push(await nodeRecord(nodeKey, found.websocket.replace(/\/p2p\/.*/, "")));
    const bob = await subscribed([introducer.websocket], { discovery: { peerExchange: true } });
    await bob.online();
    await introducer.stop();
    await bob.online();
    await bob.publish("found");
    await until(() => bob.texts.length > 0);
    expect(bob.texts).toEqual(["found"]);
  });

  test("U1 DNS lists that do not answer hold up nothing", async () => {
    const fetch = vi.spyOn(globalThis, "fetch").mockReturnValue(new Promise(() => undefined));
    cleanups.push(async () => fetch.mockRestore());
    const client = await new Client([]).start();
    await until(() => client.connection.length > 0);
    expect(client.connection).toEqual([false]);
    expect(fetch).toHaveBeenCalled();
  });

  test("U1 DNS lists that cannot be read are read again", async () => {
    const fetch = vi.spyOn(globalThis, "fetch").mockRejectedValue(new Error("no network in this test"));
    cleanups.push(async () => fetch.mockRestore());
    await new Client([]).start();
    await until(() => fetch.mock.calls.length > 0);
    await pause(500);
    const first = fetch.mock.calls.length;
    await until(() => fetch.mock.calls.length > first);
  });
});

describe("publish", () => {
  test("R1 a refusal for good is told from a busy node, which is asked again", async () => {
    const node = await faultyNode();
    const client = await connect([node.websocket]);
    node.does.lightPush = () => 420;
    await expect(client.publish("invalid")).rejects.toMatchObject({
      code: ErrorCode.TRANSPORT_FAILED,
      retryable: false,
    });
    node.does.lightPush = () => 500;
    await expect(client.publish("broken")).rejects.toMatchObject({ retryable: true });
    let busy = 3;
    node.does.lightPush = () => (busy-- > 0 ? 429 : 200);
    await client.publish("third time lucky");
    expect(busy).toBe(-1);
  });

  test("R1 a node that refuses is passed over for one that takes the message", async () => {
    const refusing = await faultyNode({ lightPush: () => 421 });
    const taking = await faultyNode();
    const client = await connect([refusing.websocket, taking.websocket]);
    await pause(500);
    await client.publish("please");
    expect(taking.calls.lightPush).toBe(1);
  });

  test("R1 no answer is a failure in time, and the signal ends the wait", async () => {
    const node = await faultyNode({ lightPush: () => new Promise(() => undefined) });
    const client = await connect([node.websocket], { requestTimeoutMs: 1_000, publishTimeoutMs: 2_000 });
    const since = performance.now();
    await expect(client.publish("?")).rejects.toMatchObject({ code: ErrorCode.TRANSPORT_FAILED, retryable: true });
    expect(performance.now() - since).toBeLessThan(2_500);
    const hurry = new AbortController();
    const publishing = client.transport.publish(TOPIC, new Uint8Array(1), { signal: hurry.signal });
    hurry.abort(new Error("too slow"));
    await expect(publishing).rejects.toThrow("too slow");
    expect(client.connection).toEqual([true]);
  });

  test("R1 aborting 100 publishes at once does not cost the connection", async () => {
    const node = await faultyNode({ lightPush: async () => pause(300, 200) });
    const client = await connect([node.websocket], { publishConcurrency: 50 });
    const hurry = new AbortController();
    const publishing = Array.from({ length: 100 }, () =>
      client.transport.publish(TOPIC, new Uint8Array(1), { signal: hurry.signal }),
    );
    await pause(150);
    hurry.abort(new Error("enough"));
    expect((await Promise.allSettled(publishing)).every(({ status }) => status === "rejected")).toBe(true);
    await pause(1_000);
    node.does.lightPush = () => 200;
    await client.publish("still here");
    expect(client.connection).toEqual([true]);
  });

  test("R1 each call has a timestamp of its own", async () => {
    const times: (bigint | undefined)[] = [];
    const node = await faultyNode();
    node.does.lightPush = ({ timestamp }) => {
      times.push(timestamp);
      return 200;
    };
    const client = await connect([node.websocket]);
    await Promise.all(Array.from({ length: 200 }, () => client.publish("the same")));
    expect(new Set(times).size).toBe(200);
  });
});

describe("stop", () => {
  /** Runs a client in a process of its own. Tells how long that lived from the call of `stop`, and all it printed. */
  async function lifeAfterStop(peer: string, steps: string): Promise<{ ms: number; printed: string }> {
    const program = `
      import { WakuTransport } from ${JSON.stringify(new URL("../src/transport/waku-transport.ts", import.meta.url).href)};
      const transport = new WakuTransport({ clusterId: ${CLUSTER}, shardCount: ${SHARDS}, peers: [${JSON.stringify(peer)}] });
      const signal = new AbortController().signal;
      const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      const state = Promise.withResolvers();
      await transport.start({ onMessage() {}, onConnection: state.resolve });
      ${steps}
      process.send("stopping");
      await transport.stop();
      process.disconnect();`;
    const flags = [
      "--experimental-transform-types",
      "--disable-warning=ExperimentalWarning",
      "--conditions=source",
      "--input-type=module-typescript",
    ];
    const child = spawn(process.execPath, [...flags, "--eval", program], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    cleanups.push(async () => void child.kill("SIGKILL"));
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (data) => (printed += data));
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    await Promise.race([new Promise((resolve) => child.once("message", resolve)), ended]);
    const since = performance.now();
    await ended;
    return { ms: performance.now() - since, printed };
  }

  const useIt = `
    await state.promise;
    await transport.subscribe([${JSON.stringify(TOPIC)}]);
    await Promise.all(Array.from({ length: 20 }, () => transport.publish(${JSON.stringify(TOPIC)}, new Uint8Array(9), { signal })));
    for await (const _ of transport.queryHistory({ topics: [${JSON.stringify(TOPIC)}], startMs: 0, endMs: Date.now() }, { signal }));`;

  test("F2 a used transport lets its process end, and has printed nothing", async () => {
    const node = await serviceNode();
    const { ms, printed } = await lifeAfterStop(node.websocket, useIt);
    expect(printed).toBe("");
    expect(ms).toBeLessThan(2_000);
  });

  test("F2 so does one whose node has been killed and is being looked for", async () => {
    const node = await serviceNode();
    const { ms, printed } = await lifeAfterStop(
      node.websocket,
      `${useIt} process.kill(${node.pid}, "SIGKILL"); await pause(1_500);`,
    );
    expect(printed).toBe("");
    expect(ms).toBeLessThan(2_000);
  });

  test("F2 so does one whose node is paused", async () => {
    const node = await serviceNode();
    const { ms, printed } = await lifeAfterStop(node.websocket, `${useIt} process.kill(${node.pid}, "SIGSTOP");`);
    expect(printed).toBe("");
    expect(ms).toBeLessThan(2_000);
  });

  test("F2 so does one whose peer takes the websocket and says nothing", async () => {
    const server = createServer().on("upgrade", (request, socket) => {
      const accept = createHash("sha1")
        .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest("base64");
      socket.on("error", () => undefined).resume();
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cleanups.push(async () => void server.close());
    const { port } = server.address() as AddressInfo;
    const { ms, printed } = await lifeAfterStop(`/ip4/127.0.0.1/tcp/${port}/ws`, "await state.promise;");
    expect(printed).toBe("");
    expect(ms).toBeLessThan(2_000);
  });

  test("F2 stop ends a start that is under way, and works without one", async () => {
    const options = { clusterId: CLUSTER, shardCount: SHARDS, peers: ["/ip4/127.0.0.1/tcp/9/ws"] };
    const transport = new WakuTransport(options);
    const starting = transport.start({ onMessage: () => undefined, onConnection: () => undefined });
    const [started] = await Promise.allSettled([starting, transport.stop(), transport.stop()]);
    expect(started).toMatchObject({ status: "rejected", reason: { code: ErrorCode.TRANSPORT_FAILED } });
    await new WakuTransport(options).stop();
  });

  test("F2 no listener call follows stop, and calls under way reject", async () => {
    const node = await serviceNode();
    const [alice, bob] = await Promise.all([connect([node.websocket]), subscribed([node.websocket])]);
    const publishing = Promise.allSettled(numbered("late", 200).map((text) => alice.publish(text)));
    await Promise.all([bob.transport.stop(), alice.transport.stop()]);
    const heard = bob.texts.length;
    expect((await publishing).some(({ status }) => status === "rejected")).toBe(true);
    await pause(500);
    expect(bob.texts).toHaveLength(heard);
    expect(bob.connection).toEqual([true]);
    await expect(alice.publish("after")).rejects.toMatchObject({ code: ErrorCode.TRANSPORT_FAILED });
  });
});
