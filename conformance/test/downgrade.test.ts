import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { AccountRecordSchema, SessionSchema } from "@chatsdk/abi/records_pb";
import { IntroductionBundleSchema, InviteLinkSchema, PayloadSchema, ResponderHelloSchema } from "@chatsdk/abi/wire_pb";
import { ChatError } from "@chatsdk/core";
import { describe, expect, test } from "vitest";
import { nodeCrypto as crypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { concatBytes, EMPTY } from "../../core/src/bytes.ts";
import { Entropy } from "../../core/src/entropy.ts";
import { decodeEnvelope, encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { pad } from "../../core/src/envelope/padding.ts";
import { decodeHandshake } from "../../core/src/handshake/handshake.ts";
import { inboxHint, inboxHintKey } from "../../core/src/handshake/key-agreement.ts";
import { decodeInvite, encodeInvite, INVITE_PREFIX } from "../../core/src/invite/invite-link.ts";
import { advanceChain } from "../../core/src/ratchet/chain-key.ts";
import { ratchetEncrypt } from "../../core/src/ratchet/double-ratchet.ts";
import { openHeader, openHello, SEALED_HEADER_LENGTH, sealHeader, sealHello } from "../../core/src/ratchet/header.ts";
import { openMessage } from "../../core/src/ratchet/message-key.ts";
import { advanceRoot } from "../../core/src/ratchet/root-key.ts";
import { conversationRecord, feed, openedRecords, SetUpByHand } from "../src/attack.ts";
import type { ConfigValue } from "../src/machine.ts";
import { pair, Person, text } from "../src/people.ts";
import { World } from "../src/world.ts";

const REFUSED = { texts: [], untouched: true };
const NO_MESSAGE_KEY = "message: does not verify";

function identitySeed(person: Person): Uint8Array {
  const [account] = openedRecords(person.machine, "account/");
  return fromBinary(AccountRecordSchema, account!.bytes).identitySeed;
}

function identityKey(person: Person): Uint8Array {
  return crypto.ed25519PublicKey(identitySeed(person));
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ChatError) return error.codeName;
    throw error;
  }
  return "no error";
}

/** Alice has written, and Bob's first answer has been made and not arrived. */
function answered(suite: number) {
  const world = new World();
  const { alice, bob, conversationId } = pair(world, { maximumSuite: suite, ackDelayMs: 3_600_000 }, crypto);
  world.censor = () => true;
  bob.send(conversationId, "the answer");
  const envelope = world.published.at(-1)!.payload;
  return { world, alice, bob, conversationId, envelope };
}

/** What somebody who has broken every Diffie-Hellman exchange, but not ML-KEM, takes Bob's first message apart into. */
function takenApart(suite: number) {
  const made = answered(suite);
  const session = conversationRecord(made.alice.machine, made.conversationId).session!;
  const { hint, payload } = decodeEnvelope(made.envelope);
  const associatedData = concatBytes(session.associatedData, hint);
  const headerKey = session.nextReceivingHeaderKey;
  const header = openHeader(crypto, headerKey, 0, payload.subarray(0, SEALED_HEADER_LENGTH), associatedData);
  const end = SEALED_HEADER_LENGTH + header.helloLength;
  const encoded = openHello(crypto, headerKey, 0, payload.subarray(SEALED_HEADER_LENGTH, end), associatedData);
  const hello = fromBinary(ResponderHelloSchema, encoded);
  const body = payload.subarray(end);
  const bound = concatBytes(associatedData, payload.subarray(0, end));
  const shared = crypto.x25519(session.ratchetSecret, header.ratchetKey)!;
  const opens = (kemSecret: Uint8Array): boolean => {
    const { chainKey } = advanceRoot(crypto, session.rootKey, shared, kemSecret);
    return openMessage(crypto, advanceChain(crypto, chainKey).messageKey, body, bound) !== undefined;
  };
  /** The envelope with another hello, or without one, sealed as it should be. */
  const withHello = (changed: Uint8Array): Uint8Array => {
    const sealed = changed.length > 0 ? sealHello(crypto, headerKey, 0, changed, associatedData) : EMPTY;
    const sealedHeader = sealHeader(crypto, headerKey, { ...header, helloLength: sealed.length }, associatedData);
    return encodeEnvelope(hint, concatBytes(sealedHeader, sealed, body));
  };
  /** A message in Bob's name, under a root key that knows of no KEM secret. */
  const forged = (changed: Uint8Array): Uint8Array => {
    const bobs = create(SessionSchema, {
      associatedData: session.associatedData,
      rootKey: session.rootKey,
      peerRatchetKey: crypto.x25519PublicKey(session.ratchetSecret),
      nextSendingHeaderKey: headerKey,
      ratchetBeforeSending: true,
      responderHello: changed,
    });
    const sealed = ratchetEncrypt(crypto, bobs, pad(EMPTY), new Entropy(crypto, new Uint8Array(32).fill(7)));
    return encodeEnvelope(sealed.hint, sealed.payload);
  };
  const replaced = (kemCiphertext: Uint8Array): Uint8Array =>
    toBinary(ResponderHelloSchema, { ...hello, kemCiphertext });
  return { ...made, session, hello, replaced, opens, withHello, forged };
}

