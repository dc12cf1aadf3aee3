import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { multiaddr } from "@multiformats/multiaddr";
import { proto_message } from "@waku/proto";
import { createLibp2pAndUpdateOptions, utils } from "@waku/sdk";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type LocalNode, rlnNodeBinary, startNode } from "../../conformance/src/local-network.ts";
import { parseRlnCredentials, parseRlnGroup, type RlnGroup } from "../src/rln/group.ts";
import { RlnProver } from "../src/rln/prover.ts";
import { epochOf } from "../src/rln/rate-limit-proof.ts";
import { WakuTransport } from "../src/transport/waku-transport.ts";
import { lightPush, type WakuMessage, WakuStatus } from "../src/transport/waku-wire.ts";
import { circuitFiles } from "../test/rln-support/circuit.ts";

/** TypeScript's prover against the service node's verifier, which is Rust. */

const CLUSTER = 42;
const SHARDS = 8;
const TOPIC = "/chatsdk/1/b-7/proto";
const PUBSUB_TOPIC = utils.contentTopicToPubsubTopic(TOPIC, CLUSTER, SHARDS);
const SPAM_OF_EACH_KIND = 250;
const live = new AbortController().signal;

const binary = rlnNodeBinary();
const folder = mkdtempSync(join(tmpdir(), "rln-"));
const cleanups: (() => Promise<void> | void)[] = [() => rmSync(folder, { recursive: true, force: true })];

interface Club {
  readonly folder: string;
  readonly group: RlnGroup;
  readonly merkleRoot: string;
}

function makeGroup(name: string): Club {
  const out = join(folder, name);
  const made = execFileSync(binary, ["rln-group", "--members", "3", "--limit", "8", "--epoch", "600", "--out", out]);
  const { merkleRoot } = JSON.parse(made.toString()) as { merkleRoot: string };
  return { folder: out, group: parseRlnGroup(readFileSync(join(out, "group.json"), "utf8")), merkleRoot };
}

function openProver({ folder, group }: Club, member: number): RlnProver {
  const credentials = parseRlnCredentials(readFileSync(join(folder, `member-${member}.json`), "utf8"));
  const prover = RlnProver.open({ group, credentials, circuit: circuitFiles() });
  cleanups.push(() => prover.close());
  return prover;
}

/** js-waku's message type has the proof as fields, not as bytes; the encoding is the same. */
const withProof = (message: WakuMessage, proof: Uint8Array): WakuMessage => ({
  ...message,
  rateLimitProof: proto_message.RateLimitProof.decode(proof),
});

async function proved({ group }: Club, prover: RlnProver, text: string, messageId: number): Promise<WakuMessage> {
  const payload = new Uint8Array(Buffer.from(text));
  const timestampNs = BigInt(Date.now()) * 1_000_000n;
  const epoch = epochOf(timestampNs, group);
  const proof = await prover.prove({ payload, topic: TOPIC, timestampNs, epoch, messageId });
  return withProof({ payload, contentTopic: TOPIC, timestamp: timestampNs }, proof);
}

/** Copies that differ in a field that no proof covers, so that each is a message of its own. */
const copies = (message: WakuMessage): WakuMessage[] =>
  Array.from({ length: SPAM_OF_EACH_KIND }, (_, index) => ({
    ...message,
    meta: new Uint8Array(Buffer.from(`copy ${index}`)),
  }));

type RateLimitProof = NonNullable<WakuMessage["rateLimitProof"]>;

/** One of the fields that the verifier computes with, changed. */
function flipBit(proof: RateLimitProof, seed: number): RateLimitProof {
  const name = (["proof", "shareX", "shareY", "nullifier"] as const)[(seed >> 1) % 4] ?? "proof";
  const changed = new Uint8Array(proof[name]);
  const at = (seed * 7) % changed.length;
  changed[at] = (changed[at] as number) ^ (1 << (seed % 8));
  return { ...proof, [name]: changed };
}

let node: LocalNode;
let push: (message: WakuMessage) => Promise<void>;
let members: Club;
const received: string[] = [];
let receiver: WakuTransport;

