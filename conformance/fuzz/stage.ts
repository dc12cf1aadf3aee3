import { clone, create } from "@bufbuild/protobuf";
import { type Session, SessionSchema } from "@chatsdk/abi/records_pb";
import { InboxHandshakeSchema, SdsMessageSchema } from "@chatsdk/abi/wire_pb";
import { nodeCrypto } from "@chatsdk/client";
import { ChatError, Entropy } from "@chatsdk/core";
import { encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { pad } from "../../core/src/envelope/padding.ts";
import { Rejected } from "../../core/src/errors.ts";
import { findPosition } from "../../core/src/ratchet/awaited-hints.ts";
import { ratchetDecrypt, ratchetEncrypt } from "../../core/src/ratchet/double-ratchet.ts";
import { messageId } from "../../core/src/reliability/message-id.ts";
import type { Machine } from "../src/machine.ts";
import { pair, Person } from "../src/people.ts";
import { World } from "../src/world.ts";
import { encoded, payloads } from "./samples.ts";
import { conversationOf } from "./scene.ts";

const ENTROPY = new Uint8Array(32).fill(7);

/**
 * Bob's machine, and what somebody may say to it who has the keys for it: alice has those of a session, carol holds a
 * link. Nothing is committed: every input meets the same machine.
 */
export class Stage {
  readonly #world = new World(77);
  readonly #bob: Person;
  /** Alice's session, before the message to be delivered. */
  readonly #session: Session;
  readonly #peerSession: Session;
  readonly #idKey: Uint8Array;
  readonly #sequence: number;
  readonly #setUp: Uint8Array;
  readonly #corrupt: Machine;

  constructor() {
    const world = this.#world;
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    bob.send(conversationId, "an answer");
    world.run(10_000);
    alice.send(conversationId, "and another");
    world.run(100_000);
    // Bob's acknowledgement has started a chain: from now on alice awaits it and the one after it.
    alice.send(conversationId, "and one more");
    world.run(1000);
    this.#bob = bob;
    const carol = new Person(world, "carol", {}, nodeCrypto);
    const link = bob.invite(true);
    world.censor = ({ from }) => from === "carol";
    carol.accept(link);
    this.#setUp = world.published.at(-1)!.payload;

    const record = conversationOf(alice, conversationId);
    this.#session = record.session!;
    this.#peerSession = conversationOf(bob, conversationId).session!;
    this.#idKey = record.reliability!.idKey;
    this.#sequence = record.reliability!.nextSequence;
    this.#corrupt = bob.machine.clone("corrupt");
  }

  /** The session of a responder that has answered, and of the initiator that has not got the answer. */
  firstAnswer(): { answering: Session; waiting: Session } {
    const world = new World(78);
    world.censor = ({ from }) => from === "bob";
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    bob.send(conversationId, "an answer");
    return {
      answering: conversationOf(bob, conversationId).session!,
      waiting: conversationOf(alice, conversationId).session!,
    };
  }

  /** Alice's session, which awaits messages of a chain and of the one after it. */
  listening(): Session {
    return clone(SessionSchema, this.#session);
  }

  /** Carol's first envelope. */
  get setUp(): Uint8Array {
    return this.#setUp;
  }

  /** Alice's next. */
  genuineEnvelope(): Uint8Array {
    return this.#sealed(pad(this.#sds(payloads[0]!)));
  }

  sdsSamples(): Uint8Array[] {
    return payloads.map((payload) => this.#sds(payload));
  }

  /** As bob's machine would. */
  decrypt(hint: Uint8Array, payload: Uint8Array): void {
    const session = clone(SessionSchema, this.#peerSession);
    const position = findPosition(nodeCrypto, session, hint, false);
    if (!position) throw new Error("the stage is set wrongly: nothing is awaited under this hint");
    ratchetDecrypt(nodeCrypto, session, position, { hint, payload }, this.#world.nowMs);
  }

  /** A plaintext of alice's choice. */
  deliver(plaintext: Uint8Array): void {
    this.feed(this.#sealed(plaintext));
  }

  /** A payload of alice's choice in an SDS message as it should be. */
  deliverPayload(content: Uint8Array): void {
    this.deliver(pad(this.#sds(content)));
  }

  /** Nothing that comes from the network may leave the machine as an error, not even one of the SDK's own. */
  feed(payload: Uint8Array): void {
    const { changes, reply } = this.#feed(this.#bob.machine, payload);
    if (reply) throw new Error("an envelope has no reply");
    if (changes.length === 0) throw new Rejected("dropped by the machine");
  }

  recordSamples(key: string): Uint8Array[] {
    const { vault, disk } = this.#bob.machine;
    return [vault.openRecord(key, disk.records.get(key)!)];
  }

  /** An envelope arrives while the database holds this as the record that every unknown envelope needs. */
  feedWithState(bytes: Uint8Array): void {
    const { vault, disk } = this.#corrupt;
    disk.records.set("state", vault.sealRecord("state", bytes, new Entropy(nodeCrypto, ENTROPY)));
    const handshake = create(InboxHandshakeSchema, { ephemeralKey: new Uint8Array(32).fill(9) });
    this.#feed(this.#corrupt, encodeEnvelope(new Uint8Array(8), encoded(InboxHandshakeSchema, handshake)));
  }

  #feed(machine: Machine, payload: Uint8Array) {
    const input = { case: "envelopeReceived" as const, value: { topic: "", payload } };
    try {
      return machine.prepare(this.#world.nowMs, input, ENTROPY);
    } catch (error) {
      if (error instanceof Rejected || error instanceof ChatError)
        throw new Error("left the machine", { cause: error });
      throw error;
    }
  }

  #sealed(plaintext: Uint8Array): Uint8Array {
    const session = clone(SessionSchema, this.#session);
    const { hint, payload } = ratchetEncrypt(nodeCrypto, session, plaintext, new Entropy(nodeCrypto, ENTROPY));
    return encodeEnvelope(hint, payload);
  }

  #sds(content: Uint8Array): Uint8Array {
    const sequence = this.#sequence;
    const id = messageId(nodeCrypto, this.#idKey, true, sequence);
    const lamportTimestamp = BigInt(this.#world.nowMs);
    return encoded(SdsMessageSchema, { messageId: id, sequence, content, lamportTimestamp, acknowledged: 1 });
  }
}
