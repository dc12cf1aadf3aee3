import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { chatter, type Sent, watchDelivered } from "../src/chatter.ts";
import { pair, type Person } from "../src/people.ts";
import { type Weather, World } from "../src/world.ts";

const HOUR = 3600_000;
const STORM = { loss: 0.3, duplication: 0.1, reorder: 20, delayMs: 200, store: false };

function idsWith(person: Person, status: DeliveryStatus): Set<string> {
  return new Set(person.withStatus(status));
}

function stormyChat(seed: number, weather: Weather, count: number, paceMs: number) {
  const world = new World(seed);
  const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
  world.weather = weather;
  const untrue = [watchDelivered(alice, bob, conversationId), watchDelivered(bob, alice, conversationId)];
  const sent = chatter([alice, bob], conversationId, count, paceMs);
  const isDelivered = (person: Person, messages: Sent): boolean => {
    const delivered = idsWith(person, DeliveryStatus.DELIVERED);
    return messages.size === count && [...messages.keys()].every((id) => delivered.has(id));
  };
  const startMs = world.nowMs;
  while (world.nowMs < startMs + 24 * HOUR && !(isDelivered(alice, sent[0]) && isDelivered(bob, sent[1])))
    world.run(10_000);
  world.run(HOUR);
  return { world, alice, bob, conversationId, sent, untrue };
}

/** Exactly once: in the events and in the store, under the sender's ids. */
function expectAll(person: Person, conversationId: string, sent: Sent): void {
  const received = person.eventsOf("messageReceived").map(({ message }) => message!);
  const fresh = received.filter(({ text }) => text !== "hello");
  expect(fresh.length).toBe(sent.size);
  expect(new Map(fresh.map(({ messageId, text }) => [messageId, text]))).toEqual(sent);
  const rows = person.rows(conversationId).filter((row) => !row.outgoing && row.text !== "hello");
  expect(new Map(rows.map(({ messageId, text }) => [messageId, text]))).toEqual(sent);
}

const cases = [
  { store: true, seed: 1, count: 1000 },
  { store: true, seed: 2, count: 500 },
  { store: false, seed: 3, count: 1000 },
  { store: false, seed: 4, count: 1000 },
  { store: false, seed: 5, count: 1000 },
];

describe.each(cases)("a storm, store $store, seed $seed", ({ store, seed, count }) => {
  test(`R1 F4 ${count} messages each way arrive exactly once, and none is called delivered before it is stored`, () => {
    const { alice, bob, conversationId, sent, untrue } = stormyChat(seed, { ...STORM, store }, count, 250);
    expectAll(bob, conversationId, sent[0]);
    expectAll(alice, conversationId, sent[1]);
    expect(untrue).toEqual([{ untrue: [] }, { untrue: [] }]);
    for (const person of [alice, bob]) {
      expect(person.withStatus(DeliveryStatus.FAILED)).toEqual([]);
      expect(person.eventsOf("messagesLost")).toEqual([]);
      const delivered = person.withStatus(DeliveryStatus.DELIVERED);
      expect(delivered.length).toBe(new Set(delivered).size);
    }
  });
});

describe.each([
  { paceMs: 250, seed: 6 },
  { paceMs: 2000, seed: 7 },
])("a slow and lossy network, a message each $paceMs ms", ({ paceMs, seed }) => {
  test("F4 nothing is given up as long as it can arrive, and resends stay few", () => {
    const count = 300;
    const weather = { ...STORM, delayMs: 8000 };
    const { world, alice, bob, conversationId, sent, untrue } = stormyChat(seed, weather, count, paceMs);
    expectAll(bob, conversationId, sent[0]);
    expectAll(alice, conversationId, sent[1]);
    expect(untrue).toEqual([{ untrue: [] }, { untrue: [] }]);
    expect([...alice.withStatus(DeliveryStatus.FAILED), ...bob.withStatus(DeliveryStatus.FAILED)]).toEqual([]);
    expect(world.published.length).toBeLessThan(2 * count * 3);
  });
});
