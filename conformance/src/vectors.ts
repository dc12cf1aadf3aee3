import { clone, create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { MessageSchema } from "@chatsdk/abi/api_pb";
import { TextSchema } from "@chatsdk/abi/content_pb";
import { KeyDerivationSchema, VaultHeaderSchema } from "@chatsdk/abi/host_pb";
import { ReliabilitySchema, type Session, SessionSchema } from "@chatsdk/abi/records_pb";
import {
  ContentFrameSchema,
  FrameSchema,
  InboxHandshakeSchema,
  IntroductionBundleSchema,
  InviteLinkSchema,
  type Payload,
  PayloadSchema,
} from "@chatsdk/abi/wire_pb";
import { bytesToHex as hex, concatBytes, EMPTY, label, utf8ToBytes } from "../../core/src/bytes.ts";
import { nobleCrypto as crypto } from "../../core/src/crypto/noble.ts";
import { Entropy } from "../../core/src/entropy.ts";
import { encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { pad, paddedSize, unpad } from "../../core/src/envelope/padding.ts";
import { accept, initiate } from "../../core/src/handshake/handshake.ts";
import {
  InitiatorAgreement,
  inboxHint,
  inboxHintKey,
  repairBinding,
  repairHint,
} from "../../core/src/handshake/key-agreement.ts";
import { deliveryAddress } from "../../core/src/invite/delivery-address.ts";
import { decodeInvite, encodeInvite, INVITE_PREFIX } from "../../core/src/invite/invite-link.ts";
import { safetyNumber } from "../../core/src/invite/safety-number.ts";
import { findPosition } from "../../core/src/ratchet/awaited-hints.ts";
import { advanceChain } from "../../core/src/ratchet/chain-key.ts";
import { type OpenedMessage, ratchetDecrypt, ratchetEncrypt } from "../../core/src/ratchet/double-ratchet.ts";
import { openHeader, SEALED_HEADER_LENGTH } from "../../core/src/ratchet/header.ts";
import { awaitedNumbers, HintSource } from "../../core/src/ratchet/hints.ts";
import { advanceRoot } from "../../core/src/ratchet/root-key.ts";
import { messageId } from "../../core/src/reliability/message-id.ts";
import { encodeSds, ourId, peerId, type StreamIds } from "../../core/src/reliability/sds.ts";
import { SEGMENT_LENGTH, split } from "../../core/src/segmentation/segmentation.ts";
import { Vault } from "../../core/src/vault/vault.ts";

/**
 * Test vectors of the protocol: every secret is an input, the clock stands still, every intermediate value is written down.
 * conformance/test/vectors.test.ts compares them with the files in vectors/protocol, and writes these when UPDATE_VECTORS is set.
 */

const NOW_MS = Date.UTC(2026, 0, 1);

/** 32 bytes that stand for a random secret: SHA-256 of "chatsdk test vector/" and a name. */
function secret(name: string): Uint8Array {
  return crypto.sha256(utf8ToBytes(`chatsdk test vector/${name}`));
}

/** Entropy that remembers what was drawn, so that the drawn secrets can be given as inputs. */
class Draws extends Entropy {
  readonly drawn: Uint8Array[] = [];

  constructor(name: string) {
    super(crypto, secret(name));
  }

  override bytes(length: number): Uint8Array {
    const bytes = super.bytes(length);
    this.drawn.push(bytes);
    return bytes;
  }

  next(): Uint8Array {
    const bytes = this.drawn.shift();
    if (!bytes) throw new Error("nothing was drawn");
    return bytes;
  }
}

/** X25519; no vector holds a key of low order. */
function agree(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return crypto.x25519(secretKey, publicKey)!;
}

const bob = { identitySeed: secret("bob/identity"), prekeySecret: secret("bob/prekey") };
const alice = { identitySeed: secret("alice/identity") };
const NETWORK = { appName: "chatsdk", appVersion: "2", bucketCount: 16 };
const bobIdentity = crypto.ed25519PublicKey(bob.identitySeed);
const aliceIdentity = crypto.ed25519PublicKey(alice.identitySeed);

function invite(suites: number) {
  const bundle = create(IntroductionBundleSchema, {
    identityKey: bobIdentity,
    signedPrekey: crypto.x25519PublicKey(bob.prekeySecret),
    deliveryAddress: deliveryAddress(crypto, NETWORK, bobIdentity),
    clusterId: 42,
    shardCount: 8,
    expiresAt: NOW_MS / 1000 + 7 * 86400,
    reusable: false,
    suites,
  });
  return { bundle, ...encodeInvite(crypto, bob.identitySeed, bundle) };
}

function inviteVector() {
  const { bundle, link, hash } = invite(3);
  const bytes = Buffer.from(link.slice(INVITE_PREFIX.length), "base64url");
  const { bundle: encoded, signature } = fromBinary(InviteLinkSchema, bytes);
  decodeInvite(crypto, link);
  return {
    identity_seed: hex(bob.identitySeed),
    prekey_secret: hex(bob.prekeySecret),
    identity_key: hex(bundle.identityKey),
    signed_prekey: hex(bundle.signedPrekey),
    delivery_address: bundle.deliveryAddress,
    cluster_id: bundle.clusterId,
    shard_count: bundle.shardCount,
    expires_at: bundle.expiresAt,
    reusable: bundle.reusable,
    suites: bundle.suites,
    bundle: hex(encoded),
    signature: hex(signature),
    link_bytes: hex(bytes),
    link,
    link_hash: hex(hash),
    inbox_hint_key: hex(inboxHintKey(crypto, hash)),
  };
}

function textPayload(text: string): Uint8Array {
  const content = create(ContentFrameSchema, {
    domain: 0,
    tag: 1,
    version: 1,
    payload: toBinary(TextSchema, create(TextSchema, { text })),
  });
  const frame = create(FrameSchema, { timestampMs: BigInt(NOW_MS), content });
  return toBinary(PayloadSchema, create(PayloadSchema, { kind: { case: "frame", value: frame } }));
}

/** The sending half of a root step, as it shows in the session. */
function rootStep(before: Session, after: Session, kemSecret: Uint8Array) {
  const agreement = agree(after.ratchetSecret, before.peerRatchetKey);
  const step = advanceRoot(crypto, before.rootKey, agreement, kemSecret);
  return {
    ratchet_secret: hex(after.ratchetSecret),
    ratchet_key: hex(crypto.x25519PublicKey(after.ratchetSecret)),
    peer_ratchet_key: hex(before.peerRatchetKey),
    agreement: hex(agreement),
    kem_secret: hex(kemSecret),
    root_key_before: hex(before.rootKey),
    root_key_after: hex(step.rootKey),
    chain_key: hex(step.chainKey),
    next_header_key: hex(step.nextHeaderKey),
  };
}

/** Encrypts and writes down every key on the way. Moves the session on. */
function encrypt(session: Session, plaintext: Uint8Array, entropy: Draws) {
  const before = clone(SessionSchema, session);
  const sealed = ratchetEncrypt(crypto, session, plaintext, entropy);
  const kem =
    before.peerKemKey.length > 0 ? crypto.mlKem768Encapsulate(before.peerKemKey, entropy.drawn[0]!)! : undefined;
  const root = before.ratchetBeforeSending ? rootStep(before, session, kem?.sharedSecret ?? EMPTY) : undefined;
  const { headerKey, next } = session.sending!;
  const chainKey = root ? Buffer.from(root.chain_key, "hex") : before.sending!.chainKey;
  const { messageKey, chainKey: nextChainKey } = advanceChain(crypto, chainKey);
  const body = crypto.hkdfSha256(messageKey, EMPTY, label("message"), 44);
  const number = next - 1;
  const associatedData = concatBytes(session.associatedData, sealed.hint);
  const sealedHeader = sealed.payload.subarray(0, SEALED_HEADER_LENGTH);
  const header = openHeader(crypto, headerKey, number, sealedHeader, associatedData);
  const bodyStart = SEALED_HEADER_LENGTH + header.helloLength;
  const vector = {
    ...(kem && {
      kem_entropy: hex(entropy.drawn[0]!),
      kem_ciphertext: hex(kem.ciphertext),
      kem_shared_secret: hex(kem.sharedSecret),
    }),
    ...(root && { root_step: root }),
    message_number: number,
    previous_chain_length: header.previousChainLength,
    ratchet_key: hex(header.ratchetKey),
    chain_key_before: hex(chainKey),
    chain_key_after: hex(nextChainKey),
    message_key: hex(messageKey),
    body_key: hex(body.subarray(0, 32)),
    body_nonce: hex(body.subarray(32)),
    header_key: hex(headerKey.subarray(0, 32)),
    hint_key: hex(headerKey.subarray(32)),
    hint: hex(sealed.hint),
    ...(header.helloLength > 0 && {
      responder_hello: hex(session.responderHello),
      sealed_responder_hello: hex(sealed.payload.subarray(SEALED_HEADER_LENGTH, bodyStart)),
    }),
    sealed_header: hex(sealedHeader),
    plaintext: hex(plaintext),
    sealed_body: hex(sealed.payload.subarray(bodyStart)),
  };
  return { sealed, vector };
}

/** Decrypts what was sealed, and says what the receiver then keeps. */
function decrypt(session: Session, sealed: { hint: Uint8Array; payload: Uint8Array }) {
  const position = findPosition(crypto, session, sealed.hint);
  if (!position) throw new Error("hint: not awaited");
  const opened: OpenedMessage = ratchetDecrypt(crypto, session, position, sealed, NOW_MS);
  return {
    opened,
    vector: {
      position: position.kind,
      next_number: session.receiving!.next,
      skipped: session.skipped.map((chain) => ({
        numbers: [...chain.numbers],
        message_keys: hex(chain.messageKeys),
      })),
    },
  };
}

/** Alice accepts Bob's link; Bob takes the first envelope and answers. */
function setUp(suite: 1 | 2) {
  const { bundle, hash: binding } = invite(3);
  const recoveryPrekeySecret = secret("alice/recovery prekey");
  const entropy = new Draws(`set-up/${suite}`);
  const initiator = {
    identitySeed: alice.identitySeed,
    deliveryAddress: deliveryAddress(crypto, NETWORK, aliceIdentity),
    recoveryPrekey: crypto.x25519PublicKey(recoveryPrekeySecret),
  };
  const responder = { identityKey: bobIdentity, prekey: bundle.signedPrekey, binding };
  const initiation = initiate(crypto, initiator, responder, suite, NOW_MS, entropy);
  const ephemeralSecret = entropy.next();
  const ratchetSecret = entropy.next();
  const kemSeed = suite === 2 ? entropy.next() : EMPTY;

  const aliceIds: StreamIds = { crypto, idKey: initiation.messageIdKey, initiator: true };
  const aliceStream = create(ReliabilitySchema, { idKey: initiation.messageIdKey, nextSequence: 2 });
  const sds = encodeSds(aliceIds, aliceStream, NOW_MS, {
    message: { sequence: 1, lamport: BigInt(NOW_MS), payload: textPayload("hello bob") },
  });
  const start = clone(SessionSchema, initiation.session);
  const first = encrypt(initiation.session, pad(sds), entropy);
  const handshake = initiation.wrap(first.sealed.payload);
  const { encryptedHello } = fromBinary(InboxHandshakeSchema, handshake);
  const hintKey = inboxHintKey(crypto, binding);
  const hint = inboxHint(crypto, hintKey, initiation.ephemeralKey);

  const agreement = new InitiatorAgreement(crypto, ephemeralSecret, bobIdentity, bundle.signedPrekey);
  const helloKey = agreement.helloKey(binding);
  const paddedHello = crypto.aeadOpen(
    helloKey.key,
    helloKey.nonce,
    encryptedHello,
    concatBytes(binding, initiation.ephemeralKey),
  )!;

  const bobRecoveryPrekey = crypto.x25519PublicKey(secret("bob/recovery prekey"));
  const acceptance = accept(
    crypto,
    {
      identitySeed: bob.identitySeed,
      secret: bob.prekeySecret,
      publicKey: bundle.signedPrekey,
      binding,
      suites: bundle.suites,
    },
    bobRecoveryPrekey,
    fromBinary(InboxHandshakeSchema, handshake),
    NOW_MS,
  );

  const bobIds: StreamIds = { crypto, idKey: acceptance.messageIdKey, initiator: false };
  const bobStream = create(ReliabilitySchema, { idKey: acceptance.messageIdKey, nextSequence: 2, acknowledged: 1 });
  const reply = encodeSds(bobIds, bobStream, NOW_MS, {
    message: { sequence: 1, lamport: BigInt(NOW_MS + 1), payload: textPayload("hello alice") },
  });
  const bobEntropy = new Draws(`set-up/${suite}/reply`);
  const second = encrypt(acceptance.session, pad(reply), bobEntropy);
  const answered = clone(SessionSchema, initiation.session);
  decrypt(answered, second.sealed);

  const { session } = initiation;
  const vector = {
    suite,
    now_ms: NOW_MS,
    link_hash: hex(binding),
    responder_identity_seed: hex(bob.identitySeed),
    responder_identity_key: hex(bobIdentity),
    prekey_secret: hex(bob.prekeySecret),
    prekey: hex(bundle.signedPrekey),
    initiator_identity_seed: hex(alice.identitySeed),
    initiator_identity_key: hex(aliceIdentity),
    initiator_delivery_address: initiator.deliveryAddress,
    initiator_recovery_prekey: hex(initiator.recoveryPrekey),
    ephemeral_secret: hex(ephemeralSecret),
    ephemeral_key: hex(initiation.ephemeralKey),
    ratchet_secret: hex(ratchetSecret),
    ratchet_key: hex(crypto.x25519PublicKey(ratchetSecret)),
    ...(suite === 2 && { kem_seed: hex(kemSeed), kem_key: hex(crypto.mlKem768PublicKey(kemSeed)) }),
    dh_ephemeral_identity: hex(
      agree(crypto.ed25519SeedToX25519(bob.identitySeed), crypto.x25519PublicKey(ephemeralSecret)),
    ),
    dh_ephemeral_prekey: hex(agree(ephemeralSecret, bundle.signedPrekey)),
    dh_identity_prekey: hex(agree(crypto.ed25519SeedToX25519(alice.identitySeed), bundle.signedPrekey)),
    hello_key: hex(helloKey.key),
    hello_nonce: hex(helloKey.nonce),
    hello: hex(unpad(paddedHello)),
    encrypted_hello: hex(encryptedHello),
    transcript_hash: hex(session.associatedData),
    root_key: hex(start.rootKey),
    initiator_chain_key: hex(start.sending!.chainKey),
    initiator_header_key: hex(start.sending!.headerKey),
    responder_header_key: hex(start.nextReceivingHeaderKey),
    initiator_next_header_key: hex(start.nextSendingHeaderKey),
    message_id_key: hex(initiation.messageIdKey),
    session_id: hex(initiation.sessionId),
    inbox_hint_key: hex(hintKey),
    inbox_hint: hex(hint),
    first_message: first.vector,
    first_envelope: hex(encodeEnvelope(hint, handshake)),
    responder_recovery_prekey: hex(bobRecoveryPrekey),
    reply: second.vector,
    reply_envelope: hex(encodeEnvelope(second.sealed.hint, second.sealed.payload)),
    repair: repairVector(initiation.sessionId, bobRecoveryPrekey),
  };
  return { vector, aliceSession: answered, bobSession: acceptance.session };
}

function repairVector(sessionId: Uint8Array, recoveryPrekey: Uint8Array) {
  const binding = repairBinding(crypto, sessionId, recoveryPrekey);
  const hintKey = inboxHintKey(crypto, binding);
  return { binding: hex(binding), hint_key: hex(hintKey), hint: hex(repairHint(crypto, hintKey)) };
}

interface Sent {
  name: string;
  sealed: { hint: Uint8Array; payload: Uint8Array };
}

/** Ten messages after a set-up with suite 1: two turns, messages out of order, one never delivered, one beacon. */
function ratchetVector() {
  const { vector: made, aliceSession, bobSession } = setUp(1);
  const sessions = { alice: aliceSession, bob: bobSession };
  const entropy = { alice: new Draws("ratchet/alice"), bob: new Draws("ratchet/bob") };
  const sent: Sent[] = [];
  const messages: object[] = [];
  const deliveries: object[] = [];

  const send = (by: "alice" | "bob", name: string): void => {
    entropy[by].drawn.length = 0;
    const { sealed, vector } = encrypt(sessions[by], pad(utf8ToBytes(name)), entropy[by]);
    messages.push({ name, by, ...vector, envelope: hex(encodeEnvelope(sealed.hint, sealed.payload)) });
    sent.push({ name, sealed });
  };
  const lose = (by: "alice" | "bob", count: number): void => {
    for (let i = 0; i < count; i++) ratchetEncrypt(crypto, sessions[by], pad(EMPTY), entropy[by]);
  };
  const deliver = (to: "alice" | "bob", name: string): void => {
    const { sealed } = sent.find((message) => message.name === name)!;
    const { opened, vector } = decrypt(sessions[to], sealed);
    if (hex(unpad(opened.plaintext)) !== hex(utf8ToBytes(name))) throw new Error(`${name}: wrong plaintext`);
    deliveries.push({ name, to, ...vector });
  };

  send("bob", "b1");
  send("bob", "b2");
  send("bob", "b3");
  deliver("alice", "b3");
  deliver("alice", "b1");
  send("alice", "a1");
  send("alice", "a2");
  deliver("bob", "a1");
  deliver("bob", "a2");
  send("bob", "b4");
  deliver("alice", "b4");
  send("alice", "a3");
  lose("alice", 63);
  send("alice", "a4");
  send("alice", "a5");
  deliver("bob", "a4");
  deliver("bob", "a3");
  deliver("bob", "a5");
  send("bob", "b5");
  deliver("alice", "b5");
  return {
    comment:
      "Goes on where set-up-suite-1.json ends: alice has received the reply. The plaintext of each message is its name, padded. b2 is never delivered. Between a3 and a4 alice encrypts 63 messages that are lost.",
    transcript_hash: made.transcript_hash,
    messages,
    deliveries,
  };
}

function hintsVector() {
  const headerKey = concatBytes(secret("header key"), secret("hint key"));
  const source = new HintSource(crypto, headerKey);
  const numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 31, 32, 63, 64, 65, 127, 128, 192, 256, 320, 1000, 4096, 2 ** 31 - 1];
  const nexts = [0, 1, 2, 3, 4, 5, 8, 10, 16, 17, 24, 25, 31, 32, 33, 40, 56, 57, 63, 64, 65, 100, 128, 1000];
  return {
    hint_key: hex(headerKey.subarray(32)),
    hints: numbers.map((number) => ({ number, hint: hex(source.hint(number)) })),
    awaited: nexts.map((next) => ({ next, numbers: awaitedNumbers(next) })),
  };
}

function paddingVector() {
  const lengths = [0, 1, 100, 254, 255, 256, 257, 511, 512, 1000, 1023, 1024, 4095, 65000, 65535, 65536, 100000];
  const examples = [EMPTY, utf8ToBytes("hello"), Uint8Array.of(0x80), Uint8Array.of(0x61, 0x80, 0x00)];
  return {
    sizes: lengths.map((length) => ({ length, padded: paddedSize(length) })),
    examples: examples.map((plaintext) => ({ plaintext: hex(plaintext), padded: hex(pad(plaintext)) })),
  };
}

function messageIdVector() {
  const key = secret("message id key");
  const sequences = [1, 2, 3, 255, 256, 65536, 2 ** 32 - 1];
  return {
    message_id_key: hex(key),
    ids: sequences.flatMap((sequence) => [
      { by: "initiator", sequence, id: messageId(crypto, key, true, sequence) },
      { by: "responder", sequence, id: messageId(crypto, key, false, sequence) },
    ]),
  };
}

/** The stream of an initiator that has sent eight messages and received some of the peer's. */
function sdsVector() {
  const ids: StreamIds = { crypto, idKey: secret("message id key"), initiator: true };
  const stream = () =>
    create(ReliabilitySchema, { idKey: ids.idKey, nextSequence: 9, lamport: BigInt(NOW_MS), abandoned: [3, 4] });
  const content = textPayload("hello");
  const message = { sequence: 8, lamport: BigInt(NOW_MS), payload: content };
  const ahead = { acknowledged: 5, received: [7, 8, 16], highestKnown: 16 };
  const first = create(ReliabilitySchema, { idKey: ids.idKey, nextSequence: 2 });
  const cases = {
    first_message: encodeSds(ids, first, NOW_MS, { message: { ...message, sequence: 1 } }),
    message: encodeSds(ids, stream(), NOW_MS, { message }),
    message_behind_a_gap: encodeSds(ids, Object.assign(stream(), ahead), NOW_MS, { message }),
    acknowledgement: encodeSds(ids, Object.assign(stream(), { acknowledged: 5 }), NOW_MS, {}),
    request: encodeSds(ids, Object.assign(stream(), { acknowledged: 5 }), NOW_MS, { requestAcknowledgement: true }),
    repair_request: encodeSds(ids, Object.assign(stream(), ahead), NOW_MS + 60_000, { missing: [6, 9, 10, 11] }),
  };
  return {
    message_id_key: hex(ids.idKey),
    now_ms: NOW_MS,
    content: hex(content),
    own_id_7: ourId(ids, 7),
    own_id_8: ourId(ids, 8),
    peer_id_5: peerId(ids, 5),
    ...Object.fromEntries(Object.entries(cases).map(([name, bytes]) => [name, hex(bytes)])),
  };
}

function segmentationVector() {
  const length = 2 * SEGMENT_LENGTH + 1000;
  const payload = Uint8Array.from({ length }, (_, index) => index % 251);
  const frame = create(FrameSchema, {
    timestampMs: BigInt(NOW_MS),
    content: create(ContentFrameSchema, { domain: 7, tag: 9, version: 1, payload }),
  });
  const encoded = toBinary(FrameSchema, frame);
  const payloads: Payload[] = split(frame);
  return {
    comment: "The content's payload is the bytes i mod 251 for i from 0.",
    timestamp_ms: NOW_MS,
    domain: 7,
    tag: 9,
    version: 1,
    content_length: length,
    frame_length: encoded.length,
    frame_sha256: hex(crypto.sha256(encoded)),
    segments: payloads.map((part) => {
      const segment = part.kind.case === "segment" ? part.kind.value : undefined;
      const bytes = toBinary(PayloadSchema, part);
      return {
        index: segment!.index,
        segment_count: segment!.segmentCount,
        entire_message_hash: hex(segment!.entireMessageHash),
        payload_length: segment!.payload.length,
        encoded_length: bytes.length,
        encoded_sha256: hex(crypto.sha256(bytes)),
      };
    }),
  };
}

function safetyNumberVector() {
  return {
    identity_key_a: hex(aliceIdentity),
    identity_key_b: hex(bobIdentity),
    safety_number: safetyNumber(crypto, aliceIdentity, bobIdentity),
  };
}

function deliveryAddressVector() {
  const keys = ["alice/identity", "bob/identity", "carol/identity"].map((name) =>
    crypto.ed25519PublicKey(secret(name)),
  );
  return keys.map((identityKey) => ({
    identity_key: hex(identityKey),
    addresses: [1, 16, 1000, 65536].map((bucketCount) => ({
      bucket_count: bucketCount,
      address: deliveryAddress(crypto, { ...NETWORK, bucketCount }, identityKey),
    })),
  }));
}

function vaultVector() {
  const hostKey = secret("host key");
  const derivation = create(KeyDerivationSchema, {
    derivation: {
      case: "argon2id",
      value: { salt: secret("salt").slice(0, 16), memoryKib: 65536, passes: 3, lanes: 4 },
    },
  });
  const entropy = new Draws("vault");
  const header = Vault.create(crypto, derivation, hostKey, entropy);
  entropy.next();
  const dataKey = entropy.next();
  const vault = Vault.open(crypto, header, hostKey);
  const record = utf8ToBytes("a record");
  const hint = secret("hint").slice(0, 8);
  const key = "account/00112233445566778899aabbccddeeff";
  const message = create(MessageSchema, {
    messageId: "AAAAAAAAAAAAAAAA",
    conversationId: "00112233445566778899aabbccddeeff",
    payload: utf8ToBytes("payload"),
    text: "text",
    refersTo: "BBBBBBBBBBBBBBBB",
  });
  return {
    host_key: hex(hostKey),
    data_key: hex(dataKey),
    header: hex(toBinary(VaultHeaderSchema, header)),
    database_id: header.databaseId,
    argon2id: { salt: hex(secret("salt").slice(0, 16)), memory_kib: 65536, passes: 3, lanes: 4 },
    sealed_data_key: hex(header.sealedDataKey),
    record_key: key,
    record: hex(record),
    sealed_record: hex(vault.sealRecord(key, record, entropy)),
    hint: hex(hint),
    tag: hex(vault.tag(hint)),
    message_id: message.messageId,
    conversation_id: message.conversationId,
    message_payload: hex(message.payload),
    message_text: message.text,
    message_refers_to: message.refersTo,
    sealed_message_payload: hex(vault.sealMessage(message, entropy).payload),
  };
}

/** File name (without ".json") to contents. */
export function protocolVectors(): Record<string, object> {
  return {
    invite: inviteVector(),
    "set-up-suite-1": setUp(1).vector,
    "set-up-suite-2": setUp(2).vector,
    ratchet: ratchetVector(),
    hints: hintsVector(),
    padding: paddingVector(),
    "message-ids": messageIdVector(),
    sds: sdsVector(),
    segmentation: segmentationVector(),
    "safety-number": safetyNumberVector(),
    "delivery-address": deliveryAddressVector(),
    vault: vaultVector(),
  };
}

/** As in the files: lists of numbers on one line. */
export function render(vector: object): string {
  const text = JSON.stringify(vector, null, 2);
  return `${text.replace(/\[[\s\d,]+\]/g, (list) => list.replace(/\s+/g, " ").replace("[ ", "[").replace(" ]", "]"))}\n`;
}
