import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { Effect } from "@chatsdk/abi/host_pb";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { keyReuse } from "../src/ledger.ts";
import { Machine } from "../src/machine.ts";
import { pair, Person, text } from "../src/people.ts";
import { seededRandom } from "../src/random.ts";
import { CALM, type Publication, World } from "../src/world.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const limited = (epochSeconds: number, messagesPerEpoch: number) => ({ rateLimit: { epochSeconds, messagesPerEpoch } });

/** Publications of a person in each epoch. Throws if a slot went out twice, is out of range, or of another time. */
function audit(publications: readonly Publication[], epochSeconds: number, limit: number): Map<string, number> {
  const seen = new Set<string>();
  const counts = new Map<string, number>();
  for (const { from, slot, atMs } of publications) {
    expect(slot).toBeDefined();
    const { epoch, messageId } = slot!;
    const name = `${from}/${epoch}/${messageId}`;
    if (seen.has(name)) throw new Error(`slot ${name} was released twice`);
    seen.add(name);
    expect(Number(epoch)).toBe(Math.floor(atMs / 1000 / epochSeconds));
    expect(messageId).toBeLessThan(limit);
    counts.set(`${from}/${epoch}`, (counts.get(`${from}/${epoch}`) ?? 0) + 1);
  }
  return counts;
}

