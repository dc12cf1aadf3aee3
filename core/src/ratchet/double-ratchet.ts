import { create } from "@bufbuild/protobuf";
import { ReceivingChainSchema, SendingChainSchema, type Session } from "@chatsdk/abi/records_pb";
import { type ResponderHello, ResponderHelloSchema } from "@chatsdk/abi/wire_pb";
import { concatBytes, EMPTY } from "../bytes.ts";
import { checkLength, decode, encode } from "../codec.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { isLowOrder } from "../crypto/low-order.ts";
import type { Entropy } from "../entropy.ts";
import { Rejected } from "../errors.ts";
import type { Position } from "./awaited-hints.ts";
import { advanceChain } from "./chain-key.ts";
import { type Header, openHeader, openHello, SEALED_HEADER_LENGTH, sealHeader, sealHello } from "./header.ts";
import { HintSource } from "./hints.ts";
import { openMessage, sealMessage } from "./message-key.ts";
import { advanceRoot } from "./root-key.ts";
import { finishChain, skipTo, takeSkipped } from "./skipped-keys.ts";

/** A chain this long has lost its peer: the next message would not be found any more. */
const MAX_CHAIN_LENGTH = 2 ** 31;

export interface SealedMessage {
  hint: Uint8Array;
  payload: Uint8Array;
}

export interface OpenedMessage {
  plaintext: Uint8Array;
  /** Of the message that starts the responder's first chain. */
  hello?: ResponderHello;
}

/**
 * Encrypts under the next sending key and moves the session on. The caller stores the session before the result leaves.
 * Double Ratchet specification, section 4.4 (RatchetEncryptHE), with the sending half of the ratchet step put off until a message is
 * sent: the new key pair is as fresh as it can be.
 */
export function ratchetEncrypt(
  crypto: Crypto,
  session: Session,
  plaintext: Uint8Array,
  entropy: Entropy,
): SealedMessage {
  if (session.ratchetBeforeSending) startSendingChain(crypto, session, entropy);
  const chain = session.sending;
  if (!chain || chain.next >= MAX_CHAIN_LENGTH) throw new Error("ratchet: no sending chain");
  const { messageKey, chainKey } = advanceChain(crypto, chain.chainKey);
  const messageNumber = chain.next;
  chain.chainKey = chainKey;
  chain.next++;

  const hint = new HintSource(crypto, chain.headerKey).hint(messageNumber);
  const associatedData = concatBytes(session.associatedData, hint);
  const hello =
    session.responderHello.length > 0
      ? sealHello(crypto, chain.headerKey, messageNumber, session.responderHello, associatedData)
      : EMPTY;
  const header: Header = {
    ratchetKey: crypto.x25519PublicKey(session.ratchetSecret),
    previousChainLength: session.previousChainLength,
    messageNumber,
    helloLength: hello.length,
  };
  const clear = concatBytes(sealHeader(crypto, chain.headerKey, header, associatedData), hello);
  const body = sealMessage(crypto, messageKey, plaintext, concatBytes(associatedData, clear));
  return { hint, payload: concatBytes(clear, body) };
}

/**
 * Moves the sending chain to its next beacon, a multiple of the interval: what was sent found no answer, so the receiver may have lost more than its
 * window and await nothing nearer.
 */
export function jumpToBeacon(crypto: Crypto, session: Session, interval: number): void {
  const chain = session.sending;
  if (!chain || session.ratchetBeforeSending) return;
  while (chain.next % interval !== 0) {
    chain.chainKey = advanceChain(crypto, chain.chainKey).chainKey;
    chain.next++;
  }
}

/**
 * Decrypts the message that the hint placed. Changes `session`, which must be a copy: on any throw the caller discards it.
 * Double Ratchet specification, section 4.5 (RatchetDecryptHE).
 */
export function ratchetDecrypt(
  crypto: Crypto,
  session: Session,
  position: Position,
  message: SealedMessage,
  nowMs: number,
): OpenedMessage {
  const associatedData = concatBytes(session.associatedData, message.hint);
  const headerKey = headerKeyAt(session, position);
  const sealedHeader = message.payload.subarray(0, SEALED_HEADER_LENGTH);
  const header = openHeader(crypto, headerKey, position.messageNumber, sealedHeader, associatedData);
  const bodyStart = SEALED_HEADER_LENGTH + header.helloLength;
  const sealedHello = message.payload.subarray(SEALED_HEADER_LENGTH, bodyStart);

  let hello: Uint8Array | undefined;
  if (position.kind === "next") {
    if (header.helloLength > 0)
      hello = openHello(crypto, headerKey, position.messageNumber, sealedHello, associatedData);
    finishChain(crypto, session, header.previousChainLength, nowMs);
    startReceivingChain(crypto, session, header, hello);
  }
  const messageKey = takeMessageKey(crypto, session, position, nowMs);
  const body = message.payload.subarray(bodyStart);
  const plaintext = openMessage(
    crypto,
    messageKey,
    body,
    concatBytes(associatedData, message.payload.subarray(0, bodyStart)),
  );
  if (!plaintext) throw new Rejected("message: does not verify");
  return hello ? { plaintext, hello: parseHello(crypto, hello) } : { plaintext };
}

