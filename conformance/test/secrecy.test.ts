import type { ConfigSchema } from "@chatsdk/abi/host_pb";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import { AccountRecordSchema } from "@chatsdk/abi/records_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto as crypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { conversationRecord, Eavesdropper, feed, KeySearch, openedRecords } from "../src/attack.ts";
import { censorSequences } from "../src/chatter.ts";
import type { Machine } from "../src/machine.ts";
import { pair, Person } from "../src/people.ts";
import { CALM, World } from "../src/world.ts";

const HOUR = 3600_000;
const DAY = 24 * HOUR;
/** Nothing travels but what a test sends: acknowledgements of their own would be steps of the ratchet. */
const SELDOM = { historyIntervalMs: HOUR };
const QUIET = { ackDelayMs: 100 * HOUR, ackIntervalMs: 100 * HOUR, resendAfterMs: 100 * HOUR, ...SELDOM };
const NO_KEY = { closed: "message: does not verify" };

function quietPair(suite: number, config: MessageInitShape<typeof ConfigSchema> = QUIET) {
  const world = new World();
  const people = pair(world, { minimumSuite: suite, maximumSuite: suite, ...config }, crypto);
  /** Sends a text, lets it arrive, returns its envelope. */
  const say = (person: Person, value: string): Uint8Array => {
    const other = person === people.alice ? people.bob : people.alice;
    const before = world.published.length;
    person.send(people.conversationId, value);
    world.run(1000);
    expect(other.texts.at(-1)).toBe(value);
    expect(world.published.length).toBe(before + 1);
    return world.published.at(-1)!.payload;
  };
  return { world, say, ...people };
}

/** Everything a person has, now. */
function steal(person: Person, conversationId: string) {
  const machine = copyOf(person.machine);
  const { associatedData } = conversationRecord(machine, conversationId).session!;
  return {
    thief: new Eavesdropper(crypto, machine, conversationId),
    search: new KeySearch(crypto, machine),
    opens: (envelope: Uint8Array) => [associatedData, envelope] as const,
  };
}

function copyOf(machine: Machine): Machine {
  return machine.clone("thief");
}

