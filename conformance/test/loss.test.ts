import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { chatter, watchDelivered } from "../src/chatter.ts";
import { pair } from "../src/people.ts";
import { World } from "../src/world.ts";

const COUNT = 1000;
const HOUR = 3600_000;
const STORM = { loss: 0.3, duplication: 0.1, reorder: 20, delayMs: 200 };

function stormyChat(seed: number, store: boolean) {
  const world = new World(seed);
  const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
  world.weather = { ...STORM, store };
  const untrue = [watchDelivered(alice, bob, conversationId), watchDelivered(bob, alice, conversationId)];
  const sent = chatter([alice, bob], conversationId, COUNT, 250);
  const delivered = (person: typeof alice): number => new Set(person.withStatus(DeliveryStatus.DELIVERED)).size;
  const startMs = world.nowMs;
  let end = false;
  while (!end && world.nowMs < startMs + 48 * HOUR) {
    world.run(10_000);
    end = delivered(alice) === COUNT + 1 && delivered(bob) === COUNT;
  }
  return { world, alice, bob, conversationId, sent, untrue, end, tookMs: world.nowMs - startMs };
}

describe.each([
  { store: true, seed: 1 },
  { store: true, seed: 2 },
  { store: false, seed: 3 },
  { store: false, seed: 4 },
])("a storm: store $store, seed $seed", ({ store, seed }) => {
  test("R1 F4 a thousand messages each way arrive exactly once, and all are known to have arrived", () => {
    const { world, alice, bob, sent, untrue, end, tookMs } = stormyChat(seed, store);
    const kinds = { m: 0, s: 0 };
    for (const p of world.published) kinds[p.publishId[0] as "m"]++;
    console.log(`store ${store}: ${world.published.length} envelopes ${JSON.stringify(kinds)} in ${Math.round(tookMs / 1000)} s`,
     alice.withStatus(DeliveryStatus.DELIVERED).length, bob.withStatus(DeliveryStatus.DELIVERED).length, alice.withStatus(DeliveryStatus.FAILED).length, bob.withStatus(DeliveryStatus.FAILED).length,
     "missing", alice.eventsOf("messagesMissing").flatMap(e=>e.messageIds).length, "lost", alice.eventsOf("messagesLost").flatMap(e=>e.messageIds).length, "texts", alice.texts.length, bob.texts.length);
    expect(end).toBe(true);
    expect(bob.texts.slice(1).sort()).toEqual([...sent[0].values()].sort());
    expect(alice.texts.sort()).toEqual([...sent[1].values()].sort());
    expect(untrue).toEqual([{ untrue: [] }, { untrue: [] }]);
  });
});
