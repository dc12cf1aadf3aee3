import { DeliveryStatus, FailureReason, SessionState } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { lowerSuite } from "../src/adversary.ts";
import { reported } from "../src/chatter.ts";
import type { Disk } from "../src/disk.ts";
import { keyReuse } from "../src/ledger.ts";
import type { InputValue } from "../src/machine.ts";
import { pair, Person, text } from "../src/people.ts";
import { CALM, World } from "../src/world.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const failsWith = (code: ErrorCode) => expect.objectContaining({ code });

function talked(world = new World(61)) {
  const people = pair(world, {}, nodeCrypto);
  const { alice, bob, conversationId } = people;
  bob.send(conversationId, "hello alice");
  world.run(5 * MINUTE);
  world.acknowledge(alice.machine);
  return { world, ...people, id: conversationId, backup: alice.machine.disk.copy() };
}

/** The machine starts from an old disk, and knows it. */
function restore(person: Person, backup: Disk): void {
  const { world, machine } = person;
  world.switchOff(machine);
  machine.disk = backup.copy();
  machine.events.length = 0;
  world.switchOn(machine, true);
}

function states(person: Person): SessionState[] {
  return person.eventsOf("sessionStateChanged").map(({ sessionState }) => sessionState);
}

function rowOf(person: Person, id: string) {
  return person.machine.disk.conversations.get(id)!;
}

const repair = (person: Person, conversationId: string) =>
  person.call({ case: "repairConversation", value: { conversationId } }, "done");
const consent = (person: Person, conversationId: string) =>
  person.call({ case: "acceptRepair", value: { conversationId } }, "done");

function converse(one: Person, other: Person, id: string): void {
  const { world } = one;
  for (let i = 0; i < 4; i++) {
    const [from, to] = i % 2 ? [one, other] : [other, one];
    const sent = from.send(id, `again ${i}`);
    world.run(3 * MINUTE);
    expect(to.texts.at(-1)).toBe(`again ${i}`);
    expect(from.withStatus(DeliveryStatus.DELIVERED)).toContain(sent);
  }
}

