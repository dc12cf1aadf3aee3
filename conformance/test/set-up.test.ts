import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ResponderHelloSchema, IntroductionBundleSchema, InviteLinkSchema } from "@chatsdk/abi/wire_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { inboxHint, inboxHintKey } from "../../core/src/handshake/key-agreement.ts";
import { decodeInvite, encodeInvite, INVITE_PREFIX } from "../../core/src/invite/invite-link.ts";
import { advanceRoot } from "../../core/src/ratchet/root-key.ts";
import { openHeader, openHello, SEALED_HEADER_LENGTH } from "../../core/src/ratchet/header.ts";
import { forgeHandshake, handshakeOf, Insider, openEnvelope } from "../src/adversary.ts";
import { Person } from "../src/people.ts";
import { Thief } from "../src/thief.ts";
import { World } from "../src/world.ts";

function people(...names: string[]): [World, ...Person[]] {
  const world = new World(41);
  return [world, ...names.map((name) => new Person(world, name, {}, nodeCrypto))];
}

/** Feeds an envelope and says whether it changed anything. */
function takes(person: Person, payload: Uint8Array): boolean {
  const { world, machine } = person;
  const { changes, events } = machine.step(world.nowMs, { case: "envelopeReceived", value: { topic: "/t", payload } });
  return changes.length + events.length > 0;
}

function seedOf(person: Person): Uint8Array {
  return new Thief(person.machine).account(person.accountId).identitySeed;
}

/** A link with another bundle: with the old signature, or signed by somebody else. */
function alter(link: string, change: MessageInitShape<typeof IntroductionBundleSchema>, signer?: Uint8Array): string {
  const decoded = fromBinary(InviteLinkSchema, base64Decode(link.slice(INVITE_PREFIX.length)));
  const bundle = { ...fromBinary(IntroductionBundleSchema, decoded.bundle), ...change };
  const altered = create(IntroductionBundleSchema, bundle);
  if (signer) return encodeInvite(nodeCrypto, signer, altered).link;
  const encoded = toBinary(IntroductionBundleSchema, altered);
  const bytes = toBinary(InviteLinkSchema, create(InviteLinkSchema, { ...decoded, bundle: encoded }));
  return INVITE_PREFIX + base64Encode(bytes, "url");
}

