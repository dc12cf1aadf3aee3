import { toBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@chatsdk/abi/api_pb";
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
    expect(size(shown())).toBeLessThan(20 * MIB);
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
    const { world, bob, shown, tags, acknowledge } = withoutLoop(10, 2 * MIB);
    const seen = tags().length;
    const last = shown().at(-1)!.eventNumber;
    bob.machine.prepare(world.nowMs, { case: "acknowledgeEvents", value: { eventNumber: last } });
    bob.machine.core.commitFailed();
    expect(() => bob.call({ case: "deleteAccount", value: { accountId: "none" } }, "done")).toThrow("account_id");
    expect(tags().length).toBe(seen);
    acknowledge(last);
    expect(tags()).toEqual(Array.from({ length: 10 }, (_, i) => i));
  });

  test("F6 deletes a conversation: the messages that wait to be shown are never shown", () => {
    const { bob, conversationId, tags, shown, acknowledge } = withoutLoop(20, 2 * MIB);
    const seen = tags().length;
    bob.call({ case: "deleteConversation", value: { conversationId } }, "done");
    expect(bob.machine.disk.keysUnder("event/")).toEqual([]);
    acknowledge(shown().at(-1)!.eventNumber);
    expect(tags().length).toBe(seen);
  });
});
