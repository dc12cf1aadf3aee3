import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { decodeInvite } from "../../core/src/invite/invite-link.ts";
import type { Machine } from "../src/machine.ts";
import { pair, Person } from "../src/people.ts";
import { Thief } from "../src/thief.ts";
import { CALM, type Publication, World } from "../src/world.ts";

const DAY = 24 * 3600_000;

/** The messages' envelopes one person has published since the mark; those sent again once. */
function messagesOf(person: Person, since = 0): Publication[] {
  const seen = new Set<string>();
  return person.world.published.slice(since).filter(({ from, publishId, payload }) => {
    const isNew = !seen.has(Buffer.from(payload).toString("hex"));
    seen.add(Buffer.from(payload).toString("hex"));
    return isNew && from === person.machine.name && publishId.startsWith("m/");
  });
}

function established() {
  const world = new World(31);
  const people = pair(world, { ackDelayMs: 1e9 }, nodeCrypto);
  people.bob.send(people.conversationId, "hello alice");
  world.run(1000);
  people.alice.send(people.conversationId, "how are you");
  world.run(1000);
  return { world, ...people };
}

/** A thief who runs the stolen state and gets to see everything from then on. Returns what his machine shows. */
function eavesdrop(world: World, machine: Machine, since: number): string[] {
  // What was stolen with it is no news.
  const old = new Set(machine.disk.keysUnder("event/").map((key) => BigInt(key.slice("event/".length))));
  for (const { topic, payload } of world.published.slice(since))
    machine.step(world.nowMs, { case: "envelopeReceived", value: { topic, payload } });
  return machine.events.flatMap(({ event, eventNumber }) =>
    event.case === "messageReceived" && !old.has(eventNumber) ? [event.value.message!.text ?? ""] : [],
  );
}

describe("after a theft of everything (post-compromise security)", () => {
  test("F3 one round trip heals: what the peer says from then on is secret, with the thief listening all the time", () => {
    const { world, alice, bob, conversationId } = established();
    const copy = bob.machine.clone("thief");
    const mark = world.published.length;
    alice.send(conversationId, "before: same chain");
    world.run(1000);
    bob.send(conversationId, "bob's first fresh key");
    world.run(1000);
    alice.send(conversationId, "after: the round trip is complete");
    world.run(1000);
    for (let i = 0; i < 10; i++) {
      (i % 2 ? bob : alice).send(conversationId, `after ${i}`);
      world.run(1000);
    }
    expect(eavesdrop(world, copy, mark)).toEqual(["before: same chain"]);
    expect(bob.texts.filter((value) => value.startsWith("after")).length).toBe(6);
  });

  test("F3 no stolen key is in use after one round trip, no stolen header key after two", () => {
    const { world, alice, bob, conversationId } = established();
    const stolen = new Set(new Thief(bob.machine).secrets.map((secret) => Buffer.from(secret).toString("hex")));
    const known = (key: Uint8Array): boolean => stolen.has(Buffer.from(key).toString("hex"));
    const roundTrip = (): void => {
      bob.send(conversationId, "there");
      world.run(1000);
      alice.send(conversationId, "and back");
      world.run(1000);
    };
    roundTrip();
    const now = new Thief(bob.machine).conversation(conversationId).session!;
    const keys = [now.rootKey, now.ratchetSecret, now.sending!.chainKey, now.receiving!.chainKey, now.peerRatchetKey];
    expect(keys.map(known)).toEqual(keys.map(() => false));
    roundTrip();
    const later = new Thief(bob.machine).conversation(conversationId).session!;
    const pending = [later.nextSendingHeaderKey, later.pendingReceivingHeaderKey];
    const headerKeys = [later.sending!.headerKey, later.receiving!.headerKey, ...pending];
    expect(headerKeys.map((key) => key.length)).toEqual([64, 64, 64, 64]);
    expect(headerKeys.flatMap((key) => [key.slice(0, 32), key.slice(32)]).some(known)).toBe(false);
  });

  test("F3 what the victim says is secret from the first new chain on, and not before", () => {
    const { world, alice, bob, conversationId } = established();
    bob.send(conversationId, "opens a chain");
    const thief = new Thief(bob.machine);
    const { associatedData } = thief.conversation(conversationId).session!;
    const mark = world.published.length;
    bob.send(conversationId, "same chain");
    world.run(1000);
    alice.send(conversationId, "answer");
    world.run(1000);
    bob.send(conversationId, "new chain");
    world.run(1000);
    const [same, fresh] = messagesOf(bob, mark);
    expect(thief.reads(same!.payload, associatedData)).toContain("same chain");
    expect(thief.reads(fresh!.payload, associatedData)).toBeUndefined();
  });

  test("F3 NOT protected: until the round trip the thief reads, and can write in the victim's name", () => {
    const { world, alice, bob, conversationId } = established();
    const copy = bob.machine.clone("thief");
    const { effects } = copy.step(world.nowMs, {
      case: "sendMessage",
      value: { conversationId, content: { domain: 0, tag: 1, version: 1, payload: new Uint8Array([10, 2, 104, 105]) } },
    });
    for (const { effect } of effects)
      if (effect.case === "publish") world.inject(effect.value.topic, effect.value.payload);
    world.run(1000);
    expect(alice.texts.at(-1)).toBe("hi");
  });
});