describe("suite 2 against an attacker who breaks X25519 one day", () => {
  /** Bob's first answer, and what Alice held when it came: all classical secrets of hers. */
  function firstAnswer(suite: number) {
    const world = new World(42);
    const alice = new Person(world, "alice", { maximumSuite: suite }, nodeCrypto);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const id = alice.accept(bob.invite(), "hello");
    world.run(500);
    const { session } = new Thief(alice.machine).conversation(id);
    const mark = world.published.length;
    bob.send(id, "the answer");
    const envelope = world.published[mark]!.payload;
    const { payload, hint } = openEnvelope(envelope);
    const bound = Buffer.concat([session!.associatedData, hint]);
    const headerKey = session!.nextReceivingHeaderKey;
    const header = openHeader(nodeCrypto, headerKey, 0, payload.subarray(0, SEALED_HEADER_LENGTH), bound);
    const sealedHello = payload.subarray(SEALED_HEADER_LENGTH, SEALED_HEADER_LENGTH + header.helloLength);
    const hello = fromBinary(ResponderHelloSchema, openHello(nodeCrypto, headerKey, 0, sealedHello, bound));
    const shared = nodeCrypto.x25519(session!.ratchetSecret, header.ratchetKey)!;
    const readWith = (kemSecret: Uint8Array): string | undefined => {
      const thief = new Thief(alice.machine);
      thief.secrets.push(advanceRoot(nodeCrypto, session!.rootKey, shared, kemSecret).chainKey);
      return thief.reads(envelope, session!.associatedData);
    };
    return { session: session!, hello, readWith };
  }

  test("F3 all classical secrets together do not read the first answer; with the KEM's secret they do", () => {
    const { session, hello, readWith } = firstAnswer(2);
    expect(hello.kemCiphertext.length).toBe(1088);
    expect(readWith(new Uint8Array(0))).toBeUndefined();
    expect(readWith(new Uint8Array(32))).toBeUndefined();
    expect(readWith(nodeCrypto.mlKem768Decapsulate(session.kemSeed, hello.kemCiphertext))).toContain("the answer");
  });

  test("F3 in suite 1 they do: the difference is the KEM's", () => {
    const { hello, readWith } = firstAnswer(1);
    expect(hello.kemCiphertext.length).toBe(0);
    expect(readWith(new Uint8Array(0))).toContain("the answer");
  });

  test("F3 an answer without the hello, or with another ciphertext, is refused even from the peer itself", () => {
    const [world, alice, bob] = people("alice", "bob") as [World, Person, Person];
    const id = alice.accept(bob.invite());
    world.run(100);
    const answer = (tamper: (insider: Insider) => void): Uint8Array => {
      const insider = new Insider(bob.machine, id);
      insider.seal({ acknowledged: 1 });
      tamper(insider);
      return insider.seal({ acknowledged: 1 });
    };
    const hello = (change: (ciphertext: Uint8Array) => Uint8Array) => (insider: Insider) => {
      const session = insider.record.session!;
      const decoded = fromBinary(ResponderHelloSchema, session.responderHello);
      const kemCiphertext = change(decoded.kemCiphertext);
      session.responderHello = toBinary(ResponderHelloSchema, { ...decoded, kemCiphertext });
    };
    const stripped = answer(({ record }) => {
      record.session!.responderHello = new Uint8Array(0);
    });
    const other = nodeCrypto.mlKem768Encapsulate(
      nodeCrypto.mlKem768PublicKey(new Uint8Array(64).fill(9)),
      new Uint8Array(32),
    )!.ciphertext;
    /** The peer itself goes back to suite 1: no ciphertext, nothing mixed in. */
    const classical = (hello: boolean): Uint8Array => {
      const insider = new Insider(bob.machine, id);
      const session = insider.record.session!;
      session.peerKemKey = new Uint8Array(0);
      if (!hello) session.responderHello = new Uint8Array(0);
      return insider.seal({ acknowledged: 1 });
    };
    const before = alice.machine.disk.fingerprint();
    expect(takes(alice, stripped)).toBe(false);
    expect(takes(alice, classical(true))).toBe(false);
    expect(takes(alice, classical(false))).toBe(false);
    expect(takes(alice, answer(hello(() => other)))).toBe(false);
    expect(
      takes(alice, answer(hello((ciphertext) => ciphertext.map((byte, i) => (i === 500 ? byte ^ 1 : byte))))),
    ).toBe(false);
    expect(takes(alice, answer(hello((ciphertext) => ciphertext.subarray(1))))).toBe(false);
    expect(takes(alice, answer(hello(() => new Uint8Array(0))))).toBe(false);
    expect(alice.machine.disk.fingerprint() === before).toBe(true);
    expect(
      takes(
        alice,
        answer(() => undefined),
      ),
    ).toBe(true);
  });
});

describe("downgrade", () => {
  test("F3 a link's suites cannot be edited, nor anything else in it: it is signed", () => {
    const [, alice, bob] = people("alice", "bob") as [World, Person, Person];
    const link = bob.invite();
    const changes: MessageInitShape<typeof IntroductionBundleSchema>[] = [
      { suites: 1 },
      { reusable: true },
      { expiresAt: 2 ** 32 - 1 },
      { deliveryAddress: "/chatsdk/2/9/proto" },
      { signedPrekey: nodeCrypto.x25519PublicKey(new Uint8Array(32).fill(4)) },
      { identityKey: nodeCrypto.ed25519PublicKey(new Uint8Array(32).fill(4)) },
      { clusterId: 43 },
    ];
    for (const change of changes)
      expect(() => alice.accept(alter(link, change))).toThrow(
        expect.objectContaining({ code: ErrorCode.INVALID_INVITE }),
      );
  });

  test("F3 below the minimum suite nothing is accepted, on either side", () => {
    const world = new World(43);
    const strict = new Person(world, "strict", { minimumSuite: 2 }, nodeCrypto);
    const weak = new Person(world, "weak", { maximumSuite: 1 }, nodeCrypto);
    const refused = expect.objectContaining({ code: ErrorCode.UNSUPPORTED_SUITE });
    expect(() => strict.accept(weak.invite())).toThrow(refused);
    expect(() => weak.accept(strict.invite())).toThrow(refused);
    const suite1 = { hello: { suite: 1, kemKey: new Uint8Array(0) }, transcript: { suite: 1 } };
    const forge = (link: string): Uint8Array =>
      forgeHandshake(nodeCrypto, decodeInvite(nodeCrypto, link), new Uint8Array(32).fill(7), "suite 1", suite1);
    expect(takes(strict, forge(strict.invite()))).toBe(false);
    const lax = new Person(world, "lax", {}, nodeCrypto);
    expect(takes(lax, forge(lax.invite()))).toBe(true);
  });

  test("F3 a minimum raised after a link was made counts for that link", () => {
    const world = new World(44);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const link = bob.invite();
    bob.machine.config.minimumSuite = 2;
    world.switchOff(bob.machine);
    world.switchOn(bob.machine);
    const alice = new Person(world, "alice", { maximumSuite: 1 }, nodeCrypto);
    alice.accept(link);
    world.run(10_000);
    expect(bob.texts).toEqual([]);
  });

  test("F3 the highest suite both allow is used, and both sides say which", () => {
    const [world, alice, bob] = people("alice", "bob") as [World, Person, Person];
    const id = alice.accept(bob.invite());
    world.run(10_000);
    expect([alice, bob].map(({ machine }) => machine.disk.conversations.get(id)!.suite)).toEqual([2, 2]);
  });
});