describe("a client over its quota", () => {
  test("S1 queues, tells the application, and delivers everything in the next epochs, in order", () => {
    const world = new World(5);
    const { alice, bob, conversationId } = pair(world, limited(60, 10), nodeCrypto);
    world.run(2 * MINUTE);
    const ids = Array.from({ length: 35 }, (_, i) => alice.send(conversationId, `${i}`));
    const quota = alice.call({ case: "getQuota", value: {} }, "quota");
    expect(quota).toMatchObject({ limited: true, limit: 10, remaining: 0 });
    expect(quota.waiting).toBeGreaterThanOrEqual(25);
    expect(Number(quota.renewsMs)).toBe((Math.floor(world.nowMs / MINUTE) + 1) * MINUTE);
    world.run(10 * MINUTE);
    expect(bob.texts.slice(1)).toEqual(ids.map((_, i) => `${i}`));
    for (const id of ids) expect(alice.withStatus(DeliveryStatus.DELIVERED)).toContain(id);
    expect(alice.withStatus(DeliveryStatus.FAILED)).toEqual([]);
    expect(alice.eventsOf("quotaChanged").map(({ exhausted }) => exhausted)).toEqual([true, false]);
    const counts = audit(world.published, 60, 10);
    expect(Math.max(...counts.values())).toBe(10);
    expect(alice.call({ case: "getQuota", value: {} }, "quota").waiting).toBe(0);
    expect(keyReuse(world)).toEqual([]);
  });

  test("S1 a later message does not overtake one that waits, in the new epoch either", () => {
    const world = new World(6);
    const { alice, bob, conversationId } = pair(world, limited(60, 5), nodeCrypto);
    world.run(2 * MINUTE);
    for (let i = 0; i < 12; i++) alice.send(conversationId, `${i}`);
    const { renewsMs } = alice.call({ case: "getQuota", value: {} }, "quota");
    world.run(Number(renewsMs) - world.nowMs - 1);
    alice.send(conversationId, "12");
    world.run(10);
    alice.send(conversationId, "13");
    const order = world.published.filter(({ from }) => from === "alice").map(({ publishId }) => publishId);
    expect(order.filter((id) => id.startsWith("m/"))).toEqual(
      order.filter((id) => id.startsWith("m/")).toSorted((a, b) => Number(a.split("/")[2]) - Number(b.split("/")[2])),
    );
    world.run(10 * MINUTE);
    expect(bob.texts.slice(1)).toEqual(Array.from({ length: 14 }, (_, i) => `${i}`));
  });

  test("S1 what waited for the network as well as for the next epoch leaves in order once the network is back", () => {
    const world = new World(11);
    const { alice, bob, conversationId } = pair(world, limited(60, 10), nodeCrypto);
    world.run(2 * MINUTE);
    world.refuse = ({ from }) => from === "alice";
    const texts = Array.from({ length: 40 }, (_, i) => `${i}`);
    for (const text of texts) {
      alice.send(conversationId, text);
      world.run(5 * SECOND);
    }
    world.refuse = () => false;
    world.feed(alice.machine, { case: "connectionChanged", value: { online: true } });
    world.run(HOUR);
    expect(bob.texts.slice(1)).toEqual(texts);
    expect(bob.eventsOf("messagesMissing")).toEqual([]);
    audit(world.published, 60, 10);
  });

  test("S1 conversations take turns: one with many messages does not starve the other", () => {
    const world = new World(7);
    const { alice, bob, conversationId } = pair(world, limited(60, 10), nodeCrypto);
    const carol = new Person(world, "carol", limited(60, 10), nodeCrypto);
    const other = alice.accept(carol.invite());
    world.run(3 * MINUTE);
    for (let i = 0; i < 60; i++) alice.send(conversationId, `${i}`);
    alice.send(other, "to carol");
    world.run(2 * MINUTE);
    expect(carol.texts).toContain("to carol");
    expect(bob.texts.length).toBeLessThan(61);
    world.run(10 * MINUTE);
    expect(bob.texts.length).toBe(61);
  });

  test("S1 acknowledgements and repairs use a fifth each at most: the rest is for messages", () => {
    const world = new World(8);
    const impatient = { ...limited(600, 20), resendAfterMs: 5000 };
    const { alice, bob, conversationId } = pair(world, impatient, nodeCrypto);
    world.run(20 * MINUTE);
    world.weather = { ...CALM, store: false, loss: 1 };
    /** What alice publishes in the next epoch, in which somebody writes every 45 seconds. */
    const inNextEpoch = (write: (text: string) => void): string[] => {
      world.run((Math.floor(world.nowMs / 600_000) + 1) * 600_000 - world.nowMs);
      const mark = world.published.length;
      for (let i = 0; i < 12; i++) {
        write(`${i}`);
        world.run(45 * SECOND);
      }
      return world.published.slice(mark).flatMap(({ from, publishId }) => (from === "alice" ? [publishId] : []));
    };
    const unanswered = inNextEpoch((text) => alice.send(conversationId, text));
    expect(new Set(unanswered.filter((id) => id.startsWith("m/"))).size).toBe(12);
    expect(unanswered.length).toBe(12 + 4);
    world.weather = { ...CALM, store: false };
    world.run(HOUR);
    expect(bob.texts.length).toBe(13);
    expect(inNextEpoch((text) => bob.send(conversationId, text)).length).toBe(4);
    audit(world.published, 600, 20);
  });

  test("S1 what waits is counted once each: cancelled, deleted, failed messages free the queue", () => {
    const world = new World(9);
    const { alice, conversationId } = pair(world, limited(60, 3), nodeCrypto);
    world.run(2 * MINUTE);
    const ids = Array.from({ length: 6 }, (_, i) => alice.send(conversationId, `${i}`));
    for (const messageId of ids.slice(3))
      alice.call({ case: "cancelMessage", value: { conversationId, messageId } }, "done");
    world.run(3 * MINUTE);
    expect(alice.eventsOf("quotaChanged").map(({ exhausted }) => exhausted)).toEqual([true, false]);
    for (let i = 0; i < 6; i++) alice.send(conversationId, `${i}`);
    alice.call({ case: "deleteConversation", value: { conversationId } }, "done");
    expect(alice.eventsOf("quotaChanged").at(-1)!.exhausted).toBe(false);
    world.run(5 * MINUTE);
    audit(world.published, 60, 3);
  });
});

