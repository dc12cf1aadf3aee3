import { create } from "@bufbuild/protobuf";
import { ConfigSchema, InputSchema } from "@chatsdk/abi/host_pb";
import { ReadAnswerSchema } from "@chatsdk/abi/module_pb";
import { HOST_KEY } from "@chatsdk/conformance/machine";
import { committedModule } from "@chatsdk/conformance/module-engine";
import { pair } from "@chatsdk/conformance/people";
import { World } from "@chatsdk/conformance/world";
import { expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { connect } from "../host/index.ts";

const LENGTH = 10_000_000;
const MESSAGES = 5;

test("F2 a client starts with more unsent than one answer of the host may hold, and offers a few at a time", () => {
  const world = new World(3);
  const { alice, conversationId } = pair(world, {}, nodeCrypto);
  world.refuse = () => true;
  for (let i = 0; i < MESSAGES; i++) {
    const content = { domain: 7, tag: 1, version: 1, payload: new Uint8Array(LENGTH).fill(i) };
    alice.call({ case: "sendMessage", value: { conversationId, content } }, "sentMessage");
  }
  world.run(50);
  const { disk, header, config } = alice.machine;
  expect(disk.size("out/")).toBeGreaterThan(64 * 1024 * 1024);
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
  const start = { case: "start" as const, value: {} };
  const input = create(InputSchema, {
    nowMs: BigInt(world.nowMs + 5000),
    entropy: alice.machine.entropy(),
    input: start,
  });
  const published = client.step(input).outcome?.effects.filter(({ effect }) => effect.case === "publish") ?? [];
  expect(published.length).toBe(16);
  expect(largest).toBeLessThan(1024 * 1024);
});