describe("whom one speaks with", () => {
  test("F3 Mallory re-publishes Bob's prekey under her identity: Bob takes nothing of it, Alice sees Mallory", () => {
    const [world, alice, bob] = people("alice", "bob") as [World, Person, Person];
    const mallory = new Uint8Array(32).fill(66);
    const identityKey = nodeCrypto.ed25519PublicKey(mallory);
    const bobsLink = bob.invite(true);
    const link = alter(bobsLink, { identityKey }, mallory);
    const id = alice.accept(link, "for mallory");
    world.run(10_000);
    expect(bob.machine.events).toEqual([]);
    const row = alice.machine.vault.openConversation(alice.machine.disk.conversations.get(id)!);
    expect(row.peerIdentityKey).toEqual(identityKey);
    // Nor if she puts Bob's hint on it.
    const setUp = world.published.find(({ publishId }) => publishId.startsWith("m/"))!.payload;
    const { hash } = decodeInvite(nodeCrypto, bobsLink);
    const { payload } = openEnvelope(setUp);
    const hint = inboxHint(nodeCrypto, inboxHintKey(nodeCrypto, hash), handshakeOf(setUp).ephemeralKey);
    expect(takes(bob, encodeEnvelope(hint, payload))).toBe(false);
  });

  test("F3 both sides have the same safety number; with somebody between them they have not", () => {
    const [world, alice, bob, mallory] = people("alice", "bob", "mallory") as [World, Person, Person, Person];
    const number = (person: Person, conversationId: string): string =>
      person.call({ case: "getSafetyNumber", value: { conversationId } }, "safetyNumber").digits;
    const id = alice.accept(bob.invite());
    world.run(10_000);
    expect(number(alice, id)).toMatch(/^(\d{5} ){11}\d{5}$/);
    expect(number(alice, id)).toBe(number(bob, id));
    // Mallory swaps Bob's link for hers, and accepts his.
    const withAlice = alice.accept(mallory.invite());
    const withBob = mallory.accept(bob.invite());
    world.run(10_000);
    expect(number(alice, withAlice)).not.toBe(number(bob, withBob));
  });

  test("F3 who has stolen Bob's identity key alone cannot speak to Bob as Alice", () => {
    const [, alice, bob] = people("alice", "bob") as [World, Person, Person];
    const invite = decodeInvite(nodeCrypto, bob.invite());
    const lies = { hello: { identityKey: nodeCrypto.ed25519PublicKey(seedOf(alice)) } };
    const transcript = { initiatorIdentity: nodeCrypto.ed25519PublicKey(seedOf(alice)) };
    expect(takes(bob, forgeHandshake(nodeCrypto, invite, seedOf(bob), "kci", { ...lies, transcript }))).toBe(false);
    // With Alice's own key it is Alice's word.
    expect(takes(bob, forgeHandshake(nodeCrypto, invite, seedOf(alice), "alice", {}))).toBe(true);
  });

  test("F3 NOT protected: who has stolen the secret of an open invite as well can speak to Bob as anybody", () => {
    const [, alice, bob] = people("alice", "bob") as [World, Person, Person];
    const invite = decodeInvite(nodeCrypto, bob.invite());
    const prekeySecret = new Thief(bob.machine).prekeyOf(invite.bundle.signedPrekey);
    const responder = { identitySeed: seedOf(bob), prekeySecret };
    const identityKey = nodeCrypto.ed25519PublicKey(seedOf(alice));
    const lies = { hello: { identityKey }, transcript: { initiatorIdentity: identityKey }, responder };
    expect(takes(bob, forgeHandshake(nodeCrypto, invite, new Uint8Array(32).fill(7), "kci", lies))).toBe(true);
  });
});
