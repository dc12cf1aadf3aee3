import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type Envelope,
  EnvelopeSchema,
  type InboxHandshake,
  InboxHandshakeSchema,
  InitiatorHelloSchema,
  type Payload,
  PayloadSchema,
  SdsMessageSchema,
} from "@chatsdk/abi/wire_pb";
import {
  type ConversationRecord,
  ConversationRecordSchema,
  SendingChainSchema,
  SessionSchema,
} from "@chatsdk/abi/records_pb";
import { ChangeSchema } from "@chatsdk/abi/host_pb";
import { type Crypto, Entropy } from "@chatsdk/core";
import { concatBytes } from "../../core/src/bytes.ts";
import { encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { pad } from "../../core/src/envelope/padding.ts";
import {
  InitiatorAgreement,
  inboxHint,
  inboxHintKey,
  ResponderAgreement,
  type Transcript,
} from "../../core/src/handshake/key-agreement.ts";
import { SUITE_HYBRID } from "../../core/src/handshake/suite.ts";
import type { DecodedInvite } from "../../core/src/invite/invite-link.ts";
import { ratchetEncrypt } from "../../core/src/ratchet/double-ratchet.ts";
import { messageId } from "../../core/src/reliability/message-id.ts";
import type { Machine } from "./machine.ts";

/** What a dishonest initiator says; what is left out is as an honest one would have it. */
export interface Lies {
  hello?: MessageInitShape<typeof InitiatorHelloSchema>;
  transcript?: Partial<Transcript>;
  /** The padded plaintext of the first ratchet message. */
  plaintext?: Uint8Array;
  /** The envelope's hint. */
  hint?: Uint8Array;
  /** Stolen from the responder: serves in place of the initiator's identity key. */
  responder?: { identitySeed: Uint8Array; prekeySecret: Uint8Array };
}

/** What is inside the envelope of a set-up. */
export function handshakeOf(envelope: Uint8Array): InboxHandshake {
  return fromBinary(InboxHandshakeSchema, openEnvelope(envelope).payload);
}

export function openEnvelope(envelope: Uint8Array): Envelope {
  return fromBinary(EnvelopeSchema, envelope);
}

/** A set-up by somebody who holds the link and an identity of his own, and follows the protocol only as far as he likes. */
export function forgeHandshake(
  crypto: Crypto,
  { bundle, hash }: DecodedInvite,
  identitySeed: Uint8Array,
  seed: string,
  lies: Lies = {},
): Uint8Array {
  const entropy = new Entropy(crypto, crypto.sha256(Buffer.from(seed)));
  const agreement = new InitiatorAgreement(crypto, entropy.bytes(32), bundle.identityKey, bundle.signedPrekey);
  const ratchetSecret = entropy.bytes(32);
  const hello = toBinary(
    InitiatorHelloSchema,
    create(InitiatorHelloSchema, {
      identityKey: crypto.ed25519PublicKey(identitySeed),
      ratchetKey: crypto.x25519PublicKey(ratchetSecret),
      suite: SUITE_HYBRID,
      kemKey: crypto.mlKem768PublicKey(entropy.bytes(64)),
      deliveryAddress: bundle.deliveryAddress,
      createdMs: BigInt(bundle.expiresAt) * 1000n,
      recoveryPrekey: crypto.x25519PublicKey(entropy.bytes(32)),
      ...lies.hello,
    }),
  );
  const { ephemeralKey } = agreement;
  const { key, nonce } = agreement.helloKey(hash);
  const encryptedHello = crypto.aeadSeal(key, nonce, pad(hello), concatBytes(hash, ephemeralKey));
  const transcript = {
    suite: SUITE_HYBRID,
    binding: hash,
    initiatorIdentity: crypto.ed25519PublicKey(identitySeed),
    responderIdentity: bundle.identityKey,
    ephemeralKey,
    prekey: bundle.signedPrekey,
    hello,
    ...lies.transcript,
  };
  const { responder } = lies;
  const secrets = responder
    ? new ResponderAgreement(crypto, responder.identitySeed, responder.prekeySecret, ephemeralKey).session(transcript)
    : agreement.session(identitySeed, transcript);
  const session = create(SessionSchema, {
    associatedData: secrets.associatedData,
    rootKey: secrets.rootKey,
    ratchetSecret,
    sending: create(SendingChainSchema, { chainKey: secrets.chainKey, headerKey: secrets.headerKey, next: 0 }),
  });
  const plaintext = lies.plaintext ?? pad(firstMessage(crypto, secrets.messageIdKey));
  const message = ratchetEncrypt(crypto, session, plaintext, entropy).payload;
  const handshake = create(InboxHandshakeSchema, { ephemeralKey, encryptedHello, message });
  const hint = lies.hint ?? inboxHint(crypto, inboxHintKey(crypto, hash), ephemeralKey);
  return encodeEnvelope(hint, toBinary(InboxHandshakeSchema, handshake));
}

function firstMessage(crypto: Crypto, messageIdKey: Uint8Array): Uint8Array {
  const payload = create(PayloadSchema, {
    kind: { case: "frame", value: { content: { tag: 1, version: 1, payload: new Uint8Array([10, 2, 104, 105]) } } },
  });
  return toBinary(
    SdsMessageSchema,
    create(SdsMessageSchema, {
      messageId: messageId(crypto, messageIdKey, true, 1),
      sequence: 1,
      lamportTimestamp: 1n,
      content: toBinary(PayloadSchema, payload),
    }),
  );
}

/**
 * A peer with a good session who says over it what he likes. Takes the keys out of an honest machine, which must not be
 * used for the conversation any more.
 */
export class Insider {
  readonly record: ConversationRecord;
  readonly #key: string;
  readonly #entropy: Entropy;

  constructor(
    readonly machine: Machine,
    conversationId: string,
  ) {
    this.#key = `conv/${conversationId}`;
    const sealed = machine.disk.records.get(this.#key)!;
    this.record = fromBinary(ConversationRecordSchema, machine.vault.openRecord(this.#key, sealed));
    this.#entropy = new Entropy(machine.crypto, machine.crypto.sha256(Buffer.from("insider")));
  }

  /** Lets the machine go on from here. */
  giveBack(): void {
    const { vault, disk } = this.machine;
    const value = vault.sealRecord(this.#key, toBinary(ConversationRecordSchema, this.record), this.#entropy);
    disk.apply(create(ChangeSchema, { change: { case: "put", value: { key: this.#key, value } } }));
  }

  get nextSequence(): number {
    return this.record.reliability!.nextSequence;
  }

  /** The id of a message of his. */
  messageId(sequence: number): string {
    return messageId(this.machine.crypto, this.record.reliability!.idKey, this.record.initiator, sequence);
  }

  /** An envelope with any plaintext. */
  sealBytes(plaintext: Uint8Array): Uint8Array {
    const sealed = ratchetEncrypt(this.machine.crypto, this.record.session!, plaintext, this.#entropy);
    return encodeEnvelope(sealed.hint, sealed.payload);
  }

  /** An envelope with any SDS message; with a `payload` it gets the next sequence, unless another is given. */
  seal(sds: MessageInitShape<typeof SdsMessageSchema>, payload?: Payload): Uint8Array {
    const stream = this.record.reliability!;
    const carried = payload && {
      sequence: sds.sequence ?? stream.nextSequence++,
      content: toBinary(PayloadSchema, payload),
    };
    const sequence = carried?.sequence ?? sds.sequence ?? 0;
    const message = create(SdsMessageSchema, {
      messageId: sequence > 0 ? this.messageId(sequence) : "",
      lamportTimestamp: 1n,
      ...carried,
      ...sds,
      sequence,
    });
    return this.sealBytes(pad(toBinary(SdsMessageSchema, message)));
  }
}

/** Makes a machine believe that a conversation is one of suite 1. */
export function lowerSuite(machine: Machine, conversationId: string): void {
  const insider = new Insider(machine, conversationId);
  insider.record.suite = 1;
  insider.giveBack();
}
