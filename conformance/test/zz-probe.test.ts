import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { chatter, watchDelivered } from "../src/chatter.ts";
import { pair } from "../src/people.ts";
import { World } from "../src/world.ts";
const HOUR = 3600_000;
describe.each([
  { delayMs: 200, loss: 0.3, pace: 250, one: true },
  { delayMs: 8000, loss: 0.3, pace: 250, one: false },
  { delayMs: 8000, loss: 0.3, pace: 1000, one: false },
  { delayMs: 3000, loss: 0.3, pace: 1000, one: false },
  { delayMs: 3000, loss: 0.3, pace: 1000, one: true },
])("%o", ({ delayMs, loss, pace, one }) => {
  test("R1 probe", () => {
    const world = new World(7);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.weather = { loss, duplication: 0.1, reorder: 20, delayMs, store: false };
    const untrue = [watchDelivered(alice, bob, conversationId), watchDelivered(bob, alice, conversationId)];
    const n = 400;
    const sent = chatter([alice, bob], conversationId, n, pace);
    if (one) { (bob as any).send = () => ""; sent[1].clear(); }
    const startMs = world.nowMs;
    let end = false;
    const count = (p: typeof alice, s: number) => new Set(p.withStatus(s)).size;
    while (!end && world.nowMs < startMs + 48 * HOUR) {
      world.run(10_000);
      end = count(alice, 3) + count(alice, 5) === n + 1 && (one || count(bob, 3) + count(bob, 5) === n);
    }
    const kinds: Record<string, number> = {};
    for (const p of world.published) kinds[p.from + p.publishId[0]] = (kinds[p.from + p.publishId[0]] ?? 0) + 1;
    console.log(JSON.stringify({ delayMs, pace, one, end, took: (world.nowMs - startMs) / 1000, kinds, failed: [count(alice, 5), count(bob, 5)], texts: [alice.texts.length, bob.texts.length],
      miss: alice.eventsOf("messagesMissing").flatMap((e) => e.messageIds).length + bob.eventsOf("messagesMissing").flatMap((e) => e.messageIds).length, lost: alice.eventsOf("messagesLost").flatMap((e) => e.messageIds).length + bob.eventsOf("messagesLost").flatMap((e) => e.messageIds).length, untrue }));
  });
});