describe("the responder's half of suite 2", () => {
  test("F3 S2 an answer with any byte changed is refused, and nothing changes; the true one is still taken", () => {
    const { world, alice, envelope } = answered(2);
    const { hint, payload } = decodeEnvelope(envelope);
    const bytes = concatBytes(hint, payload);
    for (let position = 0; position < bytes.length; position += position < 100 ? 1 : 13) {
      const changed = bytes.slice();
      changed[position]! ^= 1 << (position % 8);
      const forged = encodeEnvelope(changed.subarray(0, hint.length), changed.subarray(hint.length));
      expect(feed(alice.machine, world.nowMs, forged)).toMatchObject(REFUSED);
    }
    expect(feed(alice.machine, world.nowMs, envelope).texts).toEqual(["the answer"]);
  });

  test("F3 S2 a missing, replaced, flipped or cut ML-KEM ciphertext is refused even if all else is sealed again", () => {
    const { world, alice, hello, replaced, withHello, envelope } = takenApart(2);
    const other = crypto.mlKem768Encapsulate(crypto.mlKem768PublicKey(new Uint8Array(64)), new Uint8Array(32))!;
    const flipped = hello.kemCiphertext.slice();
    flipped[500]! ^= 1;
    const cases: [Uint8Array, string][] = [
      [EMPTY, "responder hello: missing"],
      [replaced(EMPTY), "responder hello.kem_ciphertext: 0 bytes, not 1088"],
      [replaced(hello.kemCiphertext.slice(1)), "responder hello.kem_ciphertext: 1087 bytes, not 1088"],
      [replaced(other.ciphertext), NO_MESSAGE_KEY],
      [replaced(flipped), NO_MESSAGE_KEY],
    ];
    for (const [changed, dropped] of cases)
      expect(feed(alice.machine, world.nowMs, withHello(changed))).toEqual({ ...REFUSED, dropped });
    // Taken apart and put together again unchanged, it is what it was.
    expect(withHello(replaced(hello.kemCiphertext))).toEqual(envelope);
    expect(feed(alice.machine, world.nowMs, envelope).texts).toEqual(["the answer"]);
  });

  test("F3 S2 who knows all classical secrets cannot talk the initiator into a session without the KEM", () => {
    const { world, alice, hello, replaced, forged } = takenApart(2);
    const cases: [Uint8Array, string][] = [
      [EMPTY, "responder hello: missing"],
      [replaced(EMPTY), "responder hello.kem_ciphertext: 0 bytes, not 1088"],
      [replaced(hello.kemCiphertext), NO_MESSAGE_KEY],
    ];
    for (const [changed, dropped] of cases)
      expect(feed(alice.machine, world.nowMs, forged(changed))).toEqual({ ...REFUSED, dropped });
    // In suite 1 the same forger succeeds in opening the root: the message fails for its content alone.
    const classic = takenApart(1);
    const encoded = toBinary(ResponderHelloSchema, classic.hello);
    expect(feed(classic.alice.machine, world.nowMs, classic.forged(encoded)).dropped).toBeUndefined();
  });

  test("F3 S2 the classical secrets alone do not give the root key after the first answer", () => {
    const hybrid = takenApart(2);
    const kemSecret = crypto.mlKem768Decapsulate(hybrid.session.kemSeed, hybrid.hello.kemCiphertext);
    expect(hybrid.opens(EMPTY)).toBe(false);
    expect(hybrid.opens(new Uint8Array(32))).toBe(false);
    expect(hybrid.opens(kemSecret)).toBe(true);
    expect(takenApart(1).opens(EMPTY)).toBe(true);
    const { rootKey } = hybrid.session;
    const shared = new Uint8Array(32).fill(1);
    const [without, with_] = [EMPTY, kemSecret].map((kem) => advanceRoot(crypto, rootKey, shared, kem));
    for (const part of ["rootKey", "chainKey", "nextHeaderKey"] as const)
      expect(Buffer.from(without![part]).equals(with_![part])).toBe(false);
  });
});

