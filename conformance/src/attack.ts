import { clone, create, fromBinary } from "@bufbuild/protobuf";
import { TextSchema } from "@chatsdk/abi/content_pb";
import {
  type ConversationRecord,
  ConversationRecordSchema,
  type Session,
  SessionSchema,
} from "@chatsdk/abi/records_pb";
import {
  type InboxHandshake,
  type InitiatorHello,
  InitiatorHelloSchema,
  PayloadSchema,
  SdsMessageSchema,
} from "@chatsdk/abi/wire_pb";
import type { Crypto } from "@chatsdk/core";
import { concatBytes, EMPTY, equalBytes } from "../../core/src/bytes.ts";
import { encode } from "../../core/src/codec.ts";
import { Entropy } from "../../core/src/entropy.ts";
import { decodeEnvelope, encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { pad, unpad } from "../../core/src/envelope/padding.ts";
import { accept, decodeHandshake, firstPayload, initiate } from "../../core/src/handshake/handshake.ts";
import { InitiatorAgreement, inboxHint, inboxHintKey } from "../../core/src/handshake/key-agreement.ts";
import { decodeInvite } from "../../core/src/invite/invite-link.ts";
import { advanceChain } from "../../core/src/ratchet/chain-key.ts";
import { findPosition } from "../../core/src/ratchet/awaited-hints.ts";
import { ratchetDecrypt, ratchetEncrypt } from "../../core/src/ratchet/double-ratchet.ts";
import { SEALED_HEADER_LENGTH } from "../../core/src/ratchet/header.ts";
import { openMessage } from "../../core/src/ratchet/message-key.ts";
import { encodeSds } from "../../core/src/reliability/sds.ts";
import type { Machine } from "./machine.ts";

const TAG_LENGTH = 16;
const KEY_LENGTH = 32;

/** All records of a machine, opened: what somebody with its disk and its vault key sees. */
export function openedRecords(machine: Machine, prefix = ""): { key: string; bytes: Uint8Array }[] {
  return machine.disk
    .keysUnder(prefix)
    .map((key) => ({ key, bytes: machine.vault.openRecord(key, machine.disk.records.get(key)!) }));
}

export function conversationRecord(machine: Machine, conversationId: string): ConversationRecord {
  const [record] = openedRecords(machine, `conv/${conversationId}`);
  return fromBinary(ConversationRecordSchema, record!.bytes);
}

/** What one envelope led to. */
export interface Fed {
  texts: string[];
  /** Why it was dropped; `undefined` if it was taken. */
  dropped: string | undefined;
  /** Nothing was stored, and nothing but a log line came out. */
  untouched: boolean;
}

/** Feeds an envelope to a machine that has no network. */
export function feed(machine: Machine, nowMs: number, payload: Uint8Array): Fed {
  const before = machine.disk.fingerprint();
  const { events, effects, changes } = machine.step(nowMs, { case: "envelopeReceived", value: { topic: "", payload } });
  const logs = effects.flatMap(({ effect }) => (effect.case === "log" ? [effect.value.message] : []));
  return {
    texts: events.flatMap(({ event }) => (event.case === "messageReceived" ? [event.value.message!.text ?? ""] : [])),
    dropped: logs.find((line) => line.startsWith("envelope dropped: "))?.slice("envelope dropped: ".length),
    untouched:
      machine.disk.fingerprint() === before &&
      changes.length === 0 &&
      events.length === 0 &&
      effects.length === logs.length,
  };
}

/**
 * A thief that does not care how the machine would use what it has stored: each 32 bytes in its records, at whatever
 * position, may be the key that is looked for.
 */
export class KeySearch {
  readonly #keys = new Map<string, Uint8Array>();
  readonly #crypto: Crypto;

  constructor(crypto: Crypto, machine: Machine) {
    this.#crypto = crypto;
    for (const { key, bytes } of openedRecords(machine)) {
      if (/^(event|timer|state|generation)/.test(key)) continue;
      for (let offset = 0; offset + KEY_LENGTH <= bytes.length; offset++) {
        const window = bytes.slice(offset, offset + KEY_LENGTH);
        // A link, an address, an id: no key is made of printable characters alone.
        if (!window.every((byte) => byte >= 0x20 && byte < 0x7f))
          this.#keys.set(Buffer.from(window).toString("latin1"), window);
      }
    }
  }

  /** True if one of them opens the envelope as a message key, or as the key of its chain up to `steps` messages before. */
  opensMessage(associatedData: Uint8Array, envelope: Uint8Array, steps = 2): boolean {
    const { hint, payload } = decodeEnvelope(envelope);
    const start = bodyStart(payload);
    const bound = concatBytes(associatedData, hint, payload.subarray(0, start));
    const body = payload.subarray(start);
    for (const key of this.#keys.values()) {
      if (openMessage(this.#crypto, key, body, bound)) return true;
      let chainKey = key;
      for (let step = 0; step < steps; step++) {
        const next = advanceChain(this.#crypto, chainKey);
        if (openMessage(this.#crypto, next.messageKey, body, bound)) return true;
        chainKey = next.chainKey;
      }
    }
    return false;
  }

  /** True if one of them is the prekey secret of a set-up. */
  opensSetUp(responder: { identitySeed: Uint8Array; link: string }, envelope: Uint8Array): boolean {
    const handshake = decodeHandshake(decodeEnvelope(envelope).payload);
    const { bundle, hash } = decodeInvite(this.#crypto, responder.link);
    for (const secret of this.#keys.values()) {
      const prekey = { ...responder, secret, publicKey: bundle.signedPrekey, binding: hash, suites: bundle.suites };
      try {
        accept(this.#crypto, prekey, new Uint8Array(KEY_LENGTH), handshake, 0);
        return true;
      } catch {
        // Not this one.
      }
    }
    return false;
  }
}

/** A thief with a copy of a session and all the code: it follows the conversation as far as its keys go. */
export class Eavesdropper {
  readonly #crypto: Crypto;
  #session: Session;

  constructor(crypto: Crypto, machine: Machine, conversationId: string) {
    this.#crypto = crypto;
    this.#session = conversationRecord(machine, conversationId).session!;
  }

  /** The text inside an envelope to the victim, or why it stays closed. */
  read(nowMs: number, envelope: Uint8Array): { text?: string; closed?: string } {
    const { hint, payload } = decodeEnvelope(envelope);
    const session = clone(SessionSchema, this.#session);
    const position = findPosition(this.#crypto, session, hint, true);
    if (!position) return { closed: "hint: not awaited" };
    try {
      const { plaintext } = ratchetDecrypt(this.#crypto, session, position, { hint, payload }, nowMs);
      this.#session = session;
      const { content } = fromBinary(SdsMessageSchema, unpad(plaintext));
      const { kind } = fromBinary(PayloadSchema, content ?? EMPTY);
      const text = kind.case === "frame" ? fromBinary(TextSchema, kind.value.content!.payload).text : "";
      return { text };
    } catch (error) {
      return { closed: (error as Error).message };
    }
  }

  /** Takes the ratchet step that the victim has taken by now, with a secret of its own for want of the victim's. */
  guessStep(): void {
    ratchetEncrypt(this.#crypto, this.#session, EMPTY, new Entropy(this.#crypto, new Uint8Array(KEY_LENGTH)));
  }
}

/** Where the body begins: behind the header, and behind a responder hello if the rest has no padded length. */
function bodyStart(payload: Uint8Array): number {
  const hellos = [0, 34 + TAG_LENGTH, 1091 + 34 + TAG_LENGTH];
  const isPadded = (length: number): boolean => length >= 256 && (length & (length - 1)) === 0;
  const hello = hellos.find((length) => isPadded(payload.length - SEALED_HEADER_LENGTH - length - TAG_LENGTH));
  if (hello === undefined) throw new Error("no padded body");
  return SEALED_HEADER_LENGTH + hello;
}

/** The set-up an initiator makes, with everything it knows: what a liar among the link's holders can change. */
export class SetUpByHand {
  readonly hello: InitiatorHello;
  readonly #crypto: Crypto;
  readonly #seed: Uint8Array;
  readonly #link: string;
  readonly #identitySeed: Uint8Array;
  readonly #nowMs: number;
  readonly #suite: number;

  constructor(crypto: Crypto, options: { link: string; identitySeed: Uint8Array; suite: number; nowMs: number }) {
    this.#crypto = crypto;
    this.#link = options.link;
    this.#identitySeed = options.identitySeed;
    this.#suite = options.suite;
    this.#nowMs = options.nowMs;
    this.#seed = crypto.sha256(Buffer.from(`set-up ${options.nowMs}`));
    const { bundle } = decodeInvite(crypto, this.#link);
    const entropy = new Entropy(crypto, this.#seed);
    entropy.bytes(32);
    const ratchetKey = crypto.x25519PublicKey(entropy.bytes(32));
    const kemKey = this.#suite === 2 ? crypto.mlKem768PublicKey(entropy.bytes(64)) : new Uint8Array(0);
    this.hello = create(InitiatorHelloSchema, {
      identityKey: crypto.ed25519PublicKey(this.#identitySeed),
      ratchetKey,
      suite: this.#suite,
      kemKey,
      deliveryAddress: bundle.deliveryAddress,
      createdMs: BigInt(this.#nowMs),
      recoveryPrekey: crypto.x25519PublicKey(crypto.sha256(ratchetKey)),
    });
  }

  #responder() {
    const { bundle, hash } = decodeInvite(this.#crypto, this.#link);
    return { identityKey: bundle.identityKey, prekey: bundle.signedPrekey, binding: hash };
  }

  /** As the protocol says. */
  #honest(plaintext: Uint8Array) {
    const { identityKey: _, ...hello } = this.hello;
    const entropy = new Entropy(this.#crypto, this.#seed);
    const initiator = { ...hello, identitySeed: this.#identitySeed };
    const made = initiate(this.#crypto, initiator, this.#responder(), this.#suite, this.#nowMs, entropy);
    return { made, handshake: decodeHandshake(firstPayload(this.#crypto, made, plaintext, entropy)) };
  }

  #envelope(handshake: Pick<InboxHandshake, "ephemeralKey" | "encryptedHello" | "message">): Uint8Array {
    const { binding } = this.#responder();
    const hint = inboxHint(this.#crypto, inboxHintKey(this.#crypto, binding), handshake.ephemeralKey);
    const { ephemeralKey, encryptedHello, message } = handshake;
    const field = (number: number, bytes: Uint8Array): Uint8Array =>
      concatBytes(Uint8Array.of((number << 3) | 2, (bytes.length & 127) | 128, bytes.length >> 7), bytes);
    const payload = concatBytes(field(1, ephemeralKey), field(2, encryptedHello), field(3, message));
    return encodeEnvelope(hint, payload);
  }

  /** The first SDS message, a content in it. */
  #first(content: Uint8Array): Uint8Array {
    const { made } = this.#honest(new Uint8Array(0));
    const ids = { crypto: this.#crypto, idKey: made.messageIdKey, initiator: true };
    const stream = { nextSequence: 1, acknowledged: 0, received: [], abandoned: [], lamport: 0n };
    const message = { sequence: 1, lamport: BigInt(this.#nowMs), payload: content };
    return pad(encodeSds(ids, stream as never, this.#nowMs, { message }));
  }

  /** Unchanged: it must be accepted, or the changed ones prove nothing. */
  honest(content: Uint8Array): Uint8Array {
    return this.#envelope(this.#honest(this.#first(content)).handshake);
  }

  /** With another hello, sealed again by who made the ephemeral key, around the message of the honest set-up. */
  withHello(content: Uint8Array, hello: Uint8Array): Uint8Array {
    const { handshake } = this.#honest(this.#first(content));
    return this.#envelope({ ...handshake, encryptedHello: this.#sealHello(hello) });
  }

  /** With another hello, and a message under the keys that this hello gives to who holds the ephemeral and the own identity. */
  throughout(content: Uint8Array, hello: Uint8Array): Uint8Array {
    const ephemeral = new Entropy(this.#crypto, this.#seed).bytes(32);
    const { identityKey, prekey, binding } = this.#responder();
    const agreement = new InitiatorAgreement(this.#crypto, ephemeral, identityKey, prekey);
    const secrets = agreement.session(this.#identitySeed, {
      suite: fromBinary(InitiatorHelloSchema, hello).suite,
      binding,
      initiatorIdentity: fromBinary(InitiatorHelloSchema, hello).identityKey,
      responderIdentity: identityKey,
      ephemeralKey: agreement.ephemeralKey,
      prekey,
      hello,
    });
    const entropy = new Entropy(this.#crypto, this.#seed);
    entropy.bytes(32);
    const session = create(SessionSchema, {
      associatedData: secrets.associatedData,
      ratchetSecret: entropy.bytes(32),
      sending: { chainKey: secrets.chainKey, headerKey: secrets.headerKey, next: 0 },
    });
    const ids = { crypto: this.#crypto, idKey: secrets.messageIdKey, initiator: true };
    const stream = { nextSequence: 1, acknowledged: 0, received: [], abandoned: [], lamport: 0n };
    const message = { sequence: 1, lamport: BigInt(this.#nowMs), payload: content };
    const sds = pad(encodeSds(ids, stream as never, this.#nowMs, { message }));
    const { payload } = ratchetEncrypt(this.#crypto, session, sds, entropy);
    const { ephemeralKey } = agreement;
    return this.#envelope({ ephemeralKey, encryptedHello: this.#sealHello(hello), message: payload });
  }

  #sealHello(hello: Uint8Array): Uint8Array {
    const ephemeral = new Entropy(this.#crypto, this.#seed).bytes(32);
    const { identityKey, prekey, binding } = this.#responder();
    const agreement = new InitiatorAgreement(this.#crypto, ephemeral, identityKey, prekey);
    const { key, nonce } = agreement.helloKey(binding);
    return this.#crypto.aeadSeal(key, nonce, pad(hello), concatBytes(binding, agreement.ephemeralKey));
  }

  encoded(change: Partial<Omit<InitiatorHello, "$typeName" | "$unknown">> = {}): Uint8Array {
    return encode(InitiatorHelloSchema, create(InitiatorHelloSchema, { ...this.hello, ...change }));
  }
}

/** Every place where a conversation (or an account, or a key) can still be found on a disk. */
export function tracesOf(machine: Machine, id: string): string[] {
  const raw = Buffer.from(id, "hex");
  const found = openedRecords(machine).flatMap(({ key, bytes }) => {
    const buffer = Buffer.from(bytes);
    return key.includes(id) || buffer.includes(id, 0, "latin1") || buffer.includes(raw) ? [key] : [];
  });
  const { tags, messages, conversations } = machine.disk;
  for (const [tag, key] of tags) if (key.includes(id) || !machine.disk.records.has(key)) found.push(`tag ${tag}`);
  for (const [key, row] of [...messages, ...conversations]) {
    if ([key, ...Object.values(row)].some((value) => String(value).includes(id))) found.push(`row ${key}`);
  }
  for (const [key, row] of conversations)
    if (equalBytes(machine.vault.openConversation(row).peerIdentityKey, raw)) found.push(`row ${key}`);
  return found;
}