describe("the queue survives", () => {
  test("S1 a rollback that is accepted while a conversation waits", () => {
    const world = new World(1);
    const { alice, bob, conversationId } = pair(world, limited(60, 5), nodeCrypto);
    world.run(2 * MINUTE);
    for (let i = 0; i < 12; i++) alice.send(conversationId, `${i}`);
    world.switchOff(alice.machine);
    world.switchOn(alice.machine, true);
    world.run(5 * MINUTE);
    alice.accept(bob.invite(), "anew");
    world.run(5 * MINUTE);
    expect(bob.texts).toContain("anew");
  });

  test("S1 a message that is taken back while it waits and others are under way, and a restart", () => {
    const world = new World(2);
    const { alice, bob, conversationId } = pair(world, limited(60, 5), nodeCrypto);
    world.run(2 * MINUTE);
    const ids = Array.from({ length: 6 }, (_, i) => alice.send(conversationId, `${i}`));
    alice.call({ case: "cancelMessage", value: { conversationId, messageId: ids[5]! } }, "done");
    world.run(SECOND);
    world.switchOff(alice.machine);
    world.switchOn(alice.machine);
    world.run(5 * MINUTE);
    alice.send(conversationId, "after");
    world.run(5 * MINUTE);
    expect(bob.texts).toContain("after");
  });
});

describe("the network's default of 100 messages in 600 s", () => {
  test.each([
    ["a calm network", CALM],
    ["5% loss without a store", { ...CALM, store: false, loss: 0.05 }],
  ])(
    "S1 P1 a chat of 4 messages a minute each way keeps 20%% to spare, acknowledgements included, in %s",
    (_, weather) => {
      const world = new World(10);
      const { alice, bob, conversationId } = pair(world, limited(600, 100), nodeCrypto);
      world.weather = weather;
      const random = seededRandom(4);
      const sent = { alice: 0, bob: 0 };
      for (let minute = 0; minute < 120; minute++) {
        for (let i = 0; i < 4; i++) {
          for (const person of [alice, bob]) {
            const name = person.machine.name as "alice" | "bob";
            world.at(random() * MINUTE, () => person.send(conversationId, `${name} ${sent[name]++}`));
          }
        }
        world.run(MINUTE);
      }
      world.run(30 * MINUTE);
      const counts = audit(world.published, 600, 100);
      expect(Math.max(...counts.values())).toBeLessThanOrEqual(80);
      for (const person of [alice, bob]) expect(person.eventsOf("quotaChanged")).toEqual([]);
      expect([alice.texts.length, bob.texts.length]).toEqual([sent.bob, sent.alice + 1]);
    },
  );
});

