import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { SessionState } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { SendingChainSchema, SessionSchema } from "@chatsdk/abi/records_pb";
import {
  ContentFrameSchema,
  FrameSchema,
  InboxHandshakeSchema,
  InitiatorHelloSchema,
  PayloadSchema,
  SegmentSchema,
} from "@chatsdk/abi/wire_pb";
import { ChatError, Entropy, nobleCrypto as crypto } from "@chatsdk/core";
import { describe, expect, test } from "vitest";
import { concatBytes, utf8ToBytes } from "../../core/src/bytes.ts";
import { encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { pad } from "../../core/src/envelope/padding.ts";
import { InitiatorAgreement, inboxHint, inboxHintKey } from "../../core/src/handshake/key-agreement.ts";
import { decodeInvite, encodeInvite } from "../../core/src/invite/invite-link.ts";
import { newStream } from "../../core/src/machine/setting-up.ts";
import { ratchetEncrypt } from "../../core/src/ratchet/double-ratchet.ts";
import { encodeSds } from "../../core/src/reliability/sds.ts";
import { pair, Person, text } from "../src/people.ts";
import { World } from "../src/world.ts";

const LOW_ORDER = new Uint8Array(32);

/** Somebody who holds a link and writes what no honest client writes. */
class Mallory {
  readonly topic: string;
  readonly #entropy = new Entropy(crypto, crypto.sha256(utf8ToBytes("mallory")));
  readonly #seed = this.#entropy.bytes(32);
  readonly #session;
  readonly #messageIdKey: Uint8Array;
  readonly #wrap: (message: Uint8Array) => Uint8Array;
  #sequence = 0;

  constructor(
    link: string,
    readonly nowMs: number,
    hello: MessageInitShape<typeof InitiatorHelloSchema>,
  ) {
    const { bundle, hash: binding } = decodeInvite(crypto, link);
    this.topic = bundle.deliveryAddress;
    const { identityKey: responderIdentity, signedPrekey: prekey } = bundle;
    const agreement = new InitiatorAgreement(crypto, this.#entropy.bytes(32), responderIdentity, prekey);
    const { ephemeralKey } = agreement;
    const ratchetSecret = this.#entropy.bytes(32);
    const initiatorIdentity = crypto.ed25519PublicKey(this.#seed);
    const encoded = toBinary(
      InitiatorHelloSchema,
      create(InitiatorHelloSchema, {
        identityKey: initiatorIdentity,
        ratchetKey: crypto.x25519PublicKey(ratchetSecret),
        suite: 1,
        deliveryAddress: bundle.deliveryAddress,
        createdMs: BigInt(nowMs),
        recoveryPrekey: crypto.x25519PublicKey(this.#entropy.bytes(32)),
        ...hello,
      }),
    );
    const { key, nonce } = agreement.helloKey(binding);
    const encryptedHello = crypto.aeadSeal(key, nonce, pad(encoded), concatBytes(binding, ephemeralKey));
    const secrets = agreement.session(this.#seed, {
      ...{ suite: hello.suite ?? 1, binding, initiatorIdentity, responderIdentity, ephemeralKey, prekey },
      hello: encoded,
    });
    this.#messageIdKey = secrets.messageIdKey;
    this.#session = create(SessionSchema, {
      associatedData: secrets.associatedData,
      rootKey: secrets.rootKey,
      ratchetSecret,
      sending: create(SendingChainSchema, { chainKey: secrets.chainKey, headerKey: secrets.headerKey }),
    });
    const hint = inboxHint(crypto, inboxHintKey(crypto, binding), ephemeralKey);
    this.#wrap = (message) =>
      encodeEnvelope(
        hint,
        toBinary(InboxHandshakeSchema, create(InboxHandshakeSchema, { ephemeralKey, encryptedHello, message })),
      );
  }

  #seal(payload: MessageInitShape<typeof PayloadSchema>["kind"]) {
    const stream = newStream(this.#messageIdKey);
    const sequence = ++this.#sequence;
    stream.nextSequence = sequence + 1;
    const content = toBinary(PayloadSchema, create(PayloadSchema, { kind: payload! }));
    const sds = encodeSds({ crypto, idKey: this.#messageIdKey, initiator: true }, stream, this.nowMs, {
      message: { sequence, lamport: BigInt(this.nowMs), payload: content },
    });
    return ratchetEncrypt(crypto, this.#session, pad(sds), this.#entropy);
  }

  /** The first envelope, with a text. */
  first(): Uint8Array {
    const frame = create(FrameSchema, { content: create(ContentFrameSchema, text("hello")) });
    return this.#wrap(this.#seal({ case: "frame", value: frame }).payload);
  }

  send(payload: MessageInitShape<typeof PayloadSchema>["kind"]): Uint8Array {
    const { hint, payload: message } = this.#seal(payload);
    return encodeEnvelope(hint, message);
  }

  /** A part of a frame of two parts that does not have this hash. */
  segment(index: number): Uint8Array {
    const part = { entireMessageHash: new Uint8Array(32), index, segmentCount: 2, payload: Uint8Array.of(1) };
    return this.send({ case: "segment", value: create(SegmentSchema, part) });
  }
}

function take(person: Person, topic: string, ...envelopes: Uint8Array[]): void {
  for (const payload of envelopes)
    person.world.feed(person.machine, { case: "envelopeReceived", value: { topic, payload } });
}

describe("a peer that breaks the rules harms nobody but itself", () => {
  test.each([
    ["a ratchet key of low order", { ratchetKey: LOW_ORDER }],
    ["a recovery prekey of low order", { recoveryPrekey: LOW_ORDER }],
    ["an encapsulation key that is none", { suite: 2, kemKey: new Uint8Array(1184).fill(0xff) }],
    ["an address of another application", { deliveryAddress: "/another/1/0/proto" }],
  ])("F3 02 a set-up with %s is refused when it arrives", (_, hello) => {
    const world = new World();
    const bob = new Person(world, "bob");
    const mallory = new Mallory(bob.invite(), world.nowMs, hello);
    take(bob, mallory.topic, mallory.first());
    expect(bob.eventsOf("conversationStarted")).toEqual([]);
    // What would only fail in the answer would stop all timers.
    world.run(600_000);
    expect(world.published).toEqual([]);
  });

  test("R1 06 segments that do not make a frame are dropped, also those held back behind a gap, and timers go on", () => {
    const world = new World();
    const bob = new Person(world, "bob");
    const mallory = new Mallory(bob.invite(), world.nowMs, {});
    const envelopes = [mallory.first(), mallory.segment(0)];
    mallory.segment(0);
    take(bob, mallory.topic, ...envelopes, mallory.segment(1));
    const carol = new Person(world, "carol");
    const id = carol.accept(bob.invite());
    world.run(600_000);
    expect(bob.texts).toEqual(["hello", "hello"]);
    expect(bob.eventsOf("messagesMissing").length).toBe(1);
    bob.send(id, "timers go on");
    world.run(600_000);
    expect(carol.texts).toEqual(["timers go on"]);
  });

  test("U2 01 a link with a prekey of low order is an invalid link", () => {
    const world = new World();
    const [alice, bob] = [new Person(world, "alice"), new Person(world, "bob")];
    const { bundle } = decodeInvite(crypto, bob.invite());
    const seed = new Uint8Array(32).fill(1);
    const identityKey = crypto.ed25519PublicKey(seed);
    const { link } = encodeInvite(crypto, seed, { ...bundle, identityKey, signedPrekey: LOW_ORDER });
    expect(() => alice.accept(link)).toThrow(ChatError);
    try {
      alice.accept(link);
    } catch (error) {
      expect((error as ChatError).code).toBe(ErrorCode.INVALID_INVITE);
    }
  });

  test("U1 02 a set-up that claims to be old does not make the responder fetch all history", () => {
    const world = new World();
    const bob = new Person(world, "bob");
    const link = bob.invite();
    const mallory = new Mallory(link, world.nowMs, { createdMs: 0n });
    const { effects } = bob.machine.step(world.nowMs, {
      case: "envelopeReceived",
      value: { topic: mallory.topic, payload: mallory.first() },
    });
    const starts = effects.flatMap(({ effect }) =>
      effect.case === "queryHistory" ? [Number(effect.value.startMs)] : [],
    );
    expect(starts.length).toBe(1);
    expect(world.nowMs - starts[0]!).toBeLessThanOrEqual(120_000);
  });

  test("F3 02 a repair that nobody answered can be asked for again", () => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world);
    bob.send(conversationId, "x");
    world.run(70_000);
    world.switchOff(bob.machine);
    alice.machine.restart();
    world.feed(alice.machine, { case: "start", value: { rolledBack: true } });
    alice.call({ case: "repairConversation", value: { conversationId } }, "done");
    world.run(2 * 86_400_000);
    alice.call({ case: "repairConversation", value: { conversationId } }, "done");
    world.switchOn(bob.machine);
    world.run(60_000);
    expect(bob.eventsOf("sessionStateChanged").at(-1)!.sessionState).toBe(SessionState.REPAIR_REQUESTED);
    bob.call({ case: "acceptRepair", value: { conversationId } }, "done");
    world.run(60_000);
    bob.send(conversationId, "again");
    alice.send(conversationId, "and again");
    world.run(60_000);
    expect(alice.texts.at(-1)).toBe("again");
    expect(bob.texts.at(-1)).toBe("and again");
  });
});
