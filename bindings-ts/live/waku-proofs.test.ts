import { setTimeout as pause } from "node:timers/promises";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { utils } from "@waku/sdk";
import { afterEach, expect, test } from "vitest";
import { encodeProof } from "../src/rln/rate-limit-proof.ts";
import type { RateSlot } from "../src/transport/transport.ts";
import { type ProofRequest, type RateLimitProver, WakuTransport } from "../src/transport/waku-transport.ts";
import type { WakuMessage } from "../src/transport/waku-wire.ts";
import { startFaultyNode } from "./faulty-node.ts";

/** S1: how the transport uses a prover. What it proves, rln.test.ts shows. */

const CLUSTER = 42;
const TOPIC = "/chatsdk/1/b-7/proto";
const PUBSUB_TOPIC = utils.contentTopicToPubsubTopic(TOPIC, CLUSTER, 8);
const slot = (messageId: number): RateSlot => ({ epoch: 7n, messageId });
const live = new AbortController().signal;

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Marks each proof with its message id, and keeps what it was asked. */
class MarkingProver implements RateLimitProver {
  readonly requests: (ProofRequest & { askedAtMs: number })[] = [];
  readonly #takesMs: number;
  failing = false;
  #busy = false;

  constructor(takesMs = 0) {
    this.#takesMs = takesMs;
  }

  async prove(request: ProofRequest): Promise<Uint8Array> {
    if (this.#busy) throw new Error("two proofs at a time");
    this.#busy = true;
    this.requests.push({ ...request, askedAtMs: Date.now() });
    await pause(this.#takesMs);
    this.#busy = false;
    if (this.failing) throw new Error("no proof today");
    return encodeProof(new Uint8Array(288).fill(request.messageId + 1), request.epoch, new Uint8Array(32));
  }
}

/** A transport at a node that keeps what is pushed. */
async function connected(prover?: RateLimitProver) {
  const pushed: WakuMessage[] = [];
  const node = await startFaultyNode(CLUSTER, PUBSUB_TOPIC, {
    lightPush(message) {
      pushed.push(message);
      return 200;
    },
  });
  cleanups.push(node.stop);
  const options = { clusterId: CLUSTER, shardCount: 8, peers: [node.websocket] };
  const transport = new WakuTransport({ ...options, ...(prover && { prover }) });
  cleanups.push(() => transport.stop());
  const online = Promise.withResolvers<void>();
  await transport.start({ onMessage() {}, onConnection: (is) => is && online.resolve() });
  await transport.subscribe([TOPIC]);
  await online.promise;
  const publish = (text: string, options: { slot?: RateSlot; signal?: AbortSignal } = {}) =>
    transport.publish(TOPIC, Buffer.from(text), { signal: live, ...options });
  return { publish, pushed };
}

const textsOf = (messages: readonly WakuMessage[]) => messages.map(({ payload }) => Buffer.from(payload).toString());
const failed = { name: "ChatError", code: ErrorCode.TRANSPORT_FAILED };

test("S1 what has a slot goes out with a proof for its topic, payload and timestamp; what has none needs none", async () => {
  const prover = new MarkingProver();
  const { publish, pushed } = await connected(prover);
  await publish("with", { slot: slot(3) });
  await publish("without");
  expect(textsOf(pushed)).toEqual(["with", "without"]);
  const [request, ...more] = prover.requests;
  expect(more).toEqual([]);
  expect(request).toMatchObject({ ...slot(3), topic: TOPIC, timestampNs: pushed[0]!.timestamp });
  expect(Buffer.from(request!.payload).toString()).toBe("with");
  expect(new Set(pushed[0]!.rateLimitProof?.nullifier)).toEqual(new Set([4]));
  expect(pushed[1]!.rateLimitProof).toBeUndefined();
});

test("S1 proofs are made one at a time, in order, each for a timestamp that is taken when its turn comes", async () => {
  const prover = new MarkingProver(400);
  const { publish, pushed } = await connected(prover);
  await Promise.all([0, 1, 2, 3].map((id) => publish(`${id}`, { slot: slot(id) })));
  expect(prover.requests.map(({ messageId }) => messageId)).toEqual([0, 1, 2, 3]);
  for (const { timestampNs, askedAtMs } of prover.requests)
    expect(askedAtMs - Number(timestampNs / 1_000_000n)).toBeLessThan(300);
  const times = pushed.map(({ timestamp }) => timestamp);
  expect(new Set(times).size).toBe(4);
});

test("S1 without a prover a slot is only counted: the publication carries no proof", async () => {
  const { publish, pushed } = await connected();
  await publish("bare", { slot: slot(0) });
  expect(textsOf(pushed)).toEqual(["bare"]);
  expect(pushed[0]!.rateLimitProof).toBeUndefined();
});

test("S1 a proof that fails is a publication that fails, and the next one is made", async () => {
  const prover = new MarkingProver();
  const { publish, pushed } = await connected(prover);
  prover.failing = true;
  await expect(publish("lost", { slot: slot(0) })).rejects.toMatchObject(failed);
  prover.failing = false;
  await publish("made", { slot: slot(1) });
  expect(textsOf(pushed)).toEqual(["made"]);
});

test("S1 a publication that is aborted while it waits for its turn is never proved", async () => {
  const prover = new MarkingProver(300);
  const { publish, pushed } = await connected(prover);
  const hurry = new AbortController();
  const first = publish("first", { slot: slot(0) });
  const second = publish("second", { slot: slot(1), signal: hurry.signal });
  hurry.abort(new Error("too slow"));
  await expect(second).rejects.toThrow("too slow");
  await first;
  await publish("third", { slot: slot(2) });
  expect(prover.requests.map(({ messageId }) => messageId)).toEqual([0, 2]);
  expect(textsOf(pushed)).toEqual(["first", "third"]);
});
