import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError, INVITE_PREFIX } from "@chatsdk/core";
import { describe, expect, test } from "vitest";
import { nodeCrypto as crypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { decodeInvite } from "../../core/src/invite/invite-link.ts";
import type { ConfigValue } from "../src/machine.ts";
import { Person, text } from "../src/people.ts";
import { World } from "../src/world.ts";

const HOUR = 3600_000;
const DAY = 24 * HOUR;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function people(...names: string[]): Person[] {
  const world = new World();
  return names.map((name) => new Person(world, name, { historyIntervalMs: 6 * HOUR }, crypto));
}

/** The failure of a call that must leave no trace. */
function failureOf(person: Person, call: () => unknown): { code: string; message: string } {
  const before = person.machine.disk.fingerprint();
  const published = person.world.published.length;
  try {
    call();
  } catch (error) {
    if (!(error instanceof ChatError)) throw error;
    expect(person.machine.disk.fingerprint()).toBe(before);
    expect(person.world.published.length).toBe(published);
    return { code: error.codeName, message: error.message };
  }
  return { code: "no error", message: "" };
}

function inspect(person: Person, link: string) {
  return person.call({ case: "inspectInvite", value: { link } }, "inviteDetails");
}

function create(person: Person, options: { validForMs?: bigint; reusable?: boolean } = {}) {
  return person.call({ case: "createInvite", value: { accountId: person.accountId, ...options } }, "invite");
}

function list(person: Person) {
  return person.call({ case: "listInvites", value: { accountId: person.accountId } }, "invites").invites;
}

describe("the life of a link", () => {
  test("U2 an expired link is refused, to the second; the default is seven days and the longest a year", () => {
    const [bob, alice] = people("bob", "alice") as [Person, Person];
    const { world } = bob;
    const { link, expiresMs } = create(bob);
    expect(Number(expiresMs)).toBe(world.nowMs + 7 * DAY);
    expect(inspect(alice, link)).toMatchObject({ expiresMs, reusable: false, clusterId: 42, shardCount: 8, suite: 2 });
    world.run(7 * DAY - 1);
    expect(inspect(alice, link).expiresMs).toBe(expiresMs);
    world.run(1);
    expect(failureOf(alice, () => inspect(alice, link)).code).toBe("INVITE_EXPIRED");
    expect(failureOf(alice, () => alice.accept(link))).toMatchObject({ code: "INVITE_EXPIRED" });
    expect(list(bob)).toEqual([]);
    expect(Number(create(bob, { validForMs: BigInt(365 * DAY) }).expiresMs)).toBe(world.nowMs + 365 * DAY);
    const tooLong = failureOf(bob, () => create(bob, { validForMs: BigInt(365 * DAY + 1) }));
    expect(tooLong.code).toBe("INVALID_ARGUMENT");
    expect(tooLong.message).toMatch(/^valid_for_ms: /);
  });

  test("U2 a set-up that comes after the link's time, or after it was revoked, starts nothing", () => {
    const [bob, alice, carol] = people("bob", "alice", "carol") as [Person, Person, Person];
    const { world } = bob;
    const [late, revoked] = [create(bob), create(bob, { reusable: true })];
    world.switchOff(bob.machine);
    alice.accept(late.link);
    world.run(8 * DAY);
    world.switchOn(bob.machine);
    world.run(DAY);
    const again = create(bob);
    bob.call({ case: "revokeInvite", value: { inviteId: again.inviteId } }, "done");
    carol.accept(again.link);
    world.run(HOUR);
    expect(bob.texts).toEqual([]);
    expect(bob.machine.disk.conversations.size).toBe(0);
    const { inviteId } = revoked;
    const unknown = failureOf(bob, () => bob.call({ case: "revokeInvite", value: { inviteId } }, "done"));
    expect(unknown.code).toBe("INVITE_NOT_FOUND");
    expect(unknown.message).toMatch(/^invite_id: /);
  });

  test("U2 accepted twice by one account: refused, and the conversation is named; another account may try", () => {
    const [bob, alice] = people("bob", "alice") as [Person, Person];
    const { world } = bob;
    const link = bob.invite(true);
    const id = alice.accept(link, "one");
    const failure = failureOf(alice, () => alice.accept(link, "two"));
    expect(failure.code).toBe("INVITE_ALREADY_ACCEPTED");
    expect(failure.message).toContain(id);
    const { accountId } = alice.call({ case: "createAccount", value: {} }, "account");
    alice.call({ case: "acceptInvite", value: { accountId, link, content: text("three") } }, "sentMessage");
    world.run(10_000);
    expect(bob.texts.toSorted()).toEqual(["one", "three"]);
  });

  test("U2 that a link was accepted is forgotten with its conversation or account, and no key of the database tells who has the link", () => {
    const [bob, alice] = people("bob", "alice") as [Person, Person];
    const link = bob.invite(true);
    const hash = Buffer.from(decodeInvite(crypto, link).hash).toString("hex");
    const first = alice.accept(link);
    const { disk } = alice.machine;
    expect(disk.keysUnder("link/").length).toBe(1);
    expect([...disk.records.keys()].filter((key) => key.includes(hash.slice(0, 16)))).toEqual([]);
    alice.call({ case: "deleteConversation", value: { conversationId: first } }, "done");
    expect(disk.keysUnder("link/")).toEqual([]);
    expect(alice.accept(link)).not.toBe(first);
    alice.call({ case: "deleteAccount", value: { accountId: alice.accountId } }, "done");
    expect(disk.keysUnder("link/")).toEqual([]);
  });

  test("U2 a single-use link used by different people: the first is heard, the author is told once of the others", () => {
    const [bob, alice, carol, dave] = people("bob", "alice", "carol", "dave") as [Person, Person, Person, Person];
    const { world } = bob;
    const { link, inviteId } = create(bob);
    const id = alice.accept(link, "from alice");
    world.run(10_000);
    for (const person of [carol, dave]) {
      person.accept(link, `from ${person.machine.name}`);
      world.run(30 * 60_000);
    }
    expect(bob.texts).toEqual(["from alice"]);
    expect([...bob.machine.disk.conversations.keys()]).toEqual([id]);
    expect(bob.eventsOf("inviteReused").map((event) => event.inviteId)).toEqual([inviteId]);
    expect(bob.eventsOf("conversationStarted").map((event) => event.inviteId)).toEqual([inviteId]);
    // Nor does anything change when the first set-up travels again.
    for (const { topic, payload } of world.published.slice(0, 1)) world.inject(topic, payload);
    world.run(10_000);
    expect(bob.eventsOf("inviteReused").length).toBe(1);
    expect(list(bob)).toEqual([]);
  });

  test("U2 a reusable link starts a conversation with each of three people", () => {
    const [bob, ...others] = people("bob", "alice", "carol", "dave") as [Person, ...Person[]];
    const { link, inviteId } = create(bob, { reusable: true });
    const ids = others.map((person) => person.accept(link, `from ${person.machine.name}`));
    bob.world.run(10_000);
    expect(new Set(bob.texts)).toEqual(new Set(["from alice", "from carol", "from dave"]));
    for (const [index, id] of ids.entries()) bob.send(id, `to ${others[index]!.machine.name}`);
    bob.world.run(10_000);
    for (const person of others) expect(person.texts).toEqual([`to ${person.machine.name}`]);
    expect(list(bob)).toMatchObject([{ inviteId, acceptedCount: 3, reusable: true, link }]);
    expect(bob.eventsOf("inviteReused")).toEqual([]);
  });

  test("U2 at most 256 invites are open; expired, revoked and used ones make room", () => {
    const [bob, alice, carol] = people("bob", "alice", "carol") as [Person, Person, Person];
    const invites = Array.from({ length: 256 }, () => create(bob));
    const full = failureOf(bob, () => create(bob));
    expect(full.code).toBe("INVALID_ARGUMENT");
    expect(full.message).toMatch(/^account_id: 256 /);
    bob.call({ case: "revokeInvite", value: { inviteId: invites[0]!.inviteId } }, "done");
    create(bob);
    expect(failureOf(bob, () => create(bob)).code).toBe("INVALID_ARGUMENT");
    alice.accept(invites[7]!.link, "used");
    bob.world.run(10_000);
    expect(bob.texts).toEqual(["used"]);
    expect(list(bob).length).toBe(255);
    create(bob);
    expect(list(bob).length).toBe(256);
    // The used one is forgotten for good: whoever has it starts nothing.
    carol.accept(invites[7]!.link, "too late");
    bob.world.run(10_000);
    expect(bob.texts).toEqual(["used"]);
    bob.world.run(7 * DAY + 12 * HOUR);
    expect(create(bob).link).toMatch(INVITE_PREFIX);
    expect(bob.machine.disk.keysUnder("prekey/").length).toBe(2);
  });
});

describe("the wrong link", () => {
  test("U2 one's own link is refused, also by another account of the same database", () => {
    const [bob] = people("bob") as [Person];
    const link = bob.invite();
    expect(failureOf(bob, () => bob.accept(link)).code).toBe("INVITE_OWN");
    const { accountId } = bob.call({ case: "createAccount", value: {} }, "account");
    const value = { accountId, link, content: text("to myself") };
    expect(failureOf(bob, () => bob.call({ case: "acceptInvite", value }, "sentMessage")).code).toBe("INVITE_OWN");
  });

  const networks: [string, ConfigValue][] = [
    ["cluster", { clusterId: 1 }],
    ["number of shards", { shardCount: 4 }],
    ["application", { appName: "other" }],
    ["application version", { appVersion: "3" }],
  ];
  test.each(networks)("U2 a link of another %s is refused, and the error says which", (_, config) => {
    const world = new World();
    const bob = new Person(world, "bob", config, crypto);
    const alice = new Person(world, "alice", {}, crypto);
    const link = bob.invite();
    for (const call of [() => alice.accept(link), () => inspect(alice, link)]) {
      const failure = failureOf(alice, call);
      expect(failure.code).toBe("INVITE_WRONG_NETWORK");
      expect(failure.message).toContain(String(Object.values(config)[0]));
    }
  });

  test("U2 another bucket count is no other network", () => {
    const world = new World();
    const bob = new Person(world, "bob", { bucketCount: 3 }, crypto);
    const alice = new Person(world, "alice", {}, crypto);
    alice.accept(bob.invite(), "across");
    world.run(10_000);
    expect(bob.texts).toEqual(["across"]);
  });
});

describe("the text of a link", () => {
  test("U2 cut at any length it is refused", () => {
    const [bob, alice] = people("bob", "alice") as [Person, Person];
    const link = bob.invite();
    for (let length = 0; length < link.length; length++) {
      expect(failureOf(alice, () => alice.accept(link.slice(0, length))).code).toBe("INVALID_INVITE");
      expect(failureOf(alice, () => alice.accept(link.slice(link.length - length))).code).toBe("INVALID_INVITE");
    }
    expect(failureOf(alice, () => alice.accept(link)).code).toBe("no error");
  });

  test("U2 changed by one character at any position, it is refused", () => {
    const [bob, alice] = people("bob", "alice") as [Person, Person];
    const link = bob.invite();
    for (let position = 0; position < link.length; position++) {
      const old = link[position]!;
      const near = ALPHABET[(ALPHABET.indexOf(old) ^ 1) & 63]!;
      const far = ALPHABET[(ALPHABET.indexOf(old) + 32) & 63]!;
      for (const character of [near, far, "+", "=", " ", "é"]) {
        const changed = link.slice(0, position) + character + link.slice(position + 1);
        const isVersion = position === INVITE_PREFIX.length - 2 && /\d/.test(character);
        const { code } = failureOf(alice, () => inspect(alice, changed));
        expect(code, `position ${position}, ${old} to ${character}`).toBe(
          isVersion ? "UNSUPPORTED_VERSION" : "INVALID_INVITE",
        );
      }
    }
    for (const longer of [`${link}A`, `${link}=`, `${link}==`, `A${link}`, link.replaceAll("_", "-")])
      expect(failureOf(alice, () => inspect(alice, longer)).code).toBe("INVALID_INVITE");
  });

  test("U2 white space around it is forgiven, within it is not", () => {
    const [bob, alice] = people("bob", "alice") as [Person, Person];
    const link = bob.invite();
    for (const around of [` ${link}`, `${link}\n`, `\t${link}\r\n`, `\u00a0${link}\u2003`])
      expect(inspect(alice, around)).toEqual(inspect(alice, link));
    for (const within of [20, 100, 200]) {
      const broken = `${link.slice(0, within)}\n${link.slice(within)}`;
      expect(failureOf(alice, () => inspect(alice, broken)).code).toBe("INVALID_INVITE");
    }
    alice.accept(`  ${link}  `);
    expect(failureOf(alice, () => alice.accept(link)).code).toBe("INVITE_ALREADY_ACCEPTED");
  });

  test("U2 older and newer versions are recognised as such", () => {
    const [bob, alice] = people("bob", "alice") as [Person, Person];
    const rest = bob.invite().slice(INVITE_PREFIX.length);
    for (const version of [0, 1, 3, 10, 22])
      expect(failureOf(alice, () => inspect(alice, `logos_chatintro_${version}_${rest}`)).code).toBe(
        ErrorCode[ErrorCode.UNSUPPORTED_VERSION],
      );
    for (const other of ["logos_chatintro__", "logos_chatintro_x_", "logos_chat_2_", "", "https://"])
      expect(failureOf(alice, () => inspect(alice, other + rest)).code).toBe("INVALID_INVITE");
  });

  test("U2 with the longest names and numbers it stays below 300 characters, and can be read", () => {
    const world = new World();
    const longest = { appName: "a".repeat(32), appVersion: "1.23.456", bucketCount: 65_536, shardCount: 1024 };
    for (const clusterId of [0, 42, 65_535]) {
      const config = { ...longest, clusterId };
      const [bob, alice] = ["bob", "alice"].map((name) => new Person(world, `${name}/${clusterId}`, config, crypto));
      const link = bob!.invite(true);
      expect(link.length).toBeLessThan(300);
      expect(inspect(alice!, link).clusterId).toBe(clusterId);
    }
    // 51/WAKU2-RELAY-SHARDING: a cluster has 16 bits.
    expect(() => new Person(world, "carol", { clusterId: 65_536 }, crypto)).toThrow(/^config.cluster_id: /);
  });
});