describe("a machine that starts from an old copy of its database", () => {
  test("F3 has lost all sessions, says so, and encrypts nothing under an old key", () => {
    const { world, alice, bob, id, backup } = talked();
    alice.send(id, "after the backup");
    bob.send(id, "answer after the backup");
    world.run(MINUTE);
    const mark = world.published.length;
    restore(alice, backup);
    expect(states(alice)).toEqual([SessionState.LOST]);
    expect(rowOf(alice, id).sessionState).toBe(SessionState.LOST);
    expect(() => alice.send(id, "no")).toThrow(failsWith(ErrorCode.SESSION_LOST));
    expect(() => alice.call({ case: "acceptRepair", value: { conversationId: id } }, "done")).toThrow(
      failsWith(ErrorCode.NO_REPAIR_PENDING),
    );
    bob.send(id, "are you there?");
    world.run(DAY);
    expect(world.published.slice(mark).filter(({ from }) => from === "alice")).toEqual([]);
    expect(alice.texts).toEqual([]);
    expect(keyReuse(world)).toEqual([]);
    const { records, tags } = alice.machine.disk;
    expect([...records.keys()].filter((key) => key.startsWith("out/"))).toEqual([]);
    expect([...tags.values()].filter((key) => key.startsWith("conv/"))).toEqual([]);
  });

  test("F7 once accepted goes on above everything seen, and what the anchor was not told of: the newest copy is an old one", () => {
    const { alice, id, backup } = talked();
    const { machine, world } = alice;
    for (let i = 0; i < 20; i++) alice.send(id, `${i}`);
    const newest = machine.disk.copy();
    // Of the last commits the anchor was not told.
    machine.seenGeneration -= 10n;
    restore(alice, backup);
    expect(machine.disk.size("generation")).toBeGreaterThan(0);
    const accepted = machine.disk.copy();
    // The process ends before the anchor is written.
    for (const seenGeneration of [machine.core.generation, machine.core.generation + 100n]) {
      machine.disk = newest.copy();
      machine.restart();
      const before = machine.disk.fingerprint();
      const outcome = machine.prepare(world.nowMs, { case: "start", value: { seenGeneration } });
      expect(outcome).toMatchObject({ changes: [], effects: [], events: [] });
      expect(outcome.reply?.reply).toMatchObject({ case: "failure", value: { code: ErrorCode.STATE_ROLLED_BACK } });
      expect(machine.disk.fingerprint()).toBe(before);
    }
    machine.disk = accepted;
    machine.restart();
    world.start(machine);
    expect(rowOf(alice, id).sessionState).toBe(SessionState.LOST);
    const again = machine.core.generation;
    // Another old copy is accepted: it leaves the first one behind.
    restore(alice, backup);
    expect(machine.core.generation).toBeGreaterThan(again);
  });

  test("F7 asks again if the commit that accepts it fails or the process ends before, and nothing has left", () => {
    const { alice, id, backup } = talked();
    const { machine, world } = alice;
    alice.send(id, "after the backup");
    const seenGeneration = machine.seenGeneration;
    machine.disk = backup.copy();
    machine.restart();
    const own = machine.answer(machine.core.open()).generation;
    expect(own).toBeLessThan(seenGeneration);
    const accept = { case: "start" as const, value: { rolledBack: true, seenGeneration } };
    expect(machine.prepare(world.nowMs, accept).changes.length).toBeGreaterThan(0);
    expect(machine.core.generation).toBeGreaterThan(seenGeneration + 1_000_000n);
    machine.core.commitFailed();
    expect(machine.core.generation).toBe(own);
    machine.restart();
    const { reply } = machine.prepare(world.nowMs, { case: "start", value: { seenGeneration } });
    expect(reply?.reply).toMatchObject({ case: "failure", value: { code: ErrorCode.STATE_ROLLED_BACK } });
  });

  test("F7 has a number left above any database's; an anchor beyond that is refused", () => {
    const { alice, backup } = talked();
    const { machine, world } = alice;
    for (const seenGeneration of [2n ** 63n - 2n ** 32n - 1n, 2n ** 63n - 2n ** 32n, 2n ** 64n - 1n]) {
      machine.disk = backup.copy();
      machine.restart();
      const { reply, changes } = machine.prepare(world.nowMs, {
        case: "start",
        value: { rolledBack: true, seenGeneration },
      });
      if (seenGeneration === 2n ** 63n - 2n ** 32n - 1n) expect(changes.length).toBeGreaterThan(0);
      else {
        expect(changes).toEqual([]);
        expect(reply?.reply).toMatchObject({ case: "failure", value: { code: ErrorCode.INVALID_ARGUMENT } });
      }
    }
  });

  test("F3 not accepted, serves nothing, whatever a host asks of it", () => {
    const { world, alice, id, backup } = talked();
    alice.send(id, "newer than the copy");
    world.run(1000);
    const { machine } = alice;
    const { seenGeneration } = machine;
    machine.disk = backup;
    machine.restart();
    const inputs: InputValue[] = [
      { case: "start", value: { seenGeneration } },
      { case: "sendMessage", value: { conversationId: id, content: text("under an old key") } },
      { case: "wake", value: {} },
    ];
    for (const input of inputs) {
      const { reply, effects, changes } = machine.prepare(world.nowMs, input);
      expect(reply?.reply).toMatchObject({ case: "failure", value: { code: ErrorCode.STATE_ROLLED_BACK } });
      expect([effects, changes]).toEqual([[], []]);
    }
  });

  test("F3 fails what was waiting in the old copy, and keeps the history", () => {
    const world = new World(62);
    const { alice, bob, conversationId: id } = pair(world, {}, nodeCrypto);
    bob.send(id, "hello alice");
    world.run(MINUTE);
    world.weather = { ...CALM, loss: 1, store: false };
    const waiting = alice.send(id, "waiting");
    world.acknowledge(alice.machine);
    const backup = alice.machine.disk.copy();
    world.run(MINUTE);
    restore(alice, backup);
    expect(alice.eventsOf("messageStatusChanged")).toEqual([
      expect.objectContaining({
        messageId: waiting,
        status: DeliveryStatus.FAILED,
        failureReason: FailureReason.SESSION_REPLACED,
      }),
    ]);
    expect(alice.rows(id).map(({ text }) => text)).toEqual(["hello", "hello alice", "waiting"]);
  });

  test("F3 does not take set-ups again that it took before in a time it does not remember", () => {
    const world = new World(63);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const [once, often] = [bob.invite(), bob.invite(true)];
    const backup = bob.machine.disk.copy();
    const alice = new Person(world, "alice", {}, nodeCrypto);
    const carol = new Person(world, "carol", {}, nodeCrypto);
    alice.accept(once, "first");
    const withCarol = carol.accept(often, "first");
    world.run(MINUTE);
    bob.send(withCarol, "answer");
    world.run(MINUTE);
    restore(bob, backup);
    // The store still has both set-ups.
    world.run(DAY);
    expect(bob.machine.disk.conversations.size).toBe(0);
    expect(keyReuse(world)).toEqual([]);
  });

  test("F3 shows what it held behind a gap, and names what it will never get", () => {
    const world = new World(64);
    const { alice, bob, conversationId: id } = pair(world, { gapDelayMs: 1e9, ackDelayMs: 1e9 }, nodeCrypto);
    world.weather = { ...CALM, store: false };
    world.censor = ({ from, publishId }) => from === "bob" && publishId.split("/")[2] === "1";
    const lost = bob.send(id, "lost");
    bob.send(id, "held");
    world.run(1000);
    expect(alice.texts).toEqual([]);
    restore(alice, alice.machine.disk);
    expect(alice.texts).toEqual(["held"]);
    expect(reported(alice, "messagesLost")).toEqual([lost]);
  });
});

