import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { pair, type Person } from "../src/people.ts";
import { CALM, World } from "../src/world.ts";

/** R1: a clock that was far ahead and was put right, or that goes back and forth. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Lets a person's core see the clock. */
const look = (person: Person): unknown => person.call({ case: "getQuota", value: {} }, "quota");

function talking() {
  const world = new World(3);
  const people = pair(world, {}, nodeCrypto);
  world.run(5 * MINUTE);
  return { world, ...people };
}

/** Puts the clock back; the process of whoever is named goes on, or starts anew. */
function putBack(world: World, byMs: number, person: Person, anew: boolean): void {
  if (anew) world.switchOff(person.machine);
  world.nowMs -= byMs;
  if (anew) world.switchOn(person.machine);
  else look(person);
}

describe.each([
  ["goes on", false],
  ["starts anew", true],
])("a clock that was 20 days ahead, and a process that %s", (_, anew) => {
  test("F4 what was sent then and was lost is sent again soon", () => {
    const { world, alice, bob, conversationId } = talking();
    world.weather = { ...CALM, store: false };
    world.nowMs += 20 * DAY;
    world.censor = ({ from }) => from === "alice";
    alice.send(conversationId, "lost");
    world.run(500);
    world.censor = () => false;
    putBack(world, 20 * DAY, alice, anew);
    expect(world.run(HOUR, () => bob.texts.includes("lost"))).toBe(true);
  });

  test("F4 what waited behind a gap is shown soon", () => {
    const { world, alice, bob, conversationId } = talking();
    world.weather = { ...CALM, store: false };
    let count = 0;
    world.censor = ({ from }) => from === "alice" && count++ === 0;
    world.nowMs += 20 * DAY;
    alice.send(conversationId, "lost");
    world.run(100);
    alice.send(conversationId, "held back");
    world.run(500);
    world.switchOff(alice.machine);
    putBack(world, 20 * DAY, bob, anew);
    expect(world.run(HOUR, () => bob.texts.includes("held back"))).toBe(true);
  });

  test("F4 a report of what is lacking is heard", () => {
    const { world, alice, bob, conversationId } = talking();
    world.weather = { ...CALM, store: false };
    world.nowMs += 20 * DAY;
    world.censor = ({ from }) => from === "alice";
    for (let i = 0; i < 60; i++) {
      alice.send(conversationId, `${i}`);
      world.run(500);
    }
    world.censor = () => false;
    putBack(world, 20 * DAY, bob, anew);
    putBack(world, 0, alice, anew);
    alice.send(conversationId, "last");
    expect(world.run(30 * MINUTE, () => bob.texts.length === 62)).toBe(true);
  });

  test("R1 the history of the time it was off is asked for", () => {
    const { world, alice, bob, conversationId } = talking();
    world.nowMs += DAY;
    world.run(10 * MINUTE + 1000);
    putBack(world, DAY, bob, anew);
    look(alice);
    world.run(10 * MINUTE);
    world.switchOff(bob.machine);
    alice.send(conversationId, "while off");
    world.switchOff(alice.machine);
    world.run(HOUR);
    world.switchOn(bob.machine);
    expect(world.run(HOUR, () => bob.texts.includes("while off"))).toBe(true);
  });
});

test("R1 a running process whose clock was put back goes on asking for history every five minutes", () => {
  const { world, bob } = talking();
  let asked = 0;
  bob.machine.watch = ({ effects }) => {
    asked += effects.filter(({ effect }) => effect.case === "queryHistory").length;
  };
  world.nowMs += 20 * DAY;
  look(bob);
  world.run(11 * MINUTE);
  world.nowMs -= 20 * DAY;
  look(bob);
  world.run(100);
  asked = 0;
  world.run(HOUR);
  expect(asked).toBeGreaterThanOrEqual(11);
});

describe("a clock that goes 70 seconds ahead and back, over and over", () => {
  function swing(world: World, person: Person, times: number): void {
    for (let i = 0; i < times; i++) {
      for (const by of [70_000, -70_000]) {
        world.nowMs += by;
        look(person);
        world.run(10);
      }
    }
  }

  test("F4 makes no message lost that the peer will send", () => {
    const { world, alice, bob, conversationId } = talking();
    world.weather = { ...CALM, store: false };
    let count = 0;
    world.censor = ({ from }) => from === "bob" || (from === "alice" && count++ === 0);
    alice.send(conversationId, "lost");
    world.run(100);
    alice.send(conversationId, "next");
    world.run(5000);
    swing(world, bob, 10);
    expect(bob.eventsOf("messagesLost")).toEqual([]);
  });

  test("P1 does not send everything again each time", () => {
    const { world, alice, conversationId } = talking();
    world.censor = ({ from }) => from === "alice";
    for (let i = 0; i < 40; i++) alice.send(conversationId, `${i}`);
    world.run(2 * MINUTE);
    const mark = world.published.length;
    swing(world, alice, 20);
    expect(world.published.length - mark).toBeLessThan(20);
  });
});

test("F4 a first resend after half a day is not taken for one that a clock ahead has put off", () => {
  const world = new World(3);
  const { alice, bob, conversationId } = pair(world, { resendAfterMs: 12 * HOUR }, nodeCrypto);
  world.run(5 * MINUTE);
  world.weather = { ...CALM, store: false };
  world.censor = ({ from }) => from === "bob";
  bob.send(conversationId, "lost");
  world.run(5 * MINUTE);
  const mark = world.published.length;
  alice.send(conversationId, "to be acknowledged");
  world.run(10 * MINUTE);
  const again = world.published
    .slice(mark)
    .filter(({ from, publishId }) => from === "bob" && publishId.startsWith("m/"));
  expect(again).toEqual([]);
});