describe("the choice of the suite", () => {
  const edited = (link: string, change: { suites: number }, seed?: Uint8Array): string => {
    const bytes = Buffer.from(link.slice(INVITE_PREFIX.length), "base64url");
    const { bundle, signature } = fromBinary(InviteLinkSchema, bytes);
    const changed = { ...fromBinary(IntroductionBundleSchema, bundle), ...change };
    if (seed) return encodeInvite(crypto, seed, changed).link;
    const value = create(InviteLinkSchema, { bundle: toBinary(IntroductionBundleSchema, changed), signature });
    return INVITE_PREFIX + Buffer.from(toBinary(InviteLinkSchema, value)).toString("base64url");
  };

  test("F3 S2 a link whose suites were edited is no link", () => {
    const world = new World();
    const bob = new Person(world, "bob", {}, crypto);
    const alice = new Person(world, "alice", {}, crypto);
    const link = bob.invite();
    expect(edited(link, { suites: 3 })).toBe(link);
    const before = alice.machine.disk.fingerprint();
    for (const suites of [0, 1, 2, 7, 255]) {
      expect(codeOf(() => alice.accept(edited(link, { suites })))).toBe("INVALID_INVITE");
      expect(codeOf(() => alice.accept(edited(link, { suites }, identitySeed(alice))))).toBe("INVALID_INVITE");
    }
    expect(alice.machine.disk.fingerprint()).toBe(before);
  });

  test("F3 S2 the highest suite that both allow is used, unknown ones are ignored, and none in common is refused", () => {
    const world = new World();
    const suiteOf = (author: ConfigValue, acceptor: ConfigValue, name: string): string | number => {
      const bob = new Person(world, `bob ${name}`, author, crypto);
      const alice = new Person(world, `alice ${name}`, acceptor, crypto);
      const before = alice.machine.disk.fingerprint();
      const link = bob.invite();
      const code = codeOf(() => alice.accept(link));
      if (code !== "no error") {
        expect(alice.machine.disk.fingerprint()).toBe(before);
        return code;
      }
      world.run(10_000);
      expect(bob.texts).toEqual(["hello"]);
      const [theirs] = bob.machine.disk.conversations.values();
      const [ours] = alice.machine.disk.conversations.values();
      expect(theirs!.suite).toBe(ours!.suite);
      return ours!.suite;
    };
    expect(suiteOf({}, {}, "1")).toBe(2);
    expect(suiteOf({ maximumSuite: 1 }, {}, "2")).toBe(1);
    expect(suiteOf({}, { maximumSuite: 1 }, "3")).toBe(1);
    expect(suiteOf({ minimumSuite: 2 }, {}, "4")).toBe(2);
    expect(suiteOf({ minimumSuite: 2 }, { maximumSuite: 1 }, "5")).toBe("UNSUPPORTED_SUITE");
    expect(suiteOf({ maximumSuite: 1 }, { minimumSuite: 2 }, "6")).toBe("UNSUPPORTED_SUITE");
    const bob = new Person(world, "bob", {}, crypto);
    const alice = new Person(world, "alice", {}, crypto);
    const future = edited(bob.invite(), { suites: 0xf7 }, identitySeed(bob));
    const details = alice.call({ case: "inspectInvite", value: { link: future } }, "inviteDetails");
    expect(details).toMatchObject({ suite: 2 });
    const none = edited(bob.invite(), { suites: 0xf4 }, identitySeed(bob));
    expect(codeOf(() => alice.accept(none))).toBe(ErrorCode[ErrorCode.UNSUPPORTED_SUITE]);
  });

  test("F3 S2 a responder refuses a suite that its link, or its settings since, do not allow", () => {
    for (const [made, now] of [
      [{ minimumSuite: 2 }, { minimumSuite: 2 }],
      [{}, { minimumSuite: 2 }],
    ] as const) {
      const world = new World();
      const config = { ...made };
      const bob = new Person(world, "bob", config, crypto);
      const link = bob.invite();
      Object.assign(bob.machine.config, now);
      bob.machine.restart();
      const mallory = new Person(world, "mallory", {}, crypto);
      const options = { link, identitySeed: identitySeed(mallory), nowMs: world.nowMs };
      const classic = new SetUpByHand(crypto, { ...options, suite: 1 }).honest(hello("weak"));
      const fed = feed(bob.machine, world.nowMs, classic);
      expect(fed).toEqual({ ...REFUSED, dropped: "hello.suite: 1 is not allowed" });
      const hybrid = new SetUpByHand(crypto, { ...options, suite: 2 }).honest(hello("strong"));
      expect(feed(bob.machine, world.nowMs, hybrid).texts).toEqual(["strong"]);
    }
  });
});

