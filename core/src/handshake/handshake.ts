import { create } from "@bufbuild/protobuf";
import { ReceivingChainSchema, SendingChainSchema, type Session, SessionSchema } from "@chatsdk/abi/records_pb";
import {
  type InboxHandshake,
  InboxHandshakeSchema,
  type InitiatorHello,
  InitiatorHelloSchema,
  ResponderHelloSchema,
} from "@chatsdk/abi/wire_pb";
import { concatBytes, EMPTY } from "../bytes.ts";
import { checkLength, decode, encode } from "../codec.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { isLowOrder } from "../crypto/low-order.ts";
import type { Entropy } from "../entropy.ts";
import { pad, unpad } from "../envelope/padding.ts";
import { Rejected } from "../errors.ts";
import { isContentTopic } from "../invite/delivery-address.ts";
import { ratchetDecrypt, ratchetEncrypt } from "../ratchet/double-ratchet.ts";
import { findPosition } from "../ratchet/awaited-hints.ts";
import { HintSource } from "../ratchet/hints.ts";
import { InitiatorAgreement, ResponderAgreement, type SessionSecrets, type Transcript } from "./key-agreement.ts";
import { SUITE_CLASSIC, SUITE_HYBRID, suiteBit } from "./suite.ts";

/** What the initiator knows of the responder before the first message. */
export interface Responder {
  identityKey: Uint8Array;
  prekey: Uint8Array;
  /** Hash of the link, or `repairBinding`. */
  binding: Uint8Array;
}

export interface Initiator {
  identitySeed: Uint8Array;
  deliveryAddress: string;
  recoveryPrekey: Uint8Array;
}

export interface NewSession {
  session: Session;
  sessionId: Uint8Array;
  messageIdKey: Uint8Array;
}

/** The initiator's new session, and what turns its first ratchet message into the payload of the first envelope. */
export interface Initiation extends NewSession {
  ephemeralKey: Uint8Array;
  wrap(ratchetMessage: Uint8Array): Uint8Array;
}

/** docs/spec, "Set-up": the initiator's side. */
export function initiate(
  crypto: Crypto,
  initiator: Initiator,
  responder: Responder,
  suite: number,
  nowMs: number,
  entropy: Entropy,
): Initiation {
  const agreement = new InitiatorAgreement(crypto, entropy.bytes(32), responder.identityKey, responder.prekey);
  const ratchetSecret = entropy.bytes(32);
  const kemSeed = suite === SUITE_HYBRID ? entropy.bytes(64) : EMPTY;
  const identityKey = crypto.ed25519PublicKey(initiator.identitySeed);
  const hello = encode(
    InitiatorHelloSchema,
    create(InitiatorHelloSchema, {
      identityKey,
      ratchetKey: crypto.x25519PublicKey(ratchetSecret),
      suite,
      kemKey: suite === SUITE_HYBRID ? crypto.mlKem768PublicKey(kemSeed) : EMPTY,
      deliveryAddress: initiator.deliveryAddress,
      createdMs: BigInt(nowMs),
      recoveryPrekey: initiator.recoveryPrekey,
    }),
  );
  const { ephemeralKey } = agreement;
  const { key, nonce } = agreement.helloKey(responder.binding);
  const encryptedHello = crypto.aeadSeal(key, nonce, pad(hello), concatBytes(responder.binding, ephemeralKey));
  const secrets = agreement.session(initiator.identitySeed, {
    suite,
    binding: responder.binding,
    initiatorIdentity: identityKey,
    responderIdentity: responder.identityKey,
    ephemeralKey,
    prekey: responder.prekey,
    hello,
  });
  return {
    session: create(SessionSchema, {
      associatedData: secrets.associatedData,
      rootKey: secrets.rootKey,
      ratchetSecret,
      sending: create(SendingChainSchema, { chainKey: secrets.chainKey, headerKey: secrets.headerKey, next: 0 }),
      nextSendingHeaderKey: secrets.initiatorNextHeaderKey,
      nextReceivingHeaderKey: secrets.responderHeaderKey,
      kemSeed,
    }),
    sessionId: secrets.sessionId,
    messageIdKey: secrets.messageIdKey,
    ephemeralKey,
    wrap: (message) =>
      encode(InboxHandshakeSchema, create(InboxHandshakeSchema, { ephemeralKey, encryptedHello, message })),
  };
}

export function decodeHandshake(payload: Uint8Array): InboxHandshake {
  const handshake = decode(InboxHandshakeSchema, payload, "handshake");
  checkLength(handshake.ephemeralKey, 32, "handshake.ephemeral_key");
  return handshake;
}