beforeAll(async () => {
  members = makeGroup("members");
  // On a busy machine a proof takes longer than a timestamp may be old.
  const args = ["--rln-group", join(members.folder, "group.json"), "--max-clock-skew", "10m"];
  node = await startNode({ binary, args });
  cleanups.push(() => node.stop());
  const libp2p = await createLibp2pAndUpdateOptions({
    networkConfig: { clusterId: CLUSTER },
    defaultBootstrap: false,
    libp2p: { filterMultiaddrs: false, hideWebSocketInfo: true },
  });
  cleanups.push(async () => libp2p.stop());
  const connection = await libp2p.dial(multiaddr(node.websocket));
  push = (message) => lightPush(connection, PUBSUB_TOPIC, message, live);
  receiver = new WakuTransport({ clusterId: CLUSTER, shardCount: SHARDS, peers: [node.websocket] });
  cleanups.push(() => receiver.stop());
  let online = false;
  await receiver.start({
    onMessage: ({ payload }) => received.push(Buffer.from(payload).toString()),
    onConnection: (now) => {
      online = now;
    },
  });
  await vi.waitUntil(() => online, { timeout: 30_000 });
  await receiver.subscribe([TOPIC]);
});

afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

/** Pushes all, and expects each to be refused for the reason. */
async function expectRefused(reason: RegExp, messages: readonly WakuMessage[]): Promise<number> {
  const line = [...messages];
  const refusals: unknown[] = [];
  const worker = async () => {
    for (let message = line.pop(); message !== undefined; message = line.pop())
      refusals.push(await push(message).catch((error: unknown) => error));
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  for (const refusal of refusals) {
    expect(refusal).toBeInstanceOf(WakuStatus);
    expect((refusal as WakuStatus).code).toBe(420);
    expect((refusal as WakuStatus).message).toMatch(reason);
  }
  return refusals.length;
}

test("S1: honest messages pass, and 1,000 spam messages of four kinds are refused", async () => {
  const honest = openProver(members, 0);
  const cheat = openProver(members, 1);
  const others = makeGroup("others");
  const stranger = openProver(others, 0);
  expect(Buffer.from(await honest.ready).toString("hex")).toBe(members.merkleRoot);

  await push(await proved(members, honest, "honest 0", 0));
  const first = await proved(members, cheat, "cheat 0", 0);
  await push(first);
  await push(first); // a client that had no answer

  const { rateLimitProof: _, ...bare } = first;
  let refused = await expectRefused(/has no RLN proof/, copies(bare));
  await push(await proved(members, honest, "honest 1", 1));

  const victim = await proved(members, honest, "honest 2", 2);
  const forged = Array.from({ length: SPAM_OF_EACH_KIND }, (_, index) => {
    if (index % 2 === 0) return { ...victim, payload: new Uint8Array(Buffer.from(`forged ${index}`)) };
    return { ...victim, rateLimitProof: flipBit(victim.rateLimitProof as RateLimitProof, index) };
  });
  refused += await expectRefused(/RLN validation failed: the (proof|message)/, forged);
  await push(victim); // forgeries have not used up his message id

  refused += await expectRefused(/another group of members/, copies(await proved(others, stranger, "stranger", 0)));

  const over = await proved(members, cheat, "cheat, once more", 0);
  refused += await expectRefused(/over his quota/, copies(over));
  await push(await proved(members, cheat, "cheat 1", 1));
  await push(await proved(members, honest, "honest 3", 3));

  expect(refused).toBe(4 * SPAM_OF_EACH_KIND);
  const expected = ["cheat 0", "cheat 1", "honest 0", "honest 1", "honest 2", "honest 3"];
  await vi.waitUntil(() => received.length >= expected.length, { timeout: 30_000 });
  expect(received.toSorted()).toEqual(expected);
  const stored: string[] = [];
  const range = { topics: [TOPIC], startMs: Date.now() - 900_000, endMs: Date.now() + 60_000 };
  for await (const page of receiver.queryHistory(range, { signal: live }))
    stored.push(...page.map(({ payload }) => Buffer.from(payload).toString()));
  expect(stored.toSorted()).toEqual(expected);
});
