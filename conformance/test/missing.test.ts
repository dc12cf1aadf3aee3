import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { censorSequences, reported } from "../src/chatter.ts";
import { pair, type Person } from "../src/people.ts";
import { CALM, World } from "../src/world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Alice sends `count` texts, a second apart. Their ids, by sequence (her first message, "hello", has sequence 1). */
function stream(alice: Person, conversationId: string, count: number): string[] {
  const ids = ["", ""];
  for (let i = 2; i < count + 2; i++) {
    ids[i] = alice.send(conversationId, `${i}`);
    alice.world.run(1000);
  }
  return ids;
}

function unstoredPair() {
  const world = new World(11);
  const people = pair(world, {}, nodeCrypto);
  world.weather = { ...CALM, store: false };
  return { world, ...people };
}

describe("messages that never arrive", () => {
  test("R1 are named exactly: reported missing, later lost, once each, and failed at the sender", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    const gone = [5, 6, 17, 30, 31, 32, 33, 60];
    world.censor = censorSequences(alice, gone);
    const ids = stream(alice, conversationId, 80);
    const expected = gone.map((sequence) => ids[sequence]!);
    world.run(10 * MINUTE);
    expect(reported(bob, "messagesMissing")).toEqual(expected);
    world.run(15 * DAY);
    // Even a talkative peer changes nothing any more.
    for (let i = 0; i < 100; i++) {
      (i % 2 ? bob : alice).send(conversationId, `after ${i}`);
      world.run(20_000);
    }
    expect(reported(bob, "messagesMissing")).toEqual(expected);
    expect(reported(bob, "messagesLost").toSorted()).toEqual(expected.toSorted());
    expect(alice.withStatus(DeliveryStatus.FAILED).toSorted()).toEqual(expected.toSorted());
    const arrived = bob.texts.filter((value) => /^\d+$/.test(value)).map(Number);
    expect(arrived).toEqual(Array.from({ length: 80 }, (_, i) => i + 2).filter((i) => !gone.includes(i)));
    expect(new Set(alice.withStatus(DeliveryStatus.DELIVERED)).size).toBe(1 + 80 - gone.length + 50);
  });

  test("R1 a last message that is lost is noticed: its sender asks until the peer answers", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    world.censor = censorSequences(alice, [2]);
    const id = alice.send(conversationId, "the last one");
    world.run(HOUR);
    expect(reported(bob, "messagesMissing")).toEqual([id]);
    world.run(DAY);
    expect(reported(bob, "messagesLost")).toEqual([id]);
    expect(bob.texts).toEqual(["hello"]);
  });

  test("R1 a message taken back before it arrived is named when the conversation goes on", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    world.censor = censorSequences(alice, [2]);
    const messageId = alice.send(conversationId, "never mind");
    alice.call({ case: "cancelMessage", value: { conversationId, messageId } }, "done");
    alice.send(conversationId, "what I meant");
    world.run(HOUR);
    expect(bob.texts).toEqual(["hello", "what I meant"]);
    expect(reported(bob, "messagesLost")).toEqual([messageId]);
    expect(reported(bob, "messagesMissing")).toEqual([]);
  });

  test("R1 a burst of 100 in a row, given up by its sender: the conversation is heard again, and the burst is named", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    const burst = Array.from({ length: 100 }, (_, i) => i + 10);
    world.censor = censorSequences(alice, burst);
    const ids = stream(alice, conversationId, 108);
    const expected = burst.map((sequence) => ids[sequence]!);
    for (const messageId of expected)
      alice.call({ case: "cancelMessage", value: { conversationId, messageId } }, "done");
    // Nothing of the first 100 numbers of the chain will ever arrive: a beacon further on is heard.
    for (let i = 0; i < 70; i++) alice.send(conversationId, `after ${i}`);
    world.run(HOUR);
    bob.send(conversationId, "yes");
    world.run(HOUR);
    const after = bob.texts.filter((value) => value.startsWith("after"));
    expect(after.toSorted()).toEqual(Array.from({ length: 70 }, (_, i) => `after ${i}`).toSorted());
    expect(alice.texts.at(-1)).toBe("yes");
    expect(reported(bob, "messagesLost").toSorted()).toEqual(expected.toSorted());
    expect(alice.withStatus(DeliveryStatus.FAILED).toSorted()).toEqual(expected.toSorted());
  });

  test("R1 a burst of 100 in a row that no resend and no repair can bring: the conversation goes on around it", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    const burst = Array.from({ length: 100 }, (_, i) => i + 10);
    world.censor = censorSequences(alice, burst);
    const ids = stream(alice, conversationId, 200);
    world.run(3 * DAY);
    alice.send(conversationId, "still there");
    bob.send(conversationId, "yes");
    world.run(HOUR);
    expect(bob.texts.at(-1)).toBe("still there");
    expect(alice.texts.at(-1)).toBe("yes");
    // Each of her messages was shown, or reported lost.
    const shown = new Set(bob.eventsOf("messageReceived").map(({ message }) => message!.messageId));
    const unseen = ids.slice(2).filter((id) => !shown.has(id));
    expect(unseen).toEqual(expect.arrayContaining(burst.map((sequence) => ids[sequence]!)));
    expect(unseen.length).toBeLessThan(burst.length + 10);
    expect(reported(bob, "messagesLost")).toEqual(expect.arrayContaining(unseen));
  });

  test.each([100, 600])("R1 an outage over %i messages in a row is made good by repairs alone", (length) => {
    const { world, alice, bob, conversationId } = unstoredPair();
    world.censor = ({ from }) => from === "alice";
    const ids = stream(alice, conversationId, length);
    world.censor = () => false;
    world.run(2 * HOUR);
    const received = bob.eventsOf("messageReceived").map(({ message }) => message!.messageId);
    expect(received.slice(1).toSorted()).toEqual(ids.slice(2).toSorted());
    expect(reported(bob, "messagesLost")).toEqual([]);
    expect(alice.withStatus(DeliveryStatus.FAILED)).toEqual([]);
  });
});

