import { DeliveryStatus, SessionState } from "@chatsdk/abi/api_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { keyReuse } from "../src/ledger.ts";
import { pair, Person } from "../src/people.ts";
import { CALM, type Weather, World } from "../src/world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Bare synchronization messages one person has published since a time. */
function syncsBy(person: Person, sinceMs = 0): number {
  return person.world.published.filter(
    ({ from, publishId, atMs }) => from === person.machine.name && publishId.startsWith("s/") && atMs >= sinceMs,
  ).length;
}

/** Alice has written once a minute while nodes took what Bob sent and lost it. From now on all is heard. */
function unheard(minutes: number, weather: Weather) {
  const world = new World(3);
  const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
  world.run(10 * MINUTE);
  world.weather = weather;
  world.censor = ({ from }) => from === "bob";
  for (let i = 0; i < minutes; i++) {
    alice.send(conversationId, `${i}`);
    world.run(MINUTE);
  }
  world.run(2 * MINUTE);
  world.censor = () => false;
  return { world, alice, bob, conversationId };
}

describe("acknowledgements", () => {
  test("F4 a listener acknowledges a stream once an interval, however fast it is", () => {
    const world = new World(21);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    const start = world.nowMs;
    for (let i = 0; i < 1200; i++) {
      alice.send(conversationId, `${i}`);
      world.run(500);
    }
    expect(syncsBy(bob, start)).toBeGreaterThan(0);
    expect(syncsBy(bob, start)).toBeLessThanOrEqual((world.nowMs - start) / MINUTE + 1);
    world.run(2 * MINUTE);
    expect(new Set(alice.withStatus(DeliveryStatus.DELIVERED)).size).toBe(1201);
  });

  test("F4 between two people who talk, each sends one bare acknowledgement an interval at most", () => {
    const world = new World(22);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    const start = world.nowMs;
    for (let i = 0; i < 100; i++) {
      (i % 2 ? alice : bob).send(conversationId, `${i}`);
      world.run(10_000);
    }
    world.run(2 * MINUTE);
    for (const person of [alice, bob])
      expect(syncsBy(person, start)).toBeLessThanOrEqual((world.nowMs - start) / MINUTE + 1);
    expect(alice.withStatus(DeliveryStatus.DELIVERED).length).toBe(51);
    expect(bob.withStatus(DeliveryStatus.DELIVERED).length).toBe(50);
  });

  test("F4 two honest peers with nothing to say fall silent: no acknowledgement answers an acknowledgement", () => {
    const world = new World(23);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    alice.send(conversationId, "one");
    bob.send(conversationId, "two");
    world.run(5 * MINUTE);
    const published = world.published.length;
    world.run(7 * 24 * HOUR);
    expect(world.published.length).toBe(published);
  });

  test("F4 the two fall silent after a storm as well", () => {
    const world = new World(24);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.weather = { loss: 0.5, duplication: 0.3, reorder: 20, delayMs: 3000, store: false };
    for (let i = 0; i < 60; i++) {
      (i % 3 ? alice : bob).send(conversationId, `${i}`);
      world.run(1000);
    }
    world.run(6 * HOUR);
    const published = world.published.length;
    world.run(7 * 24 * HOUR);
    expect(world.published.length).toBe(published);
    expect(new Set(alice.withStatus(DeliveryStatus.DELIVERED)).size).toBe(41);
    expect(new Set(bob.withStatus(DeliveryStatus.DELIVERED)).size).toBe(20);
  });

  test("F4 the loss of the very first acknowledgement is made good without the peer's user", () => {
    const world = new World(25);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const alice = new Person(world, "alice", {}, nodeCrypto);
    world.weather = { ...CALM, store: false };
    world.censor = ({ from }) => from === "bob";
    alice.accept(bob.invite(), "anybody there?");
    world.run(2 * MINUTE);
    world.censor = () => false;
    expect(bob.texts).toEqual(["anybody there?"]);
    expect(alice.withStatus(DeliveryStatus.DELIVERED)).toEqual([]);
    world.run(HOUR);
    expect(alice.withStatus(DeliveryStatus.DELIVERED).length).toBe(1);
    expect(alice.eventsOf("sessionStateChanged").at(-1)!.sessionState).toBe(SessionState.ESTABLISHED);
  });

  test("F4 a process that runs for a second at a time acknowledges, too", () => {
    const world = new World(25);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.run(5 * MINUTE);
    world.switchOff(bob.machine);
    const id = alice.send(conversationId, "read on the run");
    for (let i = 0; i < 3; i++) {
      world.run(5 * MINUTE);
      world.switchOn(bob.machine);
      world.run(1000);
      world.switchOff(bob.machine);
    }
    expect(bob.texts).toContain("read on the run");
    expect(alice.withStatus(DeliveryStatus.DELIVERED)).toContain(id);
  });

  test("F4 the set-up itself is sent again until it arrives", () => {
    const world = new World(26);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const alice = new Person(world, "alice", {}, nodeCrypto);
    world.weather = { ...CALM, store: false };
    world.censor = ({ from }) => from === "alice";
    const id = alice.accept(bob.invite(), "first");
    for (let i = 0; i < 40; i++) alice.send(id, `${i}`);
    world.run(10 * MINUTE);
    world.censor = () => false;
    world.run(3 * HOUR);
    expect(bob.texts.toSorted()).toEqual(["first", ...Array.from({ length: 40 }, (_, i) => `${i}`)].toSorted());
    expect(new Set(alice.withStatus(DeliveryStatus.DELIVERED)).size).toBe(41);
  });

  test("F4 a message no node takes is published again until one does, and says sent only then", () => {
    const world = new World(27);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.refuse = ({ from }) => from === "alice";
    const id = alice.send(conversationId, "patience");
    world.run(10 * MINUTE);
    expect(alice.withStatus(DeliveryStatus.SENT)).not.toContain(id);
    const attempts = world.published.filter(
      ({ publishId }) => publishId.startsWith("m/") && publishId.split("/")[2] === "2",
    );
    expect(attempts.length).toBeGreaterThan(5);
    expect(attempts.length).toBeLessThan(30);
    expect(new Set(attempts.map(({ payload }) => Buffer.from(payload).toString("hex"))).size).toBe(1);
    world.refuse = () => false;
    world.run(2 * MINUTE);
    expect(alice.withStatus(DeliveryStatus.SENT)).toContain(id);
    expect(bob.texts.at(-1)).toBe("patience");
  });

  test.each([1, 7, 30, 600])(
    "F4 R1 no node takes an acknowledgement for %i minutes: the next message is heard",
    (minutes) => {
      const world = new World(3);
      const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
      world.run(2 * MINUTE);
      const delivered = bob.send(conversationId, "hi");
      world.refuse = ({ from }) => from === "alice";
      world.run(minutes * MINUTE);
      expect(syncsBy(alice)).toBeGreaterThan(minutes / 2);
      world.refuse = () => false;
      alice.send(conversationId, "after");
      expect(world.run(MINUTE, () => bob.texts.includes("after"))).toBe(true);
      world.run(2 * MINUTE);
      expect(bob.withStatus(DeliveryStatus.DELIVERED)).toContain(delivered);
      expect(keyReuse(world)).toEqual([]);
    },
  );

  test("F4 what arrived while an acknowledgement was refused is acknowledged as soon as a node takes one", () => {
    const world = new World(3);
    const { bob, conversationId } = pair(world, {}, nodeCrypto);
    world.run(2 * MINUTE);
    world.refuse = ({ from }) => from === "alice";
    const ids = ["early", "late"].map((text) => {
      const id = bob.send(conversationId, text);
      world.run(5 * MINUTE);
      return id;
    });
    world.refuse = () => false;
    world.run(3 * MINUTE);
    expect(bob.withStatus(DeliveryStatus.DELIVERED)).toEqual(expect.arrayContaining(ids));
  });

  test("F4 a node that passes on what it says it refused does not keep acknowledgements from moving on", () => {
    const world = new World(3);
    const { bob, conversationId } = pair(world, {}, nodeCrypto);
    world.run(2 * MINUTE);
    world.refuse = ({ from, topic, payload }) => {
      if (from === "alice") world.inject(topic, payload);
      return from === "alice";
    };
    const ids = Array.from({ length: 30 }, (_, i) => {
      const id = bob.send(conversationId, `${i}`);
      world.run(i % 3 === 0 ? 10_000 : 4 * MINUTE);
      return id;
    });
    world.run(10 * MINUTE);
    expect(bob.withStatus(DeliveryStatus.DELIVERED)).toEqual(expect.arrayContaining(ids));
  });

  test("F4 a refusal whose commit failed is told again, and the sync message is still the same", () => {
    const world = new World(3);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.run(2 * MINUTE);
    bob.send(conversationId, "hi");
    world.refuse = ({ from }) => from === "alice";
    let failures = 0;
    world.fault = (machine, input) => {
      if (machine !== alice.machine || input.case !== "publishResult" || failures++ > 0) return undefined;
      world.at(1000, () => world.feed(machine, input));
      return "commit refused";
    };
    const mark = world.published.length;
    world.run(10 * MINUTE);
    expect(failures).toBeGreaterThan(3);
    const syncs = world.published
      .slice(mark)
      .filter(({ from, publishId }) => from === "alice" && publishId.startsWith("s/"));
    expect(syncs.length).toBeGreaterThan(3);
    expect(new Set(syncs.map(({ payload }) => Buffer.from(payload).toString("hex"))).size).toBe(1);
  });

  test.each([3, 8, 20, 120, 600])(
    "F4 a listener whose acknowledgements nodes take and lose for %i minutes is heard again",
    (minutes) => {
      const { world, alice } = unheard(minutes, { ...CALM, store: false });
      // Alice asks at intervals that have grown to so much.
      const patience = Math.max(15 * MINUTE, 4 * minutes * MINUTE);
      expect(world.run(patience, () => alice.withStatus(DeliveryStatus.DELIVERED).length === minutes + 1)).toBe(true);
      expect(keyReuse(world)).toEqual([]);
    },
  );

  test.each([3, 8, 12])(
    "F4 so is its own message, where the history has what it was sent, after %i minutes",
    (minutes) => {
      const { world, alice, bob, conversationId } = unheard(minutes, CALM);
      bob.send(conversationId, "reply");
      expect(world.run(30 * MINUTE, () => alice.texts.includes("reply"))).toBe(true);
    },
  );

  test("P1 one report is answered with 16 messages at most", () => {
    const world = new World(1);
    const { alice, conversationId } = pair(world, {}, nodeCrypto);
    world.weather = { ...CALM, store: false };
    world.censor = ({ from }) => from === "alice";
    for (let i = 0; i < 60; i++) {
      alice.send(conversationId, `${i}`);
      world.run(1000);
    }
    world.run(95_000);
    world.censor = () => false;
    const mark = world.published.length;
    alice.send(conversationId, "last");
    world.run(10 * MINUTE);
    const at = new Map<number, number>();
    for (const { from, atMs } of world.published.slice(mark)) {
      if (from === "alice") at.set(atMs, (at.get(atMs) ?? 0) + 1);
    }
    expect(Math.max(...at.values())).toBe(16);
  });
});
