import type { ConfigSchema } from "@chatsdk/abi/host_pb";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import { AccountRecordSchema } from "@chatsdk/abi/records_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto as crypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { conversationRecord, Eavesdropper, KeySearch, openedRecords } from "../src/attack.ts";
import type { Machine } from "../src/machine.ts";
import { pair, Person } from "../src/people.ts";
import { World } from "../src/world.ts";

const HOUR = 3600_000;
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
