import { create } from "@bufbuild/protobuf";
import { ConfigSchema, InputSchema } from "@chatsdk/abi/host_pb";
import { ReadAnswerSchema } from "@chatsdk/abi/module_pb";
import { HOST_KEY, type InputValue, type Machine } from "@chatsdk/conformance/machine";
import { committedModule } from "@chatsdk/conformance/module-engine";
import { pair } from "@chatsdk/conformance/people";
import { World } from "@chatsdk/conformance/world";
import { expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { connect } from "../host/index.ts";

const LENGTH = 4_000_000;
const UNSENT = 13;
const EVENTS = 18;

/** The committed module over a machine's disk, and the bytes of the largest answer it was given. */
function open({ disk, header, config }: Machine) {
  let largest = 0;
  const { client } = connect(committedModule(), {
    read(read) {
      const records = [...disk.answer(read)];
      largest = Math.max(
        largest,
        records.reduce((sum, { value }) => sum + value.length, 0),
      );
      return create(ReadAnswerSchema, { records });
    },
  });
  client.openCore({ config: create(ConfigSchema, config), header, hostKey: HOST_KEY });
  return { client, largest: () => largest };
}

test("F2 a client starts with more unsent than one answer of the host may hold, and offers a few at a time", () => {
  const world = new World(3);
  const { alice, conversationId } = pair(world, {}, nodeCrypto);
  world.refuse = () => true;
  for (let i = 0; i < UNSENT; i++) {
    const content = { domain: 7, tag: 1, version: 1, payload: new Uint8Array(LENGTH).fill(i) };
    alice.call({ case: "sendMessage", value: { conversationId, content } }, "sentMessage");
  }
  world.run(50);
  expect(alice.machine.disk.size("out/")).toBeGreaterThan(64 * 1024 * 1024);
  const { client, largest } = open(alice.machine);
  const start = { case: "start" as const, value: {} };
  const input = create(InputSchema, {
    nowMs: BigInt(world.nowMs + 5000),
    entropy: alice.machine.entropy(),
    input: start,
  });
  const published = client.step(input).outcome?.effects.filter(({ effect }) => effect.case === "publish") ?? [];
  expect(published.length).toBe(16);
  expect(largest()).toBeLessThan(1024 * 1024);
});

test("F2 a client starts with more events than memory holds, and shows a few at a time", () => {
  const world = new World(4);
  const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
  world.forgetful.add(bob.machine);
  for (let i = 0; i < EVENTS; i++) {
    const content = { domain: 7, tag: i, version: 1, payload: new Uint8Array(LENGTH) };
    alice.call({ case: "sendMessage", value: { conversationId, content } }, "sentMessage");
    world.run(90_000);
  }
  expect(bob.machine.disk.size("event/")).toBeGreaterThan(64 * 1024 * 1024);
  const { client } = open(bob.machine);
  const tags: number[] = [];
  const step = (input: InputValue): bigint => {
    const { outcome } = client.step(
      create(InputSchema, { nowMs: BigInt(world.nowMs), entropy: bob.machine.entropy(), input }),
    );
    bob.machine.commit(outcome!.changes);
    for (const { event } of outcome!.events) {
      const message = event.case === "messageReceived" ? event.value.message! : undefined;
      if (message?.domain === 7) tags.push(message.tag);
    }
    return outcome!.events.at(-1)?.eventNumber ?? 0n;
  };
  let last = step({ case: "start", value: {} });
  expect(tags.length).toBeLessThan(4);
  while (last > 0n) last = step({ case: "acknowledgeEvents", value: { eventNumber: last } });
  expect(tags).toEqual(Array.from({ length: EVENTS }, (_, i) => i));
  expect(bob.machine.disk.keysUnder("event/")).toEqual([]);
});