describe("repair, by consent of both", () => {
  test("F3 the one who lost the keys asks, the peer agrees: verification is taken back, the history stays", () => {
    const { world, alice, bob, id, backup } = talked();
    bob.call({ case: "setVerified", value: { conversationId: id, verified: true } }, "done");
    alice.send(id, "after the backup");
    world.run(MINUTE);
    restore(alice, backup);
    const unread = bob.send(id, "sent into the void");
    repair(alice, id);
    expect(states(alice)).toEqual([SessionState.LOST, SessionState.REPAIR_SENT]);
    expect(() => alice.send(id, "not yet")).toThrow(failsWith(ErrorCode.SESSION_LOST));
    world.run(10 * MINUTE);
    expect(states(bob).at(-1)).toBe(SessionState.REPAIR_REQUESTED);
    expect(rowOf(bob, id).verified).toBe(true);
    consent(bob, id);
    expect(rowOf(bob, id).verified).toBe(false);
    expect(rowOf(alice, id).verified).toBe(false);
    world.run(MINUTE);
    expect(states(alice).at(-1)).toBe(SessionState.ESTABLISHED);
    expect(states(bob).at(-1)).toBe(SessionState.ESTABLISHED);
    const failed = bob.eventsOf("messageStatusChanged").filter(({ status }) => status === DeliveryStatus.FAILED);
    expect(failed.map(({ messageId }) => messageId)).toEqual([unread]);
    converse(alice, bob, id);
    expect(bob.rows(id).map(({ text }) => text)).toEqual(
      expect.arrayContaining(["hello", "after the backup", "again 3"]),
    );
    expect(alice.rows(id).map(({ text }) => text)).toEqual(expect.arrayContaining(["hello", "hello alice", "again 3"]));
    expect(keyReuse(world)).toEqual([]);
  });

  test("F3 the peer may ask as well, and a second repair works after the first", () => {
    const { world, alice, bob, id } = talked();
    repair(bob, id);
    world.run(MINUTE);
    consent(alice, id);
    world.run(MINUTE);
    converse(alice, bob, id);
    world.run(2 * DAY);
    repair(alice, id);
    world.run(MINUTE);
    consent(bob, id);
    world.run(MINUTE);
    converse(bob, alice, id);
    expect(keyReuse(world)).toEqual([]);
  });

  test("F3 the new session is there at once in the order of messages: the Lamport clock goes on", () => {
    const { world, alice, bob, id } = talked();
    repair(alice, id);
    world.run(MINUTE);
    consent(bob, id);
    world.run(MINUTE);
    converse(alice, bob, id);
    for (const person of [alice, bob]) {
      const texts = person
        .rows(id)
        .toSorted((a, b) => Number(a.lamport - b.lamport))
        .map(({ text }) => text);
      expect(texts).toEqual(["hello", "hello alice", "again 0", "again 1", "again 2", "again 3"]);
    }
  });

  test("F3 the answer to a repair may be lost: it is repeated until it is heard", () => {
    const { world, alice, bob, id } = talked();
    world.weather = { ...CALM, store: false };
    repair(alice, id);
    world.run(MINUTE);
    world.censor = ({ from }) => from === "bob";
    consent(bob, id);
    world.run(20 * MINUTE);
    world.censor = () => false;
    world.run(DAY);
    expect(states(alice).at(-1)).toBe(SessionState.ESTABLISHED);
    converse(alice, bob, id);
    const published = world.published.length;
    world.run(10 * DAY);
    expect(world.published.length).toBe(published);
  });

  test("F3 the request itself may be lost: it is repeated for as long as a message lives", () => {
    const { world, alice, bob, id } = talked();
    world.weather = { ...CALM, store: false };
    world.censor = ({ from }) => from === "alice";
    repair(alice, id);
    world.run(DAY / 2);
    world.censor = () => false;
    world.run(DAY / 2);
    expect(states(bob).at(-1)).toBe(SessionState.REPAIR_REQUESTED);
    const requests = (): number => world.published.filter(({ publishId }) => publishId.startsWith("r/")).length;
    world.run(20 * DAY);
    const before = requests();
    world.run(20 * DAY);
    expect(requests()).toBe(before);
    expect(before).toBeLessThan(60);
  });

  test.each([1, 2, 3, 4])(
    "F3 both may ask at the same time: one gives way, its user agrees, and they talk again (%i)",
    (seed) => {
      const world = new World(seed);
      const names = seed % 2 ? ["alice", "bob"] : ["carol", "dave"];
      const [alice, bob] = names.map((name) => new Person(world, `${name} ${seed}`, {}, nodeCrypto)) as [
        Person,
        Person,
      ];
      const id = alice.accept(bob.invite());
      world.run(MINUTE);
      bob.send(id, "hello");
      world.run(MINUTE);
      if (seed > 2) for (const person of [alice, bob]) restore(person, person.machine.disk);
      repair(alice, id);
      repair(bob, id);
      world.run(10 * MINUTE);
      const asked = [alice, bob].filter((person) => states(person).at(-1) === SessionState.REPAIR_REQUESTED);
      expect(asked.length).toBe(1);
      expect(() => asked[0]!.send(id, "not yet")).toThrow(failsWith(ErrorCode.SESSION_LOST));
      consent(asked[0]!, id);
      world.run(MINUTE);
      converse(alice, bob, id);
      for (const { machine } of [alice, bob]) expect(machine.disk.keysUnder("prekey/").length).toBeLessThanOrEqual(2);
      world.run(2 * DAY);
      repair(asked[0]!, id);
      world.run(MINUTE);
      consent(asked[0] === alice ? bob : alice, id);
      world.run(MINUTE);
      converse(bob, alice, id);
      expect(keyReuse(world)).toEqual([]);
    },
  );

  test("F3 who asked first, was never heard and gave up, does not insist on it", () => {
    const world = new World(1);
    const people = talked(world);
    const { alice, bob, id } = people;
    const identity = (person: Person): string =>
      Buffer.from(person.call({ case: "listAccounts", value: {} }, "accounts").accounts[0]!.identityKey).toString(
        "hex",
      );
    const [greater, smaller] = identity(alice) > identity(bob) ? [alice, bob] : [bob, alice];
    world.censor = ({ publishId, from }) => publishId.startsWith("r/") && from === greater.machine.name;
    repair(greater, id);
    world.run(16 * DAY);
    world.censor = () => false;
    repair(smaller, id);
    world.run(DAY);
    consent(greater, id);
    world.run(MINUTE);
    converse(alice, bob, id);
  });

  test("F3 of two requests the one made last counts, whichever arrives last", () => {
    const world = new World(8);
    const { alice, bob, id } = talked(world);
    const backup = bob.machine.disk.copy();
    world.switchOff(alice.machine);
    for (const waitMs of [2 * DAY, DAY]) {
      restore(bob, backup);
      repair(bob, id);
      world.run(waitMs);
    }
    world.switchOn(alice.machine);
    world.run(MINUTE);
    consent(alice, id);
    world.run(MINUTE);
    converse(alice, bob, id);
  });

  test("F3 a conversation deleted while a repair is under way leaves no key behind", () => {
    const { world, alice, bob, id, backup } = talked();
    restore(alice, backup);
    repair(alice, id);
    world.run(MINUTE);
    for (const person of [alice, bob]) {
      person.call({ case: "deleteConversation", value: { conversationId: id } }, "done");
      const { disk } = person.machine;
      expect([...disk.tags.values()]).toEqual([]);
      expect(disk.keysUnder("conv/")).toEqual([]);
      expect(disk.keysUnder("prekey/").length).toBe(person === bob ? 1 : 0);
    }
    world.run(DAY);
    expect(bob.machine.disk.conversations.size).toBe(0);
  });

  test("F3 asking is limited in time, and nothing happens without consent", () => {
    const { world, alice, bob, id, backup } = talked();
    restore(alice, backup);
    repair(alice, id);
    expect(() => repair(alice, id)).toThrow(failsWith(ErrorCode.REPAIR_TOO_SOON));
    world.run(3 * DAY);
    expect(states(bob).filter((state) => state === SessionState.REPAIR_REQUESTED).length).toBe(1);
    expect(bob.machine.disk.conversations.get(id)!.sessionState).toBe(SessionState.REPAIR_REQUESTED);
    expect(states(alice).at(-1)).toBe(SessionState.REPAIR_SENT);
    expect(() => alice.send(id, "no")).toThrow(failsWith(ErrorCode.SESSION_LOST));
  });
});