describe.each([1, 2])("F3 suite %i: a thief has a copy of everything, and sees every envelope", (suite) => {
  test("F3 PCS the victim wrote last: its chain and the peer's answer are lost, its next answer heals", () => {
    const { world, say, alice, bob, conversationId } = quietPair(suite);
    say(bob, "an answer");
    say(alice, "one");
    say(bob, "two");
    say(alice, "three");
    const { thief, opens, search } = steal(alice, conversationId);
    expect(search.opensMessage(...opens(say(alice, "the same chain")))).toBe(true);
    expect(thief.read(world.nowMs, say(bob, "the peer's answer"))).toEqual({ text: "the peer's answer" });
    const healing = say(alice, "four");
    const later = [say(bob, "five"), say(alice, "six"), say(bob, "seven")];
    for (const envelope of [healing, ...later]) expect(search.opensMessage(...opens(envelope))).toBe(false);
    expect(thief.read(world.nowMs, later[0]!)).toEqual({ closed: "hint: not awaited" });
    // The header key of the peer's next chain was in the copy, the key of its messages was not.
    thief.guessStep();
    expect(thief.read(world.nowMs, later[0]!)).toEqual(NO_KEY);
    expect(thief.read(world.nowMs, later[2]!)).toEqual({ closed: "hint: not awaited" });
  });

  test("F3 PCS the victim read last: what it writes next is safe at once, and the peer's answer to that", () => {
    const { world, say, alice, bob, conversationId } = quietPair(suite);
    say(bob, "an answer");
    say(alice, "one");
    say(bob, "two");
    const { thief, opens, search } = steal(alice, conversationId);
    expect(thief.read(world.nowMs, say(bob, "the same chain"))).toEqual({ text: "the same chain" });
    const healing = say(alice, "three");
    const answer = say(bob, "four");
    for (const envelope of [healing, answer]) expect(search.opensMessage(...opens(envelope))).toBe(false);
    thief.guessStep();
    expect(thief.read(world.nowMs, answer)).toEqual(NO_KEY);
    for (let i = 0; i < 5; i++) {
      say(alice, `a${i}`);
      expect(thief.read(world.nowMs, say(bob, `b${i}`)).text).toBeUndefined();
    }
  });

  test("F3 PCS stolen from the initiator before the answer: the answer is lost, what follows it is not", () => {
    const { world, say, alice, bob, conversationId } = quietPair(suite);
    const { thief, opens, search } = steal(alice, conversationId);
    expect(search.opensMessage(...opens(say(alice, "the same chain")))).toBe(true);
    expect(thief.read(world.nowMs, say(bob, "the answer"))).toEqual({ text: "the answer" });
    const healing = say(alice, "one");
    const answer = say(bob, "two");
    for (const envelope of [healing, answer]) expect(search.opensMessage(...opens(envelope))).toBe(false);
    thief.guessStep();
    expect(thief.read(world.nowMs, answer)).toEqual(NO_KEY);
  });

  test("F3 PCS stolen from the responder before its answer: only the initiator's first chain is lost", () => {
    const { world, say, alice, bob, conversationId } = quietPair(suite);
    const { thief, opens, search } = steal(bob, conversationId);
    expect(thief.read(world.nowMs, say(alice, "the same chain"))).toEqual({ text: "the same chain" });
    const answer = say(bob, "the answer");
    const next = say(alice, "one");
    for (const envelope of [answer, next]) expect(search.opensMessage(...opens(envelope))).toBe(false);
    thief.guessStep();
    expect(thief.read(world.nowMs, next)).toEqual(NO_KEY);
  });

  test("F3 FS nothing that was sent, received and acknowledged before the theft can be opened any more", () => {
    const { world, alice, bob, conversationId } = quietPair(suite, SELDOM);
    const { thief: early } = steal(alice, conversationId);
    const startMs = world.nowMs;
    for (let i = 0; i < 4; i++) {
      const person = i % 2 ? alice : bob;
      person.send(conversationId, `${i}`);
      if (i === 1) person.send(conversationId, "in a row");
      world.run(2 * 60_000);
    }
    for (const { machine } of [alice, bob]) {
      expect(machine.disk.keysUnder("out/")).toEqual([]);
      world.acknowledge(machine);
    }
    const { associatedData } = conversationRecord(bob.machine, conversationId).session!;
    const messages = world.published.filter(({ publishId }) => /^[ms]/.test(publishId)).slice(1);
    expect(messages.length).toBeGreaterThan(6);
    const answer = messages.find(({ atMs, from }) => atMs >= startMs && from === "bob")!;
    expect(early.read(world.nowMs, answer.payload)).toEqual({ text: "0" });
    for (const { machine } of [alice, bob]) {
      const search = new KeySearch(crypto, copyOf(machine));
      for (const { payload } of messages) expect(search.opensMessage(associatedData, payload, 1)).toBe(false);
      const thief = copyOf(machine);
      for (const { payload, from } of world.published) {
        const fed = feed(thief, world.nowMs, payload);
        if (from !== machine.name) expect(fed.untouched).toBe(true);
        expect(fed.texts).toEqual([]);
      }
    }
  });

  test("F3 FS the first message through a single-use link is closed by its acceptance, and the link with it", () => {
    const world = new World();
    const bob = new Person(world, "bob", { maximumSuite: suite, ...SELDOM }, crypto);
    const alice = new Person(world, "alice", { maximumSuite: suite, ...SELDOM }, crypto);
    const link = bob.invite();
    const before = copyOf(bob.machine);
    const conversationId = alice.accept(link, "first");
    const setUp = world.published.at(-1)!.payload;
    const [account] = openedRecords(bob.machine, "account/");
    const responder = { ...fromBinary(AccountRecordSchema, account!.bytes), link };
    world.run(1000);
    // Before: whoever has the prekey reads the message, and so does a machine with the copy.
    expect(new KeySearch(crypto, before).opensSetUp(responder, setUp)).toBe(true);
    expect(feed(before, world.nowMs, setUp).texts).toEqual(["first"]);
    expect(bob.texts).toEqual(["first"]);
    const thief = copyOf(bob.machine);
    const search = new KeySearch(crypto, thief);
    expect(search.opensSetUp(responder, setUp)).toBe(false);
    const { associatedData, receiving } = conversationRecord(thief, conversationId).session!;
    expect(search.opensFirstMessage(associatedData, receiving!.headerKey, setUp)).toBe(false);
    expect(feed(thief, world.nowMs, setUp).untouched).toBe(true);
  });

  test("F3 FS a reusable link: its prekey opens first messages until it expires, and not after", () => {
    const world = new World();
    const bob = new Person(world, "bob", { maximumSuite: suite, ...SELDOM }, crypto);
    const alice = new Person(world, "alice", { maximumSuite: suite, ...SELDOM }, crypto);
    const link = bob.invite(true);
    const conversationId = alice.accept(link, "first");
    const setUp = world.published.at(-1)!.payload;
    const [account] = openedRecords(bob.machine, "account/");
    const responder = { ...fromBinary(AccountRecordSchema, account!.bytes), link };
    world.run(6 * DAY);
    expect(bob.texts).toEqual(["first"]);
    expect(new KeySearch(crypto, bob.machine).opensSetUp(responder, setUp)).toBe(true);
    world.run(DAY + HOUR);
    const search = new KeySearch(crypto, bob.machine);
    expect(search.opensSetUp(responder, setUp)).toBe(false);
    const { associatedData, receiving } = conversationRecord(bob.machine, conversationId).session!;
    expect(search.opensFirstMessage(associatedData, receiving!.headerKey, setUp)).toBe(false);
    expect(bob.machine.disk.keysUnder("prekey/").length).toBe(1);
  });

  test("F3 PCS the stolen identity does not open set-ups with links that are made later", () => {
    const world = new World();
    const bob = new Person(world, "bob", { maximumSuite: suite, ...SELDOM }, crypto);
    const alice = new Person(world, "alice", { maximumSuite: suite, ...SELDOM }, crypto);
    const thief = copyOf(bob.machine);
    const link = bob.invite(true);
    const [account] = openedRecords(bob.machine, "account/");
    const responder = { ...fromBinary(AccountRecordSchema, account!.bytes), link };
    alice.accept(link, "first");
    const setUp = world.published.at(-1)!.payload;
    expect(new KeySearch(crypto, thief).opensSetUp(responder, setUp)).toBe(false);
    expect(new KeySearch(crypto, bob.machine).opensSetUp(responder, setUp)).toBe(true);
  });
});

test("F3 FS the key of a message that has not arrived is kept for seven days, and not longer", () => {
  const { world, say, alice, bob, conversationId } = quietPair(2, { ...QUIET, repairAttempts: 1 });
  world.weather = { ...CALM, store: false };
  say(bob, "an answer");
  world.censor = censorSequences(alice, [3]);
  say(alice, "one");
  alice.send(conversationId, "withheld");
  const withheld = world.published.at(-1)!.payload;
  alice.send(conversationId, "three");
  world.run(1000);
  const { associatedData } = conversationRecord(bob.machine, conversationId).session!;
  const isOpen = (): boolean => new KeySearch(crypto, bob.machine).opensMessage(associatedData, withheld);
  world.run(6 * DAY + 23 * HOUR);
  expect(isOpen()).toBe(true);
  expect(feed(copyOf(bob.machine), world.nowMs, withheld).texts).toEqual(["withheld"]);
  world.run(2 * HOUR);
  expect(isOpen()).toBe(false);
  expect(feed(copyOf(bob.machine), world.nowMs, withheld).untouched).toBe(true);
  expect(conversationRecord(bob.machine, conversationId).session!.skipped).toEqual([]);
});