describe("a long gap behind which the sender is silent", () => {
  test("R1 is asked for until it is closed: no message is called lost as long as repairs come", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    const drop = censorSequences(
      alice,
      Array.from({ length: 170 }, (_, i) => i + 4),
    );
    world.censor = drop;
    for (let i = 2; i < 240; i++) {
      alice.send(conversationId, `${i}`);
      world.run(100);
    }
    world.censor = () => false;
    world.run(HOUR);
    expect(bob.texts.length).toBe(239);
    expect(reported(bob, "messagesMissing").length).toBeGreaterThan(160);
    expect(reported(bob, "messagesLost")).toEqual([]);
  });
});

describe("a gap while another one is asked for ever more seldom", () => {
  test("R1 holds back what comes behind it as shortly as the first did, and is named as soon", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    world.censor = censorSequences(alice, [3, 8]);
    stream(alice, conversationId, 4);
    world.run(6 * MINUTE);
    const ids = stream(alice, conversationId, 4);
    world.run(5000);
    expect(bob.texts).toEqual(["hello", "2", "4", "5", "2", "3", "5"]);
    expect(reported(bob, "messagesMissing").at(-1)).toBe(ids[4]);
  });
});

describe("messages that arrive late", () => {
  test("R1 500 that no store has come within an hour of the peer's return, with few sent more than once", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    world.switchOff(bob.machine);
    const ids = stream(alice, conversationId, 500).slice(2);
    world.run(10 * MINUTE);
    world.switchOn(bob.machine);
    const mark = world.published.length;
    world.run(HOUR);
    expect(new Set(bob.texts).size).toBe(501);
    expect(alice.withStatus(DeliveryStatus.DELIVERED)).toEqual(expect.arrayContaining(ids));
    expect(reported(bob, "messagesLost")).toEqual([]);
    const again = world.published.slice(mark).filter(({ from }) => from === "alice").length;
    expect(again).toBeLessThan(600);
  });

  test.each([10, 40, 200])(
    "R1 %i that no store has come though the first acknowledgement after it is lost",
    (count) => {
      const { world, alice, bob, conversationId } = unstoredPair();
      world.switchOff(bob.machine);
      stream(alice, conversationId, count);
      world.run(10 * MINUTE);
      let acknowledgements = 0;
      world.censor = ({ from }) => from === "bob" && acknowledgements++ === 0;
      world.switchOn(bob.machine);
      world.run(2 * HOUR);
      expect(new Set(bob.texts).size).toBe(count + 1);
      expect(alice.withStatus(DeliveryStatus.FAILED)).toEqual([]);
    },
  );

  test("R1 a message reported missing and then recovered is shown once, as recovered", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    world.censor = censorSequences(alice, [4]);
    const ids = stream(alice, conversationId, 10);
    world.run(15_000);
    expect(reported(bob, "messagesMissing")).toEqual([ids[4]]);
    world.censor = () => false;
    world.run(DAY);
    const received = bob.eventsOf("messageReceived").filter(({ message }) => message!.messageId === ids[4]);
    expect(received.map(({ recovered }) => recovered)).toEqual([true]);
    expect(reported(bob, "messagesLost")).toEqual([]);
    expect(bob.eventsOf("messageReceived").filter(({ recovered }) => recovered).length).toBe(1);
    expect(alice.withStatus(DeliveryStatus.DELIVERED)).toContain(ids[4]);
  });

  test("R1 even a message reported lost is shown once, as recovered, if it comes after all", () => {
    const { world, alice, bob, conversationId } = unstoredPair();
    const kept: { topic: string; payload: Uint8Array }[] = [];
    const drop = censorSequences(alice, [4]);
    world.censor = (publication) => {
      if (drop(publication)) kept.push(publication);
      return drop(publication);
    };
    const ids = stream(alice, conversationId, 10);
    world.run(2 * DAY);
    expect(reported(bob, "messagesLost")).toEqual([ids[4]]);
    // The first envelope had been stuck somewhere; so had its repairs.
    for (const { topic, payload } of kept) world.inject(topic, payload);
    world.run(MINUTE);
    const received = bob.eventsOf("messageReceived").filter(({ message }) => message!.messageId === ids[4]);
    expect(received.map(({ recovered }) => recovered)).toEqual([true]);
    expect(bob.rows(conversationId).filter((row) => row.messageId === ids[4]).length).toBe(1);
  });

  test("R1 what the store has is fetched before anybody is asked or told", () => {
    const world = new World(12);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.weather = { ...CALM, loss: 1 };
    alice.send(conversationId, "only the store has this");
    world.weather = CALM;
    alice.send(conversationId, "this one arrives");
    const before = world.published.length;
    world.run(2000);
    expect(bob.texts).toEqual(["hello", "only the store has this", "this one arrives"]);
    expect(reported(bob, "messagesMissing")).toEqual([]);
    expect(world.published.slice(before).filter(({ from }) => from === "bob").length).toBe(0);
  });
});
