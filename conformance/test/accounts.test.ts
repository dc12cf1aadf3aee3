import { DeliveryStatus, FailureReason } from "@chatsdk/abi/api_pb";
import { ChatError } from "@chatsdk/core";
import { describe, expect, test } from "vitest";
import { nodeCrypto as crypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { feed, tracesOf } from "../src/attack.ts";
import type { InputValue } from "../src/machine.ts";
import { pair, Person, text } from "../src/people.ts";
import { CALM, World } from "../src/world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const UNKNOWN_ID = "00112233445566778899aabbccddeeff";

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Names of the failure and of the field it is about; nothing may have changed. */
function failureOf(person: Person, input: InputValue): { code: string; field: string; retryable: boolean } {
  const before = person.machine.disk.fingerprint();
  try {
    person.call(input, "done");
  } catch (error) {
    if (!(error instanceof ChatError)) throw error;
    expect(person.machine.disk.fingerprint()).toBe(before);
    return { code: error.codeName, field: error.message.split(":")[0]!, retryable: error.retryable };
  }
  throw new Error("no failure");
}

/** Two accounts of Bob's, each with one conversation with each of two people, and a few words in each. */
function twoAccounts() {
  const world = new World();
  const [bob, alice, carol] = ["bob", "alice", "carol"].map((name) => new Person(world, name, {}, crypto)) as [
    Person,
    Person,
    Person,
  ];
  const work = bob.call({ case: "createAccount", value: {} }, "account");
  const accounts = [bob.accountId, work.accountId];
  const links = accounts.map(
    (accountId) => bob.call({ case: "createInvite", value: { accountId, reusable: true } }, "invite").link,
  );
  const conversations = [alice, carol].flatMap((person) =>
    links.map((link, index) => {
      const name = `${person.machine.name} to account ${index}`;
      return { person, accountId: accounts[index]!, id: person.accept(link, name), name };
    }),
  );
  world.run(MINUTE);
  for (const { id, name, person } of conversations) {
    bob.send(id, `answer to ${name}`);
    person.send(id, `again ${name}`);
    world.run(1000);
  }
  world.run(5 * MINUTE);
  return { world, bob, alice, carol, accounts, links, conversations };
}

describe("several accounts in one database", () => {
  test("F1 F2 each has its own conversations, and no message comes to the wrong one", () => {
    const { bob, accounts, conversations } = twoAccounts();
    expect(new Set(conversations.map(({ id }) => id)).size).toBe(4);
    const list = bob.call({ case: "listAccounts", value: {} }, "accounts").accounts;
    expect(list.map(({ accountId }) => accountId)).toEqual(accounts);
    expect(new Set(list.map(({ identityKey }) => hex(identityKey))).size).toBe(2);
    for (const { id, accountId, name, person } of conversations) {
      const received = bob.machine.events.filter(
        ({ event, conversationId }) => event.case === "messageReceived" && conversationId === id,
      );
      expect(received.map((event) => event.accountId)).toEqual([accountId, accountId]);
      const texts = bob.rows(id).map((row) => row.text);
      expect(texts.toSorted()).toEqual([name, `again ${name}`, `answer to ${name}`].toSorted());
      expect(bob.machine.disk.conversations.get(id)!.accountId).toBe(accountId);
      expect(person.texts).toContain(`answer to ${name}`);
    }
  });

  test("F1 F2 a deleted conversation leaves no trace, and what is still sent to it is dropped", () => {
    const { world, bob, alice, conversations } = twoAccounts();
    const [gone, ...kept] = conversations as [(typeof conversations)[0], ...typeof conversations];
    const { id } = gone;
    const others = kept.map((other) => tracesOf(bob.machine, other.id).length);
    // Something of each kind: messages that wait, messages behind a gap, a part of a large one, a timer, events.
    world.forgetful.add(bob.machine);
    alice.send(id, "an event");
    world.run(1000);
    expect(tracesOf(bob.machine, id).some((place) => place.startsWith("event/"))).toBe(true);
    world.weather = { ...CALM, store: false };
    world.censor = ({ publishId }) => publishId.startsWith(`m/${id}/5/`);
    const payload = new Uint8Array(200_000);
    const value = { conversationId: id, content: { domain: 1, tag: 1, version: 1, payload } };
    alice.call({ case: "sendMessage", value }, "sentMessage");
    world.run(1000);
    world.censor = ({ from }) => from === "bob";
    bob.send(id, "waits");
    const { disk } = bob.machine;
    for (const folder of ["conv/", "out/", "held/", "segment/"])
      expect(disk.keysUnder(folder + id).length).toBeGreaterThan(0);
    expect(disk.keysUnder("timer/").some((key) => key.includes(id))).toBe(true);
    expect([...disk.tags.values()].filter((key) => key.includes(id)).length).toBeGreaterThan(10);
    bob.call({ case: "deleteConversation", value: { conversationId: id } }, "done");
    expect(tracesOf(bob.machine, id)).toEqual([]);
    expect(kept.map((other) => tracesOf(bob.machine, other.id).length)).toEqual(others);
    world.censor = () => false;
    alice.send(id, "anybody there?");
    expect(feed(bob.machine, world.nowMs, world.published.at(-1)!.payload)).toMatchObject({ untouched: true });
    world.run(6 * HOUR);
    expect(tracesOf(bob.machine, id)).toEqual([]);
    expect(failureOf(bob, { case: "sendMessage", value: { conversationId: id, content: text("x") } }).code).toBe(
      "CONVERSATION_NOT_FOUND",
    );
    for (const other of kept) {
      other.person.send(other.id, "still here");
      world.run(1000);
      expect(bob.rows(other.id).at(-1)!.text).toBe("still here");
    }
  });

  test("F1 F2 a replayed set-up does not bring a deleted conversation back, through a reusable or a single-use link", () => {
    for (const reusable of [true, false]) {
      const world = new World();
      const [bob, alice] = ["bob", "alice"].map((name) => new Person(world, name, {}, crypto)) as [Person, Person];
      const id = alice.accept(bob.invite(reusable), "hello");
      const setUp = world.published.at(-1)!.payload;
      world.run(MINUTE);
      bob.call({ case: "deleteConversation", value: { conversationId: id } }, "done");
      // Alice is not on this disk any more, but in no way.
      expect(tracesOf(bob.machine, hex(identityOf(alice)))).toEqual([]);
      const events = bob.machine.events.length;
      expect(feed(bob.machine, world.nowMs, setUp)).toEqual({
        texts: [],
        untouched: true,
        dropped: "handshake: a replay",
      });
      world.run(HOUR);
      world.switchOff(bob.machine);
      world.switchOn(bob.machine);
      world.run(HOUR);
      expect(bob.machine.disk.conversations.size).toBe(0);
      expect(bob.machine.events.slice(events).map(({ event }) => event.case)).toEqual([]);
    }
  });

  test("F1 F2 a deleted account leaves no trace: no conversation, link, event or record; the other goes on", () => {
    const { world, bob, alice, carol, accounts, conversations } = twoAccounts();
    const [deleted, kept] = accounts as [string, string];
    const identityKey = hex(identityOf(bob));
    const unused = bob.call({ case: "createInvite", value: { accountId: deleted, reusable: true } }, "invite");
    // An event that belongs to no conversation.
    world.forgetful.add(bob.machine);
    const single = bob.call({ case: "createInvite", value: { accountId: deleted } }, "invite");
    for (const person of [alice, carol]) person.accept(single.link, "one of two");
    world.run(MINUTE);
    expect(bob.eventsOf("inviteReused").map(({ inviteId }) => inviteId)).toEqual([single.inviteId]);
    bob.call({ case: "deleteAccount", value: { accountId: deleted } }, "done");
    const lost = conversations.filter(({ accountId }) => accountId === deleted);
    for (const id of [
      deleted,
      identityKey,
      unused.inviteId,
      single.inviteId,
      ...lost.map((conversation) => conversation.id),
    ])
      expect(tracesOf(bob.machine, id)).toEqual([]);
    expect(bob.machine.disk.keysUnder("prekey/").length).toBe(1 + 2);
    expect(bob.machine.disk.conversations.size).toBe(2);
    for (const { person, id } of lost) person.send(id, "too late");
    carol.accept(unused.link, "too late as well");
    world.run(HOUR);
    expect(bob.texts).not.toContain("too late");
    expect(bob.texts).not.toContain("too late as well");
    const still = conversations.find(({ accountId }) => accountId === kept)!;
    still.person.send(still.id, "still here");
    world.run(MINUTE);
    expect(bob.texts.at(-1)).toBe("still here");
    const list = bob.call({ case: "listAccounts", value: {} }, "accounts").accounts;
    expect(list.map(({ accountId }) => accountId)).toEqual([kept]);
    for (const method of ["deleteAccount", "listInvites", "createInvite"] as const)
      expect(failureOf(bob, { case: method, value: { accountId: deleted } }).code).toBe("ACCOUNT_NOT_FOUND");
  });
});

function identityOf(person: Person): Uint8Array {
  return person.call({ case: "listAccounts", value: {} }, "accounts").accounts[0]!.identityKey;
}

describe("calls", () => {
  test("F1 the verification is noted and taken back, and the peer is not told", () => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world, {}, crypto);
    world.run(5 * MINUTE);
    const published = world.published.length;
    for (const verified of [true, true, false, true]) {
      alice.call({ case: "setVerified", value: { conversationId, verified } }, "done");
      expect(alice.machine.disk.conversations.get(conversationId)!.verified).toBe(verified);
    }
    alice.machine.restart();
    const sent = alice.call({ case: "sendMessage", value: { conversationId, content: text("x") } }, "sentMessage");
    expect(sent.conversation!.verified).toBe(true);
    expect(world.published.length).toBe(published + 1);
    expect(bob.machine.disk.conversations.get(conversationId)!.verified).toBe(false);
  });

  test("F2 F4 a message is taken back while it waits, and cannot be once it is delivered", () => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world, {}, crypto);
    world.run(5 * MINUTE);
    world.weather = { ...CALM, loss: 1, store: false };
    const messageId = alice.send(conversationId, "never mind");
    world.run(1000);
    const cancel = { case: "cancelMessage" as const, value: { conversationId, messageId } };
    alice.call(cancel, "done");
    const row = alice.rows(conversationId).find((candidate) => candidate.messageId === messageId)!;
    expect([row.status, row.failureReason]).toEqual([DeliveryStatus.FAILED, FailureReason.CANCELLED]);
    const failed = alice.eventsOf("messageStatusChanged").filter(({ status }) => status === DeliveryStatus.FAILED);
    expect(failed).toMatchObject([{ messageId, failureReason: FailureReason.CANCELLED }]);
    const again = failureOf(alice, cancel);
    expect(again).toMatchObject({ code: "MESSAGE_NOT_FOUND", field: "message_id" });
    world.weather = CALM;
    const delivered = alice.send(conversationId, "this one");
    world.run(5 * MINUTE);
    expect(bob.texts).toEqual(["hello", "this one"]);
    const late = { case: "cancelMessage" as const, value: { conversationId, messageId: delivered } };
    expect(failureOf(alice, late)).toMatchObject({ code: "MESSAGE_NOT_FOUND", field: "message_id" });
    const foreign = bob.send(conversationId, "mine");
    world.run(1000);
    const notOurs = { case: "cancelMessage" as const, value: { conversationId, messageId: foreign } };
    expect(failureOf(alice, notOurs).code).toBe("MESSAGE_NOT_FOUND");
  });

  test("F2 at most 1,000 messages wait for delivery; after that the conversation is usable again", () => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world, {}, crypto);
    world.run(5 * MINUTE);
    world.switchOff(bob.machine);
    for (let i = 0; i < 1000; i++) alice.send(conversationId, `${i}`);
    const more = { case: "sendMessage" as const, value: { conversationId, content: text("one too many") } };
    expect(failureOf(alice, more)).toEqual({ code: "OUTBOX_FULL", field: "conversation_id", retryable: true });
    const other = new Person(world, "carol", {}, crypto);
    alice.accept(other.invite(), "another conversation is not full");
    world.run(MINUTE);
    expect(other.texts).toEqual(["another conversation is not full"]);
    world.switchOn(bob.machine);
    world.run(10 * MINUTE);
    expect(bob.texts).toEqual(["hello", ...Array.from({ length: 1000 }, (_, i) => `${i}`)]);
    expect(alice.machine.disk.keysUnder("out/")).toEqual([]);
    alice.call(more, "sentMessage");
    world.run(MINUTE);
    expect(bob.texts.at(-1)).toBe("one too many");
  });

  test("F2 events are shown again after a restart, with the same numbers, until they are acknowledged", () => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world, {}, crypto);
    world.acknowledge(bob.machine);
    world.forgetful.add(bob.machine);
    for (let i = 0; i < 30; i++) alice.send(conversationId, `${i}`);
    world.run(MINUTE);
    const shown = bob.machine.events.slice(
      bob.machine.events.findIndex(
        ({ event }) => event.case === "messageReceived" && event.value.message!.text === "0",
      ),
    );
    const replayed = () => {
      const from = bob.machine.events.length;
      world.switchOff(bob.machine);
      world.switchOn(bob.machine);
      return bob.machine.events.slice(from);
    };
    expect(shown.length).toBe(30);
    expect(replayed()).toEqual(shown);
    expect(replayed()).toEqual(shown);
    const { eventNumber } = shown[9]!;
    const acknowledge = (until: bigint) =>
      bob.call({ case: "acknowledgeEvents", value: { eventNumber: until } }, "done");
    acknowledge(eventNumber);
    expect(replayed()).toEqual(shown.slice(10));
    acknowledge(eventNumber - 5n);
    expect(replayed()).toEqual(shown.slice(10));
    acknowledge(2n ** 63n);
    expect(replayed()).toEqual([]);
    expect(bob.machine.disk.keysUnder("event/")).toEqual([]);
    alice.send(conversationId, "next");
    world.run(MINUTE);
    // Numbers go on, also beyond an acknowledgement of what did not exist.
    const next = shown.at(-1)!.eventNumber + 1n;
    expect(replayed().map((event) => event.eventNumber)).toEqual([next]);
    acknowledge(next);
    expect(replayed()).toEqual([]);
  });

  const content = text("x");
  const accountId = UNKNOWN_ID;
  const conversationId = UNKNOWN_ID;
  const messageId = "AAAAAAAAAAAAAAAA";
  const cases: [InputValue, string, string][] = [
    [{ case: "deleteAccount", value: { accountId } }, "ACCOUNT_NOT_FOUND", "account_id"],
    [{ case: "createInvite", value: { accountId } }, "ACCOUNT_NOT_FOUND", "account_id"],
    [{ case: "listInvites", value: { accountId } }, "ACCOUNT_NOT_FOUND", "account_id"],
    [{ case: "acceptInvite", value: { accountId, link: "", content } }, "ACCOUNT_NOT_FOUND", "account_id"],
    [{ case: "revokeInvite", value: { inviteId: "0011223344556677" } }, "INVITE_NOT_FOUND", "invite_id"],
    [{ case: "inspectInvite", value: { link: "https://example.org" } }, "INVALID_INVITE", "link"],
    [{ case: "sendMessage", value: { conversationId, content } }, "CONVERSATION_NOT_FOUND", "conversation_id"],
    [{ case: "cancelMessage", value: { conversationId, messageId } }, "CONVERSATION_NOT_FOUND", "conversation_id"],
    [{ case: "markRead", value: { conversationId, messageId } }, "CONVERSATION_NOT_FOUND", "conversation_id"],
    [{ case: "deleteConversation", value: { conversationId } }, "CONVERSATION_NOT_FOUND", "conversation_id"],
    [{ case: "getSafetyNumber", value: { conversationId } }, "CONVERSATION_NOT_FOUND", "conversation_id"],
    [{ case: "setVerified", value: { conversationId, verified: true } }, "CONVERSATION_NOT_FOUND", "conversation_id"],
    [{ case: "repairConversation", value: { conversationId } }, "CONVERSATION_NOT_FOUND", "conversation_id"],
    [{ case: "acceptRepair", value: { conversationId } }, "CONVERSATION_NOT_FOUND", "conversation_id"],
  ];
  test("F1 F2 every unknown id gives its own error, which names the field", () => {
    const { alice } = pair(new World(), {}, crypto);
    for (const [input, code, field] of cases)
      expect(failureOf(alice, input)).toEqual({ code, field, retryable: false });
    // Ids that are empty or look like a path find nothing either.
    for (const id of ["", "/", "..", "conv/x", `${UNKNOWN_ID}/`, "\u0000"]) {
      for (const method of ["deleteConversation", "setVerified"] as const)
        expect(failureOf(alice, { case: method, value: { conversationId: id } }).code).toBe("CONVERSATION_NOT_FOUND");
      expect(failureOf(alice, { case: "deleteAccount", value: { accountId: id } }).code).toBe("ACCOUNT_NOT_FOUND");
      expect(failureOf(alice, { case: "revokeInvite", value: { inviteId: id } }).code).toBe("INVITE_NOT_FOUND");
    }
  });
});