function parseHello(crypto: Crypto, encoded: Uint8Array): ResponderHello {
  const hello = decode(ResponderHelloSchema, encoded, "responder hello");
  checkLength(hello.recoveryPrekey, 32, "responder hello.recovery_prekey");
  if (isLowOrder(crypto, hello.recoveryPrekey)) throw new Rejected("responder hello.recovery_prekey: low order");
  return hello;
}

function headerKeyAt(session: Session, position: Position): Uint8Array {
  switch (position.kind) {
    case "current":
      return session.receiving!.headerKey;
    case "next":
      return session.nextReceivingHeaderKey;
    case "skipped":
      return session.skipped[position.chain]!.headerKey;
  }
}

function takeMessageKey(crypto: Crypto, session: Session, position: Position, nowMs: number): Uint8Array {
  if (position.kind === "skipped") return takeSkipped(session, session.skipped[position.chain]!, position.index);
  skipTo(crypto, session, position.messageNumber, nowMs);
  const chain = session.receiving!;
  const { messageKey, chainKey } = advanceChain(crypto, chain.chainKey);
  chain.chainKey = chainKey;
  chain.next++;
  return messageKey;
}

function startReceivingChain(crypto: Crypto, session: Session, header: Header, hello: Uint8Array | undefined): void {
  const kemSecret = kemSecretOf(crypto, session, hello);
  const shared = crypto.x25519(session.ratchetSecret, header.ratchetKey);
  if (!shared) throw new Rejected("header.ratchet_key: low order");
  const step = advanceRoot(crypto, session.rootKey, shared, kemSecret);
  session.receiving = create(ReceivingChainSchema, {
    chainKey: step.chainKey,
    headerKey: session.nextReceivingHeaderKey,
    next: 0,
  });
  session.rootKey = step.rootKey;
  session.peerRatchetKey = header.ratchetKey;
  // The peer's following chain cannot start before ours: its header key is learnt, and its hints awaited, from our next step on.
  session.nextReceivingHeaderKey = EMPTY;
  session.pendingReceivingHeaderKey = step.nextHeaderKey;
  session.ratchetBeforeSending = true;
  // The peer has seen our chain: the hello has arrived.
  session.responderHello = EMPTY;
}

/** Suite 2: the responder's first chain must bring the ciphertext, or an attacker could have taken it out. */
function kemSecretOf(crypto: Crypto, session: Session, hello: Uint8Array | undefined): Uint8Array {
  if (session.kemSeed.length === 0) return EMPTY;
  if (!hello) throw new Rejected("responder hello: missing");
  const { kemCiphertext } = decode(ResponderHelloSchema, hello, "responder hello");
  checkLength(kemCiphertext, 1088, "responder hello.kem_ciphertext");
  const secret = crypto.mlKem768Decapsulate(session.kemSeed, kemCiphertext);
  session.kemSeed = EMPTY;
  return secret;
}

function startSendingChain(crypto: Crypto, session: Session, entropy: Entropy): void {
  const kemSecret = encapsulate(crypto, session, entropy);
  const secret = entropy.bytes(32);
  const shared = crypto.x25519(secret, session.peerRatchetKey);
  if (!shared) throw new Rejected("ratchet key: low order");
  const step = advanceRoot(crypto, session.rootKey, shared, kemSecret);
  session.previousChainLength = session.sending?.next ?? 0;
  session.sending = create(SendingChainSchema, {
    chainKey: step.chainKey,
    headerKey: session.nextSendingHeaderKey,
    next: 0,
  });
  session.rootKey = step.rootKey;
  session.ratchetSecret = secret;
  session.nextSendingHeaderKey = step.nextHeaderKey;
  session.nextReceivingHeaderKey = session.pendingReceivingHeaderKey;
  session.pendingReceivingHeaderKey = EMPTY;
  session.ratchetBeforeSending = false;
}

function encapsulate(crypto: Crypto, session: Session, entropy: Entropy): Uint8Array {
  if (session.peerKemKey.length === 0) return EMPTY;
  const result = crypto.mlKem768Encapsulate(session.peerKemKey, entropy.bytes(32));
  if (!result) throw new Rejected("hello.kem_key: not a valid encapsulation key");
  const hello = decode(ResponderHelloSchema, session.responderHello, "stored hello");
  hello.kemCiphertext = result.ciphertext;
  session.responderHello = encode(ResponderHelloSchema, hello);
  session.peerKemKey = EMPTY;
  return result.sharedSecret;
}
