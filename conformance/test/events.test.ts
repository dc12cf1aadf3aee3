import { toBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@chatsdk/abi/api_pb";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { pair } from "../src/people.ts";
import { World } from "../src/world.ts";

const MIB = 1024 * 1024;
const size = (events: readonly Event[]): number =>
  events.reduce((sum, event) => sum + toBinary(EventSchema, event).length, 0);

/** Bob's application deals with nothing until the test says so. */
function withoutLoop(count: number, length: number) {
  const world = new World(1);
  const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
  world.run(1000);
  bob.call({ case: "acknowledgeEvents", value: { eventNumber: 1000n } }, "done");
  world.forgetful.add(bob.machine);
  const before = bob.machine.events.length;
  for (let i = 0; i < count; i++) {
    const content = { domain: 7, tag: i, version: 1, payload: new Uint8Array(length) };
    alice.call({ case: "sendMessage", value: { conversationId, content } }, "sentMessage");
    world.run(length > MIB ? 5000 : 500);
  }
  world.run(60_000);
  const shown = () => bob.machine.events.slice(before);
  const tags = () =>
    shown().flatMap(({ event }) => (event.case === "messageReceived" ? [event.value.message!.tag] : []));
  const acknowledge = (eventNumber: bigint) => bob.call({ case: "acknowledgeEvents", value: { eventNumber } }, "done");
  return { world, bob, conversationId, shown, tags, acknowledge };
}

describe("an application that deals with no events", () => {
  test("F2 has a bounded number of bytes of them, and gets the others, in order and once each, as it deals with those", () => {
    const { bob, shown, tags, acknowledge } = withoutLoop(40, 2 * MIB);
    expect(bob.machine.disk.keysUnder("event/").length).toBe(40);
    expect(size(shown())).toBeLessThan(12 * MIB);
    for (let dealtWith = -1; dealtWith < tags().length; ) {
      dealtWith = tags().length;
      acknowledge(shown().at(-1)!.eventNumber);
    }
    expect(tags()).toEqual(Array.from({ length: 40 }, (_, i) => i));
    expect(bob.machine.disk.keysUnder("event/")).toEqual([]);
  });

  test("F2 starts again and is shown the oldest first, as much as before", () => {
    const { world, bob, tags, acknowledge } = withoutLoop(20, 2 * MIB);
    const seen = tags();
    expect(seen.length).toBeLessThan(20);
    world.switchOff(bob.machine);
    world.switchOn(bob.machine);
    expect(tags()).toEqual([...seen, ...seen]);
    const [oldest] = bob.machine.disk.keysUnder("event/");
    acknowledge(BigInt(oldest!.slice("event/".length)));
    expect(tags()).toEqual([...seen, ...seen, seen.length]);
  });

  test("F2 has at most 1,000 at a time", () => {
    const { bob, shown, tags, acknowledge } = withoutLoop(1200, 10);
    expect(bob.machine.disk.keysUnder("event/").length).toBe(1200);
    expect(shown().length).toBe(1000);
    acknowledge(shown()[99]!.eventNumber);
    expect(shown().length).toBe(1100);
    acknowledge(shown().at(-1)!.eventNumber);
    expect(tags()).toEqual(Array.from({ length: 1200 }, (_, i) => i));
  });

  test("F2 loses none to a step that fails, or whose commit fails", () => {
    const { world, bob, shown, tags, acknowledge } = withoutLoop(6, 2 * MIB);
    const seen = tags().length;
    const last = shown().at(-1)!.eventNumber;
    bob.machine.prepare(world.nowMs, { case: "acknowledgeEvents", value: { eventNumber: last } });
    bob.machine.core.commitFailed();
    expect(() => bob.call({ case: "deleteAccount", value: { accountId: "none" } }, "done")).toThrow("account_id");
    expect(tags().length).toBe(seen);
    acknowledge(last);
    expect(tags()).toEqual(Array.from({ length: 6 }, (_, i) => i));
  });

  test("F6 deletes a conversation: the messages that wait to be shown are never shown", () => {
    const { bob, conversationId, tags, shown, acknowledge } = withoutLoop(20, 2 * MIB);
    const seen = tags().length;
    bob.call({ case: "deleteConversation", value: { conversationId } }, "done");
    expect(bob.machine.disk.keysUnder("event/")).toEqual([]);
    acknowledge(shown().at(-1)!.eventNumber);
    expect(tags().length).toBe(seen);
  });

  test("F2 is shown each event in its turn, whatever it acknowledges, and through restarts and failed commits", () => {
    const happening = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ what: fc.constant("write" as const), count: fc.integer({ min: 1, max: 4 }) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ what: fc.constant("acknowledge" as const), count: fc.integer({ min: -2, max: 30 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ what: fc.constantFrom("restart" as const, "fail" as const), count: fc.constant(0) }),
      },
    );
    fc.assert(
      fc.property(fc.array(happening, { minLength: 6, maxLength: 16 }), (happenings) => {
        const world = new World(2);
        const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
        world.forgetful.add(bob.machine);
        const numbers = (): number[] => bob.machine.events.map(({ eventNumber }) => Number(eventNumber));
        const stored = (): number[] =>
          bob.machine.disk.keysUnder("event/").map((key) => Number(key.slice("event/".length)));
        let life = 0;
        /** In a life events come without a gap, from the oldest that waits. */
        const check = (): void => {
          const shown = numbers().slice(life);
          expect(shown).toEqual(shown.map((_, i) => shown[0]! + i));
        };
        for (const { what, count } of happenings) {
          const last = numbers().at(-1) ?? 0;
          const input = {
            case: "acknowledgeEvents" as const,
            value: { eventNumber: BigInt(Math.max(0, last - 10 + count)) },
          };
          if (what === "write") {
            for (let i = 0; i < count; i++) {
              const content = { domain: 7, tag: i, version: 1, payload: new Uint8Array(1.5 * MIB) };
              alice.call({ case: "sendMessage", value: { conversationId, content } }, "sentMessage");
            }
            world.run(70_000);
          } else if (what === "acknowledge") world.feed(bob.machine, input);
          else if (what === "fail") {
            bob.machine.prepare(world.nowMs, input);
            bob.machine.core.commitFailed();
          } else {
            life = bob.machine.events.length;
            world.switchOff(bob.machine);
            const [oldest] = stored();
            world.switchOn(bob.machine);
            expect(numbers()[life]).toBe(oldest);
          }
          check();
        }
        while (stored().length > 0) {
          const before = numbers().at(-1)!;
          world.feed(bob.machine, { case: "acknowledgeEvents", value: { eventNumber: BigInt(before) } });
          check();
        }
      }),
      { numRuns: 15 },
    );
  });
});
