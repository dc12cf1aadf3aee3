import type { QueryHistory } from "@chatsdk/abi/host_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import type { InputValue } from "../src/machine.ts";
import { pair, Person } from "../src/people.ts";
import { CALM, type Fault, World } from "../src/world.ts";

/** Which queries leave out what was pushed, and that nothing is lost by it. */

const MINUTE = 60_000;

/** The queries of a person from now on. */
function queriesOf(person: Person): QueryHistory[] {
  const queries: QueryHistory[] = [];
  person.machine.watch = ({ effects }) => {
    for (const { effect } of effects) if (effect.case === "queryHistory") queries.push(effect.value);
  };
  return queries;
}

function talking() {
  const world = new World(5);
  const people = pair(world, {}, nodeCrypto);
  world.run(11 * MINUTE);
  return { world, ...people };
}

/** The next envelope that reaches a person is taken by a step that comes to nothing. */
function loseNextPush(world: World, person: Person, how: "its commit is refused" | "its read fails"): void {
  if (how === "its commit is refused") {
    world.fault = (machine, { case: input }) => {
      if (machine !== person.machine || input !== "envelopeReceived") return undefined;
      world.fault = () => undefined;
      return "commit refused";
    };
    return;
  }
  const { machine } = person;
  const prepare = machine.prepare.bind(machine);
  machine.prepare = (nowMs, input, ...rest) => {
    if (input.case !== "envelopeReceived") return prepare(nowMs, input, ...rest);
    machine.prepare = prepare;
    const { disk } = machine;
    machine.disk = disk.copy();
    machine.disk.answer = () => {
      throw new Error("the disk cannot be read");
    };
    try {
      return prepare(nowMs, input, ...rest);
    } catch {
      // What a host does: it logs it, and goes on.
      machine.core.commitFailed();
      machine.disk = disk;
      return prepare(nowMs, { case: "connectionChanged", value: { online: false } });
    }
  };
}

describe("P1 a query every five minutes", () => {
  test("leaves out what was pushed, once all has been read", () => {
    const world = new World(5);
    const { bob } = pair(world, {}, nodeCrypto);
    const queries = queriesOf(bob);
    world.run(31 * MINUTE);
    expect(queries.length).toBeGreaterThanOrEqual(6);
    expect(queries.slice(1).every(({ missedOnly }) => missedOnly)).toBe(true);
  });

  test("asks for all first in a new process, and until a whole answer has come", () => {
    const { world, bob } = talking();
    const queries = queriesOf(bob);
    const { fault } = world;
    world.fault = (machine, { case: input }) =>
      machine === bob.machine && input === "historyPage" ? "commit refused" : undefined;
    world.switchOff(bob.machine);
    world.switchOn(bob.machine);
    world.run(11 * MINUTE);
    world.fault = fault;
    expect(queries.length).toBeGreaterThanOrEqual(2);
    world.run(11 * MINUTE);
    const all = queries.filter(({ missedOnly }) => !missedOnly).length;
    expect(all).toBeGreaterThanOrEqual(3);
    expect(queries.slice(0, all).every(({ missedOnly }) => !missedOnly)).toBe(true);
    expect(queries.slice(all).every(({ missedOnly }) => missedOnly)).toBe(true);
    expect(queries.length).toBeGreaterThan(all);
  });
});

describe("R1 a query that fails", () => {
  /** The next answer of a store fails, or all answers to queries for what was missed. */
  function failQueries(
    person: Person,
    which: "the next" | "without what was pushed",
    queries: readonly QueryHistory[],
  ): void {
    const { machine } = person;
    const prepare = machine.prepare.bind(machine);
    machine.prepare = (nowMs, input, ...rest) => {
      if (input.case !== "historyPage") return prepare(nowMs, input, ...rest);
      if (which === "the next") machine.prepare = prepare;
      else if (!queries.at(-1)!.missedOnly) return prepare(nowMs, input, ...rest);
      return prepare(nowMs, { case: "historyPage", value: { queryId: queries.at(-1)!.queryId, failed: true } });
    };
  }

  test("is followed by one that asks for all, since perhaps no node can leave out what was pushed", () => {
    const { world, alice, bob, conversationId } = talking();
    const queries = queriesOf(bob);
    failQueries(bob, "without what was pushed", queries);
    world.weather = { ...CALM, loss: 1 };
    alice.send(conversationId, "missed");
    world.run(500);
    world.weather = CALM;
    world.switchOff(alice.machine);
    world.run(6 * MINUTE);
    expect(queries.map(({ missedOnly }) => missedOnly).slice(0, 2)).toEqual([true, false]);
    expect(bob.texts).toContain("missed");
  });

  test("is followed by one from as early a time", () => {
    const { world, alice, bob } = talking();
    const queries = queriesOf(bob);
    world.censor = () => true;
    const conversationId = alice.accept(bob.invite(), "late");
    const { topic, payload } = world.published.at(-1)!;
    world.run(500);
    world.censor = () => false;
    alice.send(conversationId, "not awaited");
    world.run(500);
    world.switchOff(alice.machine);
    world.run(11 * MINUTE);
    failQueries(bob, "the next", queries);
    world.feed(bob.machine, { case: "envelopeReceived", value: { topic, payload } });
    world.run(MINUTE);
    expect(bob.texts.slice(-2)).toEqual(["late", "not awaited"]);
  });
});

