import { DeliveryStatus, SessionState } from "@chatsdk/abi/api_pb";
import { describe, expect, test } from "vitest";
import { pair, Person } from "../src/people.ts";
import { World } from "../src/world.ts";

describe("conversation between two machines", () => {
  test("U1 U2 F2 F4 a link, a first message to somebody offline, an answer, ticks", () => {
    const world = new World();
    const bob = new Person(world, "bob");
    const link = bob.invite();
    world.switchOff(bob.machine);
    const alice = new Person(world, "alice");
    const id = alice.accept(link, "hello bob");
    for (let i = 1; i < 50; i++) alice.send(id, `message ${i}`);
    world.run(60_000);
    world.switchOn(bob.machine);
    world.run(60_000);
    expect(bob.texts).toEqual(["hello bob", ...Array.from({ length: 49 }, (_, i) => `message ${i + 1}`)]);
    expect(new Set(alice.withStatus(DeliveryStatus.SENT)).size).toBe(50);
    expect(alice.withStatus(DeliveryStatus.DELIVERED).length).toBe(50);
    expect(alice.eventsOf("sessionStateChanged").map((change) => change.sessionState)).toEqual([
      SessionState.ESTABLISHED,
    ]);
    bob.send(id, "hello alice");
    world.run(60_000);
    expect(alice.texts).toEqual(["hello alice"]);
    expect(bob.withStatus(DeliveryStatus.DELIVERED).length).toBe(1);
    expect([...alice.machine.disk.records.keys()].filter((key) => key.startsWith("out/"))).toEqual([]);
  });

  test("F2 a long exchange in turns", () => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world);
    for (let i = 0; i < 40; i++) {
      (i % 2 ? bob : alice).send(conversationId, `${i}`);
      world.run(100);
    }
    world.run(120_000);
    expect(bob.texts.slice(1)).toEqual(Array.from({ length: 20 }, (_, i) => `${2 * i}`));
    expect(alice.texts).toEqual(Array.from({ length: 20 }, (_, i) => `${2 * i + 1}`));
    expect(alice.withStatus(DeliveryStatus.DELIVERED).length).toBe(21);
  });
});