/** What the responder holds. */
export interface Prekey {
  identitySeed: Uint8Array;
  secret: Uint8Array;
  publicKey: Uint8Array;
  binding: Uint8Array;
  /** Bits of the suites allowed. */
  suites: number;
}

export interface Acceptance extends NewSession {
  hello: InitiatorHello;
  /** The first message, authenticated by the initiator's identity key. */
  plaintext: Uint8Array;
}

/**
 * docs/spec, "Set-up": the responder's side. Nothing is believed before the first message verifies: it is sealed under
 * all three agreements, with the whole transcript as associated data.
 */
export function accept(
  crypto: Crypto,
  prekey: Prekey,
  recoveryPrekey: Uint8Array,
  handshake: InboxHandshake,
  nowMs: number,
): Acceptance {
  const agreement = new ResponderAgreement(crypto, prekey.identitySeed, prekey.secret, handshake.ephemeralKey);
  const { key, nonce } = agreement.helloKey(prekey.binding);
  const padded = crypto.aeadOpen(
    key,
    nonce,
    handshake.encryptedHello,
    concatBytes(prekey.binding, handshake.ephemeralKey),
  );
  if (!padded) throw new Rejected("hello: does not verify");
  const encodedHello = unpad(padded);
  const hello = parseHello(crypto, encodedHello, prekey.suites);
  const transcript: Transcript = {
    suite: hello.suite,
    binding: prekey.binding,
    initiatorIdentity: hello.identityKey,
    responderIdentity: crypto.ed25519PublicKey(prekey.identitySeed),
    ephemeralKey: handshake.ephemeralKey,
    prekey: prekey.publicKey,
    hello: encodedHello,
  };
  const secrets = agreement.session(transcript);
  const session = responderSession(secrets, hello, recoveryPrekey);
  const hint = new HintSource(crypto, secrets.headerKey).hint(0);
  const position = findPosition(crypto, session, hint)!;
  const { plaintext } = ratchetDecrypt(crypto, session, position, { hint, payload: handshake.message }, nowMs);
  return { session, sessionId: secrets.sessionId, messageIdKey: secrets.messageIdKey, hello, plaintext };
}

/** Refuses all that would only fail when we answer. */
function parseHello(crypto: Crypto, encoded: Uint8Array, suites: number): InitiatorHello {
  const hello = decode(InitiatorHelloSchema, encoded, "hello");
  checkLength(hello.identityKey, 32, "hello.identity_key");
  checkLength(hello.ratchetKey, 32, "hello.ratchet_key");
  checkLength(hello.recoveryPrekey, 32, "hello.recovery_prekey");
  if (hello.suite !== SUITE_CLASSIC && hello.suite !== SUITE_HYBRID)
    throw new Rejected(`hello.suite: ${hello.suite} is unknown`);
  if ((suites & suiteBit(hello.suite)) === 0) throw new Rejected(`hello.suite: ${hello.suite} is not allowed`);
  checkLength(hello.kemKey, hello.suite === SUITE_HYBRID ? 1184 : 0, "hello.kem_key");
  if (isLowOrder(crypto, hello.ratchetKey)) throw new Rejected("hello.ratchet_key: low order");
  if (isLowOrder(crypto, hello.recoveryPrekey)) throw new Rejected("hello.recovery_prekey: low order");
  if (hello.suite === SUITE_HYBRID && !crypto.mlKem768Encapsulate(hello.kemKey, new Uint8Array(32)))
    throw new Rejected("hello.kem_key: not a valid encapsulation key");
  if (!isContentTopic(hello.deliveryAddress)) throw new Rejected("hello.delivery_address: not a content topic");
  return hello;
}

function responderSession(secrets: SessionSecrets, hello: InitiatorHello, recoveryPrekey: Uint8Array): Session {
  return create(SessionSchema, {
    associatedData: secrets.associatedData,
    rootKey: secrets.rootKey,
    peerRatchetKey: hello.ratchetKey,
    nextSendingHeaderKey: secrets.responderHeaderKey,
    receiving: create(ReceivingChainSchema, { chainKey: secrets.chainKey, headerKey: secrets.headerKey, next: 0 }),
    pendingReceivingHeaderKey: secrets.initiatorNextHeaderKey,
    ratchetBeforeSending: true,
    peerKemKey: hello.kemKey,
    responderHello: encode(ResponderHelloSchema, create(ResponderHelloSchema, { recoveryPrekey })),
  });
}

/** The first ratchet message of an initiation, as the payload of its envelope. */
export function firstPayload(
  crypto: Crypto,
  initiation: Initiation,
  plaintext: Uint8Array,
  entropy: Entropy,
): Uint8Array {
  return initiation.wrap(ratchetEncrypt(crypto, initiation.session, plaintext, entropy).payload);
}