describe("F4 nothing is lost that was pushed and", () => {
  test.each(["its commit is refused", "its read fails"] as const)("%s: the next query asks for all", (how) => {
    const { world, alice, bob, conversationId } = talking();
    const queries = queriesOf(bob);
    loseNextPush(world, bob, how);
    alice.send(conversationId, "lost in the process");
    world.run(500);
    expect(bob.texts).not.toContain("lost in the process");
    // She does not send it again.
    world.switchOff(alice.machine);
    world.run(6 * MINUTE);
    expect(queries[0]?.missedOnly).toBe(false);
    expect(bob.texts).toContain("lost in the process");
    world.run(11 * MINUTE);
    expect(queries.at(-1)?.missedOnly).toBe(true);
  });

  test("was not awaited when it came: the set-up before it had been missed", () => {
    const { world, alice, bob } = talking();
    world.weather = { ...CALM, loss: 1 };
    const link = bob.invite();
    const conversationId = alice.accept(link, "missed");
    world.run(500);
    world.weather = CALM;
    alice.send(conversationId, "not awaited");
    world.run(500);
    world.switchOff(alice.machine);
    expect(world.run(6 * MINUTE, () => bob.texts.includes("not awaited"))).toBe(true);
    expect(bob.texts.slice(-2)).toEqual(["missed", "not awaited"]);
  });

  test("was too far ahead when it came: what the subscription had missed before it leads to a query for all", () => {
    const { world, alice, bob, conversationId } = talking();
    const queries = queriesOf(bob);
    alice.send(conversationId, "first of a chain");
    world.run(5000);
    const texts = Array.from({ length: 45 }, (_, i) => `${i}`);
    world.weather = { ...CALM, loss: 1 };
    for (const text of texts.slice(0, 40)) alice.send(conversationId, text);
    world.run(500);
    world.weather = CALM;
    for (const text of texts.slice(40)) alice.send(conversationId, text);
    world.run(500);
    // Nothing tells that there is a gap, and she does not send it again.
    expect(bob.texts.at(-1)).toBe("first of a chain");
    expect(queries).toEqual([]);
    world.switchOff(alice.machine);
    world.run(6 * MINUTE);
    expect(queries.map(({ missedOnly }) => missedOnly).slice(0, 2)).toEqual([true, false]);
    expect(bob.texts.slice(-45)).toEqual(texts);
  });
});

describe("R1 messages that overtook their set-up are fetched from the store", () => {
  /** The set-up comes late, and the process has no memory of the messages that were pushed before it. */
  function late() {
    const world = new World(5);
    const alice = new Person(world, "alice", {}, nodeCrypto);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const link = bob.invite();
    world.run(MINUTE);
    let setUp: { topic: string; payload: Uint8Array } | undefined;
    world.censor = ({ publishId, topic, payload, from }) => {
      if (from !== "alice" || publishId.split("/")[2] !== "1") return false;
      setUp = { topic, payload };
      return true;
    };
    const conversationId = alice.accept(link, "1");
    for (let i = 2; i <= 5; i++) alice.send(conversationId, `${i}`);
    world.run(1000);
    world.switchOff(alice.machine);
    world.run(20 * MINUTE);
    world.switchOff(bob.machine);
    return { world, bob, setUp: setUp! };
  }

  function lateAndReadOn() {
    const { world, bob, setUp } = late();
    world.switchOn(bob.machine);
    world.run(21 * MINUTE);
    expect(bob.texts).toEqual([]);
    return { world, bob, setUp };
  }

  /** The next input of this kind comes to a bad end. */
  function failNext(world: World, person: Person, kind: InputValue["case"], fault: Fault): void {
    world.fault = (machine, { case: input }) => {
      if (machine !== person.machine || input !== kind) return undefined;
      world.fault = () => undefined;
      return fault;
    };
  }

  function expectAllFound(world: World, bob: Person): void {
    world.run(60 * MINUTE);
    expect(bob.texts).toEqual(["1", "2", "3", "4", "5"]);
  }

  test("when nothing fails", () => {
    const { world, bob, setUp } = lateAndReadOn();
    world.feed(bob.machine, { case: "envelopeReceived", value: setUp });
    expectAllFound(world, bob);
  });

  test("when the process ends before the store has answered", () => {
    const { world, bob, setUp } = lateAndReadOn();
    world.feed(bob.machine, { case: "envelopeReceived", value: setUp });
    world.switchOff(bob.machine);
    world.run(1000);
    world.switchOn(bob.machine);
    expectAllFound(world, bob);
  });

  test("when the commit of the answer's last page fails", () => {
    const { world, bob, setUp } = lateAndReadOn();
    world.feed(bob.machine, { case: "envelopeReceived", value: setUp });
    failNext(world, bob, "historyPage", "commit refused");
    expectAllFound(world, bob);
  });

  test("when any commit fails while an earlier query is under way", () => {
    const { world, bob, setUp } = lateAndReadOn();
    world.feed(bob.machine, { case: "connectionChanged", value: { online: true } });
    world.feed(bob.machine, { case: "envelopeReceived", value: setUp });
    failNext(world, bob, "createInvite", "commit refused");
    world.feed(bob.machine, { case: "createInvite", value: { accountId: bob.accountId } });
    expectAllFound(world, bob);
  });

  test("when the process ends after the query that brought them before the set-up", () => {
    const { world, bob, setUp } = late();
    world.inject(setUp.topic, setUp.payload);
    failNext(world, bob, "historyPage", "after the commit");
    world.switchOn(bob.machine);
    expectAllFound(world, bob);
  });
});