describe("what a theft does not give (forward secrecy)", () => {
  test("F3 no message that was received before: every stolen value is tried as every key", () => {
    const { world, alice, bob, conversationId } = established();
    const mark = world.published.length;
    for (let i = 0; i < 6; i++) {
      (i % 3 ? alice : bob).send(conversationId, `secret ${i}`);
      world.run(1000);
    }
    world.run(2 * 60_000);
    world.acknowledge(bob.machine);
    bob.machine.disk.messages.clear();
    const after = new Thief(bob.machine);
    const { associatedData } = after.conversation(conversationId).session!;
    const envelopes = [...messagesOf(alice, mark), ...messagesOf(bob, mark)];
    expect(envelopes.length).toBe(6);
    for (const { payload } of envelopes) expect(after.reads(payload, associatedData)).toBeUndefined();
    for (let i = 0; i < 6; i++) expect(after.holds(`secret ${i}`)).toBe(false);
    const copy = bob.machine.clone("thief");
    expect(eavesdrop(world, copy, 0)).toEqual([]);
  });

  test("F3 the search is a good one: it reads the messages under way with the state of the moment before", () => {
    const { world, alice, bob, conversationId } = established();
    const thief = new Thief(bob.machine);
    const { associatedData } = thief.conversation(conversationId).session!;
    const mark = world.published.length;
    for (let i = 0; i < 3; i++) alice.send(conversationId, `under way ${i}`);
    const found = messagesOf(alice, mark).map(({ payload }) => thief.reads(payload, associatedData));
    expect(found.map((value) => /under way \d/.exec(value ?? "")?.[0])).toEqual([0, 1, 2].map((i) => `under way ${i}`));
  });

  test("F3 no first message, once a single-use link was used: its prekey is gone", () => {
    const world = new World(32);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const link = bob.invite();
    const { hash, bundle } = decodeInvite(nodeCrypto, link);
    const before = new Thief(bob.machine);
    const alice = new Person(world, "alice", {}, nodeCrypto);
    alice.accept(link, "the very first");
    world.run(60_000);
    world.acknowledge(bob.machine);
    bob.machine.disk.messages.clear();
    const after = new Thief(bob.machine);
    const [setUp] = messagesOf(alice);
    expect(before.readsSetUp(setUp!.payload, hash, bundle.signedPrekey)).toContain("the very first");
    expect(after.readsSetUp(setUp!.payload, hash, bundle.signedPrekey)).toBeUndefined();
    expect(after.holds("the very first")).toBe(false);
  });

  test("F3 NOT protected: the first messages on a reusable link, until a day after it expires", () => {
    const world = new World(33);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const link = bob.invite(true);
    const { hash, bundle } = decodeInvite(nodeCrypto, link);
    const alice = new Person(world, "alice", {}, nodeCrypto);
    alice.accept(link, "the very first");
    world.run(60_000);
    const [setUp] = messagesOf(alice);
    const readBy = (): string | undefined =>
      new Thief(bob.machine).readsSetUp(setUp!.payload, hash, bundle.signedPrekey);
    expect(readBy()).toContain("the very first");
    world.run(8 * DAY + 10 * 60_000);
    expect(readBy()).toBeUndefined();
  });

  test("F3 no message kept back longer than a week: its key is gone (NOT protected before that)", () => {
    const { world, alice, bob, conversationId } = established();
    world.weather = { ...CALM, store: false };
    const mark = world.published.length;
    world.censor = ({ from, publishId }) => from === "alice" && ["3", "4"].includes(publishId.split("/")[2]!);
    alice.send(conversationId, "kept back 3");
    alice.send(conversationId, "kept back 4");
    alice.send(conversationId, "let through");
    world.run(DAY);
    const kept = messagesOf(alice, mark).slice(0, 2);
    const { associatedData } = new Thief(bob.machine).conversation(conversationId).session!;
    const readBy = (): (string | undefined)[] =>
      kept.map(({ payload }) => new Thief(bob.machine).reads(payload, associatedData));
    expect(readBy().map((value) => value?.includes("kept back"))).toEqual([true, true]);
    world.run(7 * DAY);
    expect(readBy()).toEqual([undefined, undefined]);
  });

  test("F3 no message that came late, once it has come", () => {
    const { world, alice, bob, conversationId } = established();
    const mark = world.published.length;
    world.censor = ({ from, publishId }) => from === "alice" && publishId.split("/")[2] === "3";
    alice.send(conversationId, "kept back");
    alice.send(conversationId, "let through");
    world.run(1000);
    world.censor = () => false;
    const [kept] = messagesOf(alice, mark);
    const before = new Thief(bob.machine);
    const { associatedData } = before.conversation(conversationId).session!;
    expect(before.reads(kept!.payload, associatedData)).toContain("kept back");
    world.inject(kept!.topic, kept!.payload);
    world.run(1000);
    expect(bob.texts.slice(-2)).toEqual(["kept back", "let through"]);
    world.acknowledge(bob.machine);
    bob.machine.disk.messages.clear();
    const after = new Thief(bob.machine);
    expect(after.reads(kept!.payload, associatedData)).toBeUndefined();
    expect(after.holds("kept back")).toBe(false);
  });

  test("F3 nothing of a conversation that was deleted", () => {
    const { world, alice, bob, conversationId } = established();
    const { associatedData } = new Thief(bob.machine).conversation(conversationId).session!;
    const mark = world.published.length;
    world.switchOff(bob.machine);
    alice.send(conversationId, "came too late");
    bob.call({ case: "deleteConversation", value: { conversationId } }, "done");
    const thief = new Thief(bob.machine);
    expect(thief.reads(messagesOf(alice, mark)[0]!.payload, associatedData)).toBeUndefined();
    expect(thief.holds(conversationId)).toBe(false);
  });
});
