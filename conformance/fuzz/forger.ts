import { create } from "@bufbuild/protobuf";
import { nodeCrypto } from "@chatsdk/client";
import { EnvelopeSchema, type InboxHandshake, InboxHandshakeSchema } from "@chatsdk/abi/wire_pb";
import { decode, encode } from "../../core/src/codec.ts";
import { decodeEnvelope, encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { inboxHint, inboxHintKey } from "../../core/src/handshake/key-agreement.ts";
import { decodeInvite } from "../../core/src/invite/invite-link.ts";
import { SEALED_HEADER_LENGTH } from "../../core/src/ratchet/header.ts";
import { Chance } from "./chance.ts";
import type { Scene } from "./scene.ts";

/** X25519 public keys with which every agreement gives zero (RFC 7748 section 6.1 and its twins beyond the field). */
export const LOW_ORDER_KEYS = [
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
].flatMap((hex) => {
  const key = new Uint8Array(Buffer.from(hex, "hex"));
  const twin = Uint8Array.from(key);
  twin[31]! |= 0x80;
  return [key, twin];
});

interface Parts {
  hint: Uint8Array;
  payload: Uint8Array;
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Reads an envelope of a set-up. */
function handshakeOf(envelope: Uint8Array): InboxHandshake {
  return decode(InboxHandshakeSchema, decodeEnvelope(envelope).payload, "handshake");
}

/** Two envelopes with one such text mean the same to every receiver: protobuf can say one thing in several ways. */
function meaning(envelope: Uint8Array, isSetUp: (hint: string) => boolean): string | undefined {
  try {
    const { hint, payload } = decodeEnvelope(envelope);
    const name = Buffer.from(hint).toString("latin1");
    const canonical = isSetUp(name)
      ? encode(InboxHandshakeSchema, decode(InboxHandshakeSchema, payload, "handshake"))
      : payload;
    return name + Buffer.from(canonical).toString("latin1");
  } catch {
    return undefined;
  }
}

/** What an attacker makes who sees all traffic, alters it at will, and holds the links. */
export class Forger {
  readonly #chance: Chance;
  readonly #held: Uint8Array[];
  readonly #parts: Parts[];
  readonly #ratchetParts: Parts[];
  readonly #setUps: InboxHandshake[];
  readonly #setUpHints: Uint8Array[];
  readonly #accepted: Uint8Array[];
  readonly #acceptedSetUps: InboxHandshake[];
  readonly #own: Uint8Array[];
  readonly #foreign: Uint8Array[];
  readonly #all: Parts[];
  readonly #hintKeys: Uint8Array[];
  readonly #genuine: Set<string | undefined>;
  readonly #isSetUp: (hint: string) => boolean;

  constructor(scene: Scene, seed: number) {
    this.#chance = new Chance(seed);
    this.#held = scene.held.map(({ payload }) => payload);
    this.#parts = this.#held.map(decodeEnvelope);
    const setUps = scene.held.filter(({ from }) => ["fay", "gus", "hal"].includes(from)).map(({ payload }) => payload);
    this.#ratchetParts = this.#held.filter((payload) => !setUps.includes(payload)).map(decodeEnvelope);
    this.#accepted = scene.accepted;
    this.#acceptedSetUps = scene.acceptedSetUps.map(handshakeOf);
    this.#setUps = [...setUps.map(handshakeOf), ...this.#acceptedSetUps];
    this.#setUpHints = setUps.map((payload) => decodeEnvelope(payload).hint);
    this.#own = scene.own;
    this.#foreign = scene.foreign;
    this.#all = [...this.#held, ...this.#accepted, ...this.#own, ...this.#foreign].map(decodeEnvelope);
    this.#hintKeys = Object.values(scene.links).map((link) =>
      inboxHintKey(nodeCrypto, decodeInvite(nodeCrypto, link).hash),
    );
    const hints = new Set(this.#setUpHints.map((hint) => Buffer.from(hint).toString("latin1")));
    this.#isSetUp = (hint) => hints.has(hint);
    this.#genuine = new Set(this.#held.map((payload) => meaning(payload, this.#isSetUp)));
  }

  /** One forged envelope of a kind: never one that means the same as a genuine one that is held back. */
  forge(kind: ForgeryKind): Uint8Array {
    for (;;) {
      const forged = this[kind]();
      const name = meaning(forged, this.#isSetUp);
      if (name === undefined || !this.#genuine.has(name)) return forged;
    }
  }

  randomBytes(): Uint8Array {
    return this.#chance.bytes(this.#chance.below(1500));
  }

  randomWellFormed(): Uint8Array {
    return encodeEnvelope(this.#chance.bytes(8), this.#chance.bytes(this.#chance.below(1500)));
  }

  awaitedHint(): Uint8Array {
    const payload = this.#chance.bytes(this.#chance.below(700));
    return encodeEnvelope(this.#chance.pick(this.#parts).hint, payload);
  }

  truncated(): Uint8Array {
    const genuine = this.#chance.pick(this.#held);
    if (this.#chance.once(3)) return genuine.slice(0, this.#chance.below(genuine.length));
    const { hint, payload } = this.#chance.pick(this.#parts);
    const cut = this.#chance.below(payload.length);
    return encodeEnvelope(hint, this.#chance.once(2) ? payload.subarray(0, cut) : payload.subarray(cut + 1));
  }

  extended(): Uint8Array {
    const { hint, payload } = this.#chance.pick(this.#parts);
    const at = this.#chance.once(2) ? payload.length : this.#chance.below(payload.length);
    const more = this.#chance.bytes(1 + this.#chance.below(64));
    return encodeEnvelope(hint, concat(payload.subarray(0, at), more, payload.subarray(at)));
  }

  bitFlipped(): Uint8Array {
    return this.#chance.flip(this.#chance.pick(this.#held), 1);
  }

  manyBitsFlipped(): Uint8Array {
    const { hint, payload } = this.#chance.pick(this.#parts);
    return encodeEnvelope(hint, this.#chance.flip(payload, 2 + this.#chance.below(30)));
  }

  replayed(): Uint8Array {
    return this.#chance.pick(this.#accepted);
  }

  replayedAltered(): Uint8Array {
    return this.#chance.flip(this.#chance.pick(this.#accepted), 1 + this.#chance.below(4));
  }

  foreign(): Uint8Array {
    const envelope = this.#chance.pick(this.#foreign);
    return this.#chance.once(2) ? envelope : this.#chance.flip(envelope, 1);
  }

  reflected(): Uint8Array {
    const envelope = this.#chance.pick(this.#own);
    return this.#chance.once(2) ? envelope : this.#chance.flip(envelope, 1);
  }

  /** The hint of one with the payload of another: of another conversation, account, machine, direction or time. */
  splicedHint(): Uint8Array {
    return encodeEnvelope(this.#chance.pick(this.#parts).hint, this.#chance.pick(this.#all).payload);
  }

  /** The header (and hint) of one with the body of another. */
  splicedBody(): Uint8Array {
    const { hint, payload } = this.#chance.pick(this.#ratchetParts);
    const other = this.#chance.pick(this.#all).payload;
    const cut = this.#chance.once(2) ? SEALED_HEADER_LENGTH : this.#chance.below(payload.length);
    return encodeEnvelope(hint, concat(payload.subarray(0, cut), other.subarray(cut)));
  }

  /** The body of one after the header of another, under the body's hint. */
  splicedHeader(): Uint8Array {
    const { hint, payload } = this.#chance.pick(this.#ratchetParts);
    const other = this.#chance.pick(this.#all).payload;
    return encodeEnvelope(
      hint,
      concat(other.subarray(0, SEALED_HEADER_LENGTH), payload.subarray(SEALED_HEADER_LENGTH)),
    );
  }

  mixedHandshake(): Uint8Array {
    const [a, b, c] = [
      this.#chance.pick(this.#setUps),
      this.#chance.pick(this.#setUps),
      this.#chance.pick(this.#setUps),
    ];
    const message = this.#chance.once(3) ? this.#chance.pick(this.#all).payload : c.message;
    return this.#inbox(a.ephemeralKey, b.encryptedHello, message);
  }

  randomEphemeral(): Uint8Array {
    const { encryptedHello, message } = this.#chance.pick(this.#setUps);
    return this.#inbox(this.#chance.bytes(32), encryptedHello, message);
  }

  lowOrderEphemeral(): Uint8Array {
    const { encryptedHello, message } = this.#chance.pick(this.#setUps);
    return this.#inbox(this.#chance.pick(LOW_ORDER_KEYS), encryptedHello, message);
  }

  /** An accepted set-up again, with another hello or message, or with another spelling of its ephemeral key. */
  replayedSetUp(): Uint8Array {
    const { ephemeralKey, encryptedHello, message } = this.#chance.pick(this.#acceptedSetUps);
    const key = Uint8Array.from(ephemeralKey);
    if (this.#chance.once(3)) key[31]! ^= 0x80;
    const hello = this.#chance.once(2) ? encryptedHello : this.#chance.flip(encryptedHello, 1);
    return this.#inbox(key, hello, this.#chance.once(2) ? message : this.#chance.flip(message, 1));
  }

  /** A set-up on its way, altered in one part. */
  alteredSetUp(): Uint8Array {
    const at = this.#chance.below(this.#setUpHints.length);
    const { ephemeralKey, encryptedHello, message } = this.#setUps[at]!;
    const parts = [ephemeralKey, encryptedHello, message] as [Uint8Array, Uint8Array, Uint8Array];
    const which = this.#chance.below(3);
    const part = parts[which]!;
    const cut = which > 0 && this.#chance.once(3);
    parts[which] = cut ? part.slice(0, this.#chance.below(part.length)) : this.#chance.flip(part, 1);
    if (this.#chance.once(2)) return this.#inbox(...parts);
    return encodeEnvelope(this.#setUpHints[at]!, this.#handshake(...parts));
  }

  #handshake(ephemeralKey: Uint8Array, encryptedHello: Uint8Array, message: Uint8Array): Uint8Array {
    return encode(InboxHandshakeSchema, create(InboxHandshakeSchema, { ephemeralKey, encryptedHello, message }));
  }

  /** With a hint that is right for one of the links, or that of a repair. */
  #inbox(ephemeralKey: Uint8Array, encryptedHello: Uint8Array, message: Uint8Array): Uint8Array {
    const hint = this.#chance.once(4)
      ? this.#setUpHints.at(-1)!
      : inboxHint(nodeCrypto, this.#chance.pick(this.#hintKeys), ephemeralKey);
    const payload = this.#handshake(ephemeralKey, encryptedHello, message);
    return encode(EnvelopeSchema, create(EnvelopeSchema, { hint, payload }));
  }
}

export type ForgeryKind = Exclude<keyof Forger, "forge">;
