import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { Insider } from "../src/adversary.ts";
import { keyReuse } from "../src/ledger.ts";
import { pair, Person } from "../src/people.ts";
import { CALM, World } from "../src/world.ts";

/** S1: a busy or hostile conversation does not keep others from their slots, and nothing waits longer than the epoch makes it. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const limited = (epochSeconds: number, messagesPerEpoch: number) => ({ rateLimit: { epochSeconds, messagesPerEpoch } });

/** Publications by conversation. */
function published(world: World, from: string, kind: "m" | "s", mark: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const publication of world.published.slice(mark)) {
    const [what, id] = publication.publishId.split("/") as [string, string];
    if (publication.from === from && what === kind) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

/** Peers that have accepted a reusable link, as an attacker holds them: each with its keys, and the topic on which it is heard. */
function insiders(world: World, link: string, count: number) {
  return Array.from({ length: count }, (_, i) => {
    const mallory = new Person(world, `mallory ${i}`, {}, nodeCrypto);
    const id = mallory.accept(link);
    world.run(MINUTE);
    world.switchOff(mallory.machine);
    const { topic } = world.published.find(({ from }) => from === mallory.machine.name)!;
    return { insider: new Insider(mallory.machine, id), topic };
  });
}

describe("acknowledgements and repairs beyond their part of an epoch", () => {
  test("S1 F4 acknowledgements: each of 14 busy conversations gets its turn, and no message expires", () => {
    const world = new World(3);
    const alice = new Person(world, "alice", limited(600, 40), nodeCrypto);
    const link = alice.invite(true);
    const peers = Array.from({ length: 14 }, (_, i) => {
      const peer = new Person(world, `peer ${i}`, { messageTtlMs: BigInt(2 * HOUR) }, nodeCrypto);
      return { peer, id: peer.accept(link) };
    });
    world.run(HOUR);
    const mark = world.published.length;
    for (let minute = 0; minute < 180; minute += 2) {
      for (const { peer, id } of peers) peer.send(id, `${minute}`);
      world.run(2 * MINUTE);
    }
    const counts = published(world, "alice", "s", mark);
    expect(counts.size).toBe(14);
    expect(Math.min(...counts.values())).toBeGreaterThan(Math.max(...counts.values()) / 4);
    for (const { peer } of peers) expect(peer.withStatus(DeliveryStatus.FAILED)).toEqual([]);
  });

  test("S1 F4 resends: one without a slot goes in the next epoch, and does not count", () => {
    const world = new World(4);
    const alice = new Person(world, "alice", limited(600, 20), nodeCrypto);
    const peers = Array.from({ length: 12 }, (_, i) => new Person(world, `peer ${i}`, {}, nodeCrypto));
    const ids = peers.map((peer) => alice.accept(peer.invite()));
    world.run(3 * HOUR);
    world.weather = { ...CALM, store: false };
    for (const { machine } of peers) world.switchOff(machine);
    const mark = world.published.length;
    for (const id of ids) alice.send(id, "x");
    world.run(DAY);
    const counts = published(world, "alice", "m", mark);
    // 90 s, doubled up to 6 hours: eight in a day where nothing is in short supply.
    for (const id of ids) expect(counts.get(id)).toBeGreaterThan(7);
  });

  test.each([
    [20, 5],
    [50, 12],
    [80, 20],
  ])("S1 F4 at %i an epoch, %i unacknowledged, a peer that has them all is asked to say so", (limit, count) => {
    const world = new World(3);
    const { alice, bob, conversationId } = pair(world, limited(600, limit), nodeCrypto);
    world.run(20 * MINUTE);
    world.weather = { ...CALM, store: false };
    world.censor = ({ from }) => from === "bob";
    for (let i = 0; i < count; i++) {
      alice.send(conversationId, `${i}`);
      world.run(limit < 50 ? 2 * MINUTE : 10_000);
    }
    world.run(3 * MINUTE);
    world.censor = () => false;
    expect(bob.texts.length).toBe(1 + count);
    expect(world.run(2 * HOUR, () => alice.withStatus(DeliveryStatus.DELIVERED).length === 1 + count)).toBe(true);
  });

  test.each([1, 10])(
    "S1 F4 an acknowledgement keeps its turn beside 25 peers that ask, written to every %i minutes",
    (every) => {
      const world = new World(4);
      const alice = new Person(world, "alice", limited(600, 100), nodeCrypto);
      const bob = new Person(world, "bob", {}, nodeCrypto);
      const conversation = alice.accept(bob.invite());
      world.run(10 * MINUTE);
      const link = alice.invite(true);
      const hostile = insiders(world, link, 25);
      world.run(40 * MINUTE - (world.nowMs % (10 * MINUTE)));
      const mark = world.published.length;
      for (let minute = 0; minute < 120; minute++) {
        for (const { insider, topic } of minute % 10 < 2 ? hostile : [])
          world.inject(topic, insider.seal({ acknowledged: 0, acknowledgementRequested: true }));
        if (minute % every === 0) bob.send(conversation, `${minute}`);
        world.run(MINUTE);
      }
      expect(published(world, "alice", "s", mark).get(conversation)).toBeGreaterThanOrEqual(5);
    },
  );

  test("S1 F4 20 hostile peers of a reusable link do not keep a message from a peer that comes back", () => {
    const world = new World(4);
    const alice = new Person(world, "alice", limited(600, 100), nodeCrypto);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const conversation = alice.accept(bob.invite());
    world.run(10 * MINUTE);
    const link = alice.invite(true);
    const hostile = insiders(world, link, 20);
    world.run(30 * MINUTE);
    world.weather = { ...CALM, store: false };
    world.switchOff(bob.machine);
    alice.send(conversation, "for bob");
    for (let epoch = 0; epoch < 30 && !bob.texts.includes("for bob"); epoch++) {
      for (const { insider, topic } of hostile) {
        world.inject(topic, insider.seal({ nextSequence: 3 + epoch, acknowledged: 0 }));
        world.inject(topic, insider.seal({ acknowledged: 0, acknowledgementRequested: true }));
      }
      if (epoch === 6) world.switchOn(bob.machine);
      world.run(10 * MINUTE);
    }
    expect(bob.texts).toContain("for bob");
  });
});

describe("proofs that take time", () => {
  /** Alice writes so long before the end of an epoch; the order in which Bob is shown what she wrote. */
  function write(beforeMs: number, count: number, takesMs: number, pauseMs: number) {
    const world = new World(7);
    const { alice, bob, conversationId } = pair(world, limited(20, 6), nodeCrypto);
    world.run(2 * MINUTE);
    world.proving = { epochMs: 20_000, takesMs };
    world.run(20_000 - (world.nowMs % 20_000) - beforeMs);
    for (let i = 0; i < count; i++) {
      alice.send(conversationId, `${i}`);
      world.run(pauseMs);
    }
    const expected = Array.from({ length: count }, (_, i) => `${i}`);
    world.run(15 * MINUTE, () => bob.texts.length > count);
    return { texts: bob.texts.slice(1), expected, missing: bob.eventsOf("messagesMissing"), keys: keyReuse(world) };
  }

  test.each([500, 1200, 4000, 9000])("S1 14 messages %i ms before the end of an epoch arrive in order", (beforeMs) => {
    const { texts, expected, missing } = write(beforeMs, 14, 1400, 0);
    expect(texts).toEqual(expected);
    expect(missing).toEqual([]);
  });

  test("S1 whenever they are written, and however long a proof takes, messages arrive in order", () => {
    const arrangement = fc.record({
      beforeMs: fc.integer({ min: 0, max: 20_000 }),
      count: fc.integer({ min: 1, max: 20 }),
      takesMs: fc.integer({ min: 50, max: 8000 }),
      pauseMs: fc.integer({ min: 0, max: 1500 }),
    });
    fc.assert(
      fc.property(arrangement, ({ beforeMs, count, takesMs, pauseMs }) => {
        const { texts, expected, keys } = write(beforeMs, count, takesMs, pauseMs);
        expect(texts).toEqual(expected);
        expect(keys).toEqual([]);
      }),
      { numRuns: 60, seed: 5 },
    );
  });
});

describe("a publication of a former epoch", () => {
  /** The result of the second message cannot be committed so many times; its slot's epoch ends. */
  function unstored(times: number) {
    const world = new World(8);
    const { alice, bob, conversationId } = pair(world, limited(60, 50), nodeCrypto);
    world.run(2 * MINUTE);
    let refused = 0;
    world.fault = (machine, input) =>
      machine === alice.machine && input.case === "publishResult" && refused++ < times ? "commit refused" : undefined;
    alice.send(conversationId, "second");
    world.run(MINUTE);
    alice.send(conversationId, "third");
    return { world, bob };
  }

  test("S1 F2 holds nothing back once its result could be stored", () => {
    const { world, bob } = unstored(1);
    world.run(1000);
    expect(bob.texts.slice(-2)).toEqual(["second", "third"]);
  });

  test("S1 F2 holds others back for one epoch, though its result never comes", () => {
    const { world, bob } = unstored(Infinity);
    world.run(3 * MINUTE);
    expect(bob.texts.slice(-2)).toEqual(["second", "third"]);
  });
});

describe("the queue", () => {
  test("S1 that was made while the clock was three days ahead goes on once it is put right", () => {
    const world = new World(3);
    const { alice, bob, conversationId } = pair(world, limited(60, 5), nodeCrypto);
    world.run(5 * MINUTE);
    world.nowMs += 3 * DAY;
    for (let i = 0; i < 12; i++) alice.send(conversationId, `${i}`);
    world.run(100);
    world.nowMs -= 3 * DAY;
    alice.send(conversationId, "after");
    world.run(10 * MINUTE);
    expect(bob.texts.slice(1)).toEqual([...Array.from({ length: 12 }, (_, i) => `${i}`), "after"]);
  });

  test("S1 ends when all that waited has expired, and the application is told", () => {
    const world = new World(9);
    const config = { ...limited(86_400, 3), messageTtlMs: BigInt(HOUR) };
    const { alice, conversationId } = pair(world, config, nodeCrypto);
    for (let i = 0; i < 6; i++) alice.send(conversationId, `${i}`);
    expect(alice.eventsOf("quotaChanged").map(({ exhausted }) => exhausted)).toEqual([true]);
    world.run(2 * HOUR);
    expect(alice.call({ case: "getQuota", value: {} }, "quota").waiting).toBe(0);
    expect(alice.eventsOf("quotaChanged").map(({ exhausted }) => exhausted)).toEqual([true, false]);
  });
});

test("F4 F3 a late result of a session that was replaced says nothing of the new one's messages", () => {
  const world = new World(4);
  const { alice, bob, conversationId } = pair(world, limited(600, 4), nodeCrypto);
  bob.send(conversationId, "b");
  world.run(11 * MINUTE);
  const backup = alice.machine.disk.copy();
  bob.send(conversationId, "x");
  world.run(5000);
  world.switchOff(alice.machine);
  alice.machine.disk = backup;
  world.switchOn(alice.machine, true);
  world.run(11 * MINUTE);
  alice.call({ case: "repairConversation", value: { conversationId } }, "done");
  world.run(11 * MINUTE);

  // A publication of the old session hangs while Bob agrees, until the same sequence of the new one waits for a slot.
  const perform = world.perform.bind(world);
  let held = "";
  world.perform = (machine, effects) => {
    const hung = effects.find(({ effect }) => effect.case === "publish" && effect.value.publishId.startsWith("m/"));
    if (machine !== bob.machine || hung?.effect.case !== "publish") return perform(machine, effects);
    held = hung.effect.value.publishId;
    perform(
      machine,
      effects.filter((effect) => effect !== hung),
    );
  };
  bob.send(conversationId, "of the old session");
  world.perform = perform;
  bob.call({ case: "acceptRepair", value: { conversationId } }, "done");
  const texts = Array.from({ length: Number(held.split("/")[2]) + 6 }, (_, i) => `new ${i + 1}`);
  const ids = texts.map((text) => bob.send(conversationId, text));
  const sent = new Set(bob.withStatus(DeliveryStatus.SENT));
  world.feed(bob.machine, { case: "publishResult", value: { publishId: held, ok: true } });
  expect(ids.filter((id) => bob.withStatus(DeliveryStatus.SENT).includes(id) && !sent.has(id))).toEqual([]);
  world.run(5 * HOUR);
  expect(alice.texts.filter((text) => text.startsWith("new"))).toEqual(texts);
});

describe("large messages that wait for slots", () => {
  test("S1 of ten conversations none is passed over, though the host wakes late and a step publishes a megabyte", () => {
    const world = new World(8);
    const bob = new Person(world, "bob", limited(600, 100), nodeCrypto);
    const peers = Array.from({ length: 10 }, (_, i) => new Person(world, `${i}`, {}, nodeCrypto));
    const ids = peers.map((peer) => bob.accept(peer.invite()));
    const { machine } = bob;
    const prepare = machine.prepare.bind(machine);
    machine.prepare = (nowMs, input) => {
      const outcome = prepare(nowMs, input);
      for (const { effect } of outcome.effects)
        if (effect.case === "wakeAtMs" && effect.value > 1n) effect.value = (effect.value / 100n + 1n) * 100n;
      return outcome;
    };
    world.run(30 * MINUTE);
    world.run(10 * MINUTE - (world.nowMs % (10 * MINUTE)) + 1000);
    for (let i = 0; i < 60; i++) for (const id of ids) bob.send(id, `${i} ${"x".repeat(60_000)}`);
    for (let epoch = 0; epoch < 3; epoch++) {
      const mark = world.published.length;
      world.run(10 * MINUTE);
      const counts = published(world, "bob", "m", mark);
      expect(counts.size).toBe(10);
      expect(Math.min(...counts.values())).toBeGreaterThanOrEqual(4);
    }
  });
});