describe("a thief with an old backup", () => {
  test("F3 can ask for a repair, which is seen; the old session stays in use, and nothing is shown of the thief's", () => {
    const { world, alice, bob, id, backup } = talked();
    const thief = new Person(world, "thief", {}, nodeCrypto);
    Object.assign(thief, { accountId: alice.accountId, machine: alice.machine.clone("thief", backup) });
    alice.send(id, "really me");
    world.run(MINUTE);
    repair(thief, id);
    world.run(MINUTE);
    expect(states(bob).at(-1)).toBe(SessionState.REPAIR_REQUESTED);
    bob.send(id, "still with alice");
    alice.send(id, "of course");
    world.run(5 * MINUTE);
    expect(alice.texts.at(-1)).toBe("still with alice");
    expect(bob.texts.at(-1)).toBe("of course");
    expect(thief.texts).toEqual([]);
    expect(rowOf(bob, id).sessionState).toBe(SessionState.REPAIR_REQUESTED);
  });

  test("F3 NOT protected: a user who agrees to the thief's repair speaks with the thief, unverified, and Alice is cut off", () => {
    const { world, alice, bob, id, backup } = talked();
    bob.call({ case: "setVerified", value: { conversationId: id, verified: true } }, "done");
    const thief = new Person(world, "thief", {}, nodeCrypto);
    Object.assign(thief, { accountId: alice.accountId, machine: alice.machine.clone("thief", backup) });
    world.start(thief.machine);
    repair(thief, id);
    world.run(MINUTE);
    consent(bob, id);
    world.run(MINUTE);
    expect(rowOf(bob, id).verified).toBe(false);
    bob.send(id, "who are you?");
    world.run(MINUTE);
    expect(thief.texts.at(-1)).toBe("who are you?");
    expect(alice.texts.at(-1)).toBe("hello alice");
  });

  test("F3 cannot weaken the conversation: a repair in a lower suite is refused", () => {
    const { world, alice, bob, id, backup } = talked();
    const thief = new Person(world, "thief", { maximumSuite: 1 }, nodeCrypto);
    Object.assign(thief, { accountId: alice.accountId, machine: alice.machine.clone("thief", backup) });
    lowerSuite(thief.machine, id);
    repair(thief, id);
    world.run(MINUTE);
    expect(world.published.some(({ from, publishId }) => from === "alice" && publishId.startsWith("r/"))).toBe(true);
    expect(states(bob)).not.toContain(SessionState.REPAIR_REQUESTED);
  });
});