describe("a slot is never released twice", () => {
  type Happening = "send" | "wake" | "offline" | "taken" | "refused" | "crash" | "restart" | "refuse commit";
  const happenings: Happening[] = [
    "send",
    "send",
    "send",
    "wake",
    "offline",
    "taken",
    "refused",
    "crash",
    "restart",
    "refuse commit",
  ];
  const step = fc.record({
    what: fc.constantFrom(...happenings),
    /** Clocks run, stand still, jump ahead and back. */
    jumpMs: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: 20_000 }) },
      { weight: 2, arbitrary: fc.integer({ min: -600_000, max: 600_000 }) },
      { weight: 1, arbitrary: fc.integer({ min: -100 * HOUR, max: 100 * HOUR }) },
    ),
  });

  test("S1 through crashes, restarts, refused commits and any clock", () => {
    const other = new Machine("bob", nodeCrypto, { clusterId: 42 });
    const start = Date.UTC(2026, 0, 1);
    const { accountId } = other.call(start, { case: "createAccount", value: {} }, "account");
    const { link } = other.call(
      start,
      { case: "createInvite", value: { accountId, reusable: true, validForMs: BigInt(365 * 24 * HOUR) } },
      "invite",
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), fc.integer({ min: 1, max: 6 }), (steps, limit) => {
        const machine = new Machine("alice", nodeCrypto, { clusterId: 42, ...limited(60, limit) });
        let nowMs = start;
        const released = new Set<string>();
        const underway: string[] = [];
        const release = (effects: readonly Effect[]): void => {
          for (const { effect } of effects) {
            if (effect.case !== "publish") continue;
            const { epoch, messageId } = effect.value.slot!;
            expect(messageId).toBeLessThan(limit);
            const name = `${epoch}/${messageId}`;
            if (released.has(name)) throw new Error(`slot ${name} was released twice`);
            released.add(name);
            underway.push(effect.value.publishId);
          }
        };
        const feed = (input: Parameters<Machine["step"]>[1]): void => release(machine.step(nowMs, input).effects);
        feed({ case: "start", value: {} });
        const account = machine.call(nowMs, { case: "createAccount", value: {} }, "account");
        const accept = { accountId: account.accountId, link, content: text("hello") };
        const effects: Effect[] = [];
        const { conversation } = machine.call(nowMs, { case: "acceptInvite", value: accept }, "sentMessage", effects);
        release(effects);
        const { conversationId } = conversation!;
        const send = { case: "sendMessage" as const, value: { conversationId, content: text("x") } };
        for (const { what, jumpMs } of steps) {
          nowMs = Math.max(start - 1000 * HOUR, nowMs + jumpMs);
          if (what === "send") feed(send);
          else if (what === "wake") feed({ case: "wake", value: {} });
          else if (what === "offline") feed({ case: "connectionChanged", value: { online: true } });
          else if (what === "taken" || what === "refused") {
            const publishId = underway.shift();
            if (publishId) feed({ case: "publishResult", value: { publishId, ok: what === "taken" } });
          } else if (what === "refuse commit") {
            machine.prepare(nowMs, send);
            machine.core.commitFailed();
          } else {
            if (what === "crash") machine.prepare(nowMs, send);
            machine.restart();
            underway.length = 0;
            feed({ case: "start", value: {} });
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("S1 through copies of the database that are put back in any order, and accepted", () => {
    const start = Date.UTC(2026, 0, 1);
    const other = new Machine("bob", nodeCrypto, { clusterId: 42 });
    const { accountId: otherId } = other.call(start, { case: "createAccount", value: {} }, "account");
    const invite = { accountId: otherId, validForMs: BigInt(365 * 24 * HOUR) };
    const newLink = (): string => other.call(start, { case: "createInvite", value: invite }, "invite").link;
    const links = Array.from({ length: 40 }, newLink);
    const move = fc.constantFrom("copy", "publish", "next epoch", "the first", "the last");
    fc.assert(
      fc.property(fc.array(move, { minLength: 10, maxLength: links.length }), (moves) => {
        const machine = new Machine("alice", nodeCrypto, { clusterId: 42, ...limited(60, 4) });
        let nowMs = start;
        const released = new Set<string>();
        const release = (effects: readonly Effect[]): void => {
          for (const { effect } of effects) {
            if (effect.case !== "publish") continue;
            const name = `${effect.value.slot!.epoch}/${effect.value.slot!.messageId}`;
            if (released.has(name)) throw new Error(`slot ${name} was released twice`);
            released.add(name);
          }
        };
        /** As a host does: if it is refused, the user accepts. */
        const open = (): void => {
          const { seenGeneration } = machine;
          machine.restart();
          const isOld = machine.answer(machine.core.open()).generation < seenGeneration;
          const outcome = machine.step(nowMs, { case: "start", value: { seenGeneration } });
          expect(outcome.reply !== undefined).toBe(isOld);
          release(outcome.effects);
          if (!isOld) return;
          release(machine.step(nowMs, { case: "start", value: { rolledBack: true, seenGeneration } }).effects);
        };
        open();
        const { accountId } = machine.call(nowMs, { case: "createAccount", value: {} }, "account");
        const first = machine.disk.copy();
        let last = first;
        for (const [i, what] of moves.entries()) {
          if (what === "copy") last = machine.disk.copy();
          else if (what === "next epoch") nowMs += MINUTE;
          else if (what === "publish") {
            const value = { accountId, link: links[i]!, content: text("hello") };
            release(machine.step(nowMs, { case: "acceptInvite", value }).effects);
          } else {
            machine.disk = (what === "the first" ? first : last).copy();
            open();
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  const slotsOf = (world: World, name: string): string[] =>
    world.published.flatMap(({ from, slot }) => (from === name && slot ? [`${slot.epoch}/${slot.messageId}`] : []));

  test("S1 when the length of the epochs is changed and changed back", () => {
    const world = new World(13);
    const { alice, conversationId } = pair(world, limited(600, 20), nodeCrypto);
    for (let i = 0; i < 5; i++) alice.send(conversationId, `${i}`);
    world.run(SECOND);
    for (const epochSeconds of [60, 600]) {
      alice.machine.config.rateLimit = { epochSeconds, messagesPerEpoch: 20 };
      world.switchOff(alice.machine);
      world.switchOn(alice.machine);
      world.run(SECOND);
      for (let i = 0; i < 5; i++) alice.send(conversationId, `${i}`);
      world.run(SECOND);
    }
    const slots = slotsOf(world, "alice");
    expect(slots.length).toBe(16);
    expect(new Set(slots).size).toBe(slots.length);
  });

  test("S1 when an old copy from before there was a limit is accepted", () => {
    const world = new World(15);
    const { alice, conversationId } = pair(world, { rateLimit: undefined }, nodeCrypto);
    const backup = alice.machine.disk.copy();
    alice.machine.config.rateLimit = { epochSeconds: 600, messagesPerEpoch: 20 };
    world.switchOff(alice.machine);
    world.switchOn(alice.machine);
    for (let i = 0; i < 5; i++) alice.send(conversationId, `${i}`);
    world.run(SECOND);
    world.switchOff(alice.machine);
    alice.machine.disk = backup;
    world.switchOn(alice.machine, true);
    const bob = new Person(world, "bob 2", limited(600, 100), nodeCrypto);
    alice.accept(bob.invite());
    world.run(20 * MINUTE);
    const slots = slotsOf(world, "alice");
    expect(slots.length).toBeGreaterThan(5);
    expect(new Set(slots).size).toBe(slots.length);
    expect(bob.texts.length).toBe(1);
  });

  test("S1 when an old copy is accepted while the limit is off", () => {
    const world = new World(14);
    const { alice, conversationId } = pair(world, limited(600, 20), nodeCrypto);
    const backup = alice.machine.disk.copy();
    for (let i = 0; i < 5; i++) alice.send(conversationId, `${i}`);
    world.run(SECOND);
    world.switchOff(alice.machine);
    alice.machine.disk = backup;
    const { rateLimit } = alice.machine.config;
    delete alice.machine.config.rateLimit;
    world.switchOn(alice.machine, true);
    world.run(SECOND);
    world.switchOff(alice.machine);
    alice.machine.config.rateLimit = rateLimit!;
    world.switchOn(alice.machine);
    const bob = new Person(world, "bob 2", limited(600, 100), nodeCrypto);
    alice.accept(bob.invite());
    world.run(20 * MINUTE);
    expect(bob.texts).toEqual(["hello"]);
    const slots = slotsOf(world, "alice");
    expect(new Set(slots).size).toBe(slots.length);
  });

  test("S1 an old copy of the database publishes nothing more in the epoch it may have published in", () => {
    const world = new World(11);
    const { alice, conversationId } = pair(world, limited(600, 100), nodeCrypto);
    const backup = alice.machine.disk.copy();
    for (let i = 0; i < 20; i++) alice.send(conversationId, `${i}`);
    world.switchOff(alice.machine);
    alice.machine.disk = backup;
    const mark = world.published.length;
    world.switchOn(alice.machine, true);
    expect(alice.call({ case: "getQuota", value: {} }, "quota")).toMatchObject({ remaining: 0, limit: 100 });
    world.run(10 * MINUTE);
    const bob = new Person(world, "bob 2", limited(600, 100), nodeCrypto);
    alice.accept(bob.invite());
    world.run(20 * MINUTE);
    expect(bob.texts).toEqual(["hello"]);
    expect(world.published.slice(mark).some(({ from }) => from === "alice")).toBe(true);
    audit(world.published, 600, 100);
  });

  test("S1 when an old copy is accepted and the newest is put back: it is the old one now, and publishes nothing", () => {
    const world = new World(16);
    const { alice, bob, conversationId } = pair(world, limited(600, 100), nodeCrypto);
    const { machine } = alice;
    const backup = machine.disk.copy();
    for (let i = 0; i < 20; i++) alice.send(conversationId, `${i}`);
    world.run(SECOND);
    world.switchOff(machine);
    const newest = machine.disk;
    machine.disk = backup;
    world.switchOn(machine, true);
    world.run(10 * MINUTE);
    const mark = world.published.length;
    const inEpoch = (publications: readonly Publication[]): string[] =>
      publications.flatMap(({ from, slot }) => (from === "alice" && slot ? [`${slot.epoch}`] : []));
    alice.accept(bob.invite(), "from the old copy");
    world.run(SECOND);
    expect(inEpoch(world.published.slice(mark)).length).toBeGreaterThan(0);
    // Within the same epoch.
    world.switchOff(machine);
    machine.disk = newest;
    machine.restart();
    const { seenGeneration } = machine;
    const refused = machine.prepare(world.nowMs, { case: "start", value: { seenGeneration } });
    expect(refused).toMatchObject({ changes: [], effects: [] });
    expect(refused.reply?.reply).toMatchObject({ case: "failure", value: { code: ErrorCode.STATE_ROLLED_BACK } });
    // Accepted in its turn, it leaves the slots of this epoch alone.
    world.switchOn(machine, true);
    const carol = new Person(world, "carol", limited(600, 100), nodeCrypto);
    alice.accept(carol.invite());
    world.run(20 * MINUTE);
    expect(carol.texts).toEqual(["hello"]);
    audit(world.published, 600, 100);
  });
});

describe("settings", () => {
  test("S1 without a limit nothing is counted, and no publication has a slot", () => {
    const world = new World(12);
    const { alice } = pair(world, {}, nodeCrypto);
    expect(alice.call({ case: "getQuota", value: {} }, "quota")).toMatchObject({ limited: false });
    expect(world.published.every(({ slot }) => slot === undefined)).toBe(true);
    expect(alice.machine.disk.keysUnder("rate")).toEqual([]);
  });

  test.each([
    [{ epochSeconds: 86_401 }, "config.rate_limit.epoch_seconds"],
    [{ messagesPerEpoch: 65_536 }, "config.rate_limit.messages_per_epoch"],
  ])("S1 a limit out of range is refused, and the field named (%o)", (rateLimit, field) => {
    expect(() => new Machine("x", nodeCrypto, { clusterId: 42, rateLimit })).toThrow(
      expect.objectContaining({ code: ErrorCode.INVALID_ARGUMENT, message: expect.stringContaining(field) }),
    );
  });

  test("S1 with another length of epochs counting begins anew", () => {
    const world = new World(13);
    const { alice, bob, conversationId } = pair(world, limited(60, 4), nodeCrypto);
    for (let i = 0; i < 9; i++) alice.send(conversationId, `${i}`);
    alice.machine.config.rateLimit = { epochSeconds: 600, messagesPerEpoch: 100 };
    world.switchOff(alice.machine);
    world.switchOn(alice.machine);
    world.run(2 * MINUTE);
    expect(bob.texts.length).toBe(10);
  });
});