/** A text as the content of an SDS message. */
function hello(value: string): Uint8Array {
  const frame = { timestampMs: 1n, content: text(value) };
  return toBinary(PayloadSchema, create(PayloadSchema, { kind: { case: "frame", value: frame } }));
}

describe("identities", () => {
  function listening() {
    const world = new World();
    const [bob, alice, carol] = ["bob", "alice", "carol"].map((name) => new Person(world, name, {}, crypto));
    const link = bob!.invite(true);
    const options = { link, identitySeed: identitySeed(alice!), suite: 2, nowMs: world.nowMs };
    return { world, bob: bob!, alice: alice!, carol: carol!, link, byHand: new SetUpByHand(crypto, options) };
  }

  test("F3 S2 an initiator cannot change its hello after the fact: suite, KEM key, address, ratchet key", () => {
    const { world, bob, byHand } = listening();
    const kemKey = crypto.mlKem768PublicKey(new Uint8Array(64).fill(9));
    const ratchetKey = crypto.x25519PublicKey(new Uint8Array(32).fill(9));
    const changes = [
      { suite: 1, kemKey: EMPTY },
      { kemKey },
      { ratchetKey },
      { recoveryPrekey: ratchetKey },
      { createdMs: 1n },
      { deliveryAddress: byHand.hello.deliveryAddress.replace(/\d+\/proto/, "99/proto") },
    ];
    for (const change of changes) {
      const envelope = byHand.withHello(hello("x"), byHand.encoded(change));
      const dropped = "header: does not verify";
      expect(feed(bob.machine, world.nowMs, envelope)).toEqual({ ...REFUSED, dropped });
    }
    expect(feed(bob.machine, world.nowMs, byHand.withHello(hello("x"), byHand.encoded())).texts).toEqual(["x"]);
  });

  test("F3 S2 a hello with a suite and a KEM key that do not go together is refused", () => {
    const { world, bob, byHand } = listening();
    const invalid = new Uint8Array(1184).fill(255);
    const cases: [object, RegExp][] = [
      [{ suite: 1 }, /^hello.kem_key: 1184 bytes, not 0/],
      [{ kemKey: EMPTY }, /^hello.kem_key: 0 bytes, not 1184/],
      [{ kemKey: invalid }, /^hello.kem_key: not a valid/],
      [{ suite: 3 }, /^hello.suite: 3 is unknown/],
      [{ suite: 0 }, /^hello.suite: 0 is unknown/],
    ];
    for (const [change, dropped] of cases) {
      const fed = feed(bob.machine, world.nowMs, byHand.throughout(hello("x"), byHand.encoded(change)));
      expect(fed).toMatchObject(REFUSED);
      expect(fed.dropped).toMatch(dropped);
    }
    expect(feed(bob.machine, world.nowMs, byHand.throughout(hello("x"), byHand.encoded())).texts).toEqual(["x"]);
  });

  test("F3 S2 nobody is believed to be somebody else: a hello needs the identity's secret", () => {
    const { world, bob, carol, byHand } = listening();
    const asCarol = byHand.encoded({ identityKey: identityKey(carol) });
    for (const envelope of [byHand.withHello(hello("x"), asCarol), byHand.throughout(hello("x"), asCarol)]) {
      const fed = feed(bob.machine, world.nowMs, envelope);
      expect(fed).toEqual({ ...REFUSED, dropped: "header: does not verify" });
    }
    const asBob = byHand.encoded({ identityKey: identityKey(bob) });
    expect(feed(bob.machine, world.nowMs, byHand.throughout(hello("x"), asBob))).toMatchObject(REFUSED);
  });

  test("F3 S2 who publishes another's prekey as her own gets neither the message nor the other's name", () => {
    const { world, bob, alice, carol: mallory, link } = listening();
    const { bundle } = decodeInvite(crypto, link);
    const stolen = encodeInvite(crypto, identitySeed(mallory), { ...bundle, identityKey: identityKey(mallory) }).link;
    const id = alice.accept(stolen, "for Mallory's eyes");
    const setUp = world.published.at(-1)!.payload;
    world.run(60_000);
    expect(conversationRecord(alice.machine, id).peerIdentityKey).toEqual(identityKey(mallory));
    expect([bob.texts, mallory.texts]).toEqual([[], []]);
    expect(bob.machine.disk.conversations.size).toBe(0);
    // Even with the hint of Bob's own link nothing in it verifies.
    const { payload } = decodeEnvelope(setUp);
    const hintKey = inboxHintKey(crypto, decodeInvite(crypto, link).hash);
    const relayed = encodeEnvelope(inboxHint(crypto, hintKey, decodeHandshake(payload).ephemeralKey), payload);
    expect(feed(bob.machine, world.nowMs, relayed)).toEqual({ ...REFUSED, dropped: "hello: does not verify" });
  });

  test("F3 safety numbers are the same on both sides and differ for every other pair", () => {
    const world = new World();
    const people = ["a", "b", "c", "d"].map((name) => new Person(world, name, {}, crypto));
    const numbers = new Set<string>();
    for (const [index, one] of people.entries()) {
      for (const other of people.slice(index + 1)) {
        const conversationId = one.accept(other.invite());
        world.run(5000);
        const [ours, theirs] = [one, other].map(
          (person) => person.call({ case: "getSafetyNumber", value: { conversationId } }, "safetyNumber").digits,
        );
        expect(ours).toMatch(/^\d{5}( \d{5}){11}$/);
        expect(ours).toBe(theirs);
        numbers.add(ours!);
      }
    }
    expect(numbers.size).toBe(6);
  });
});
