import { clone, create } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { ReliabilitySchema, SendingChainSchema, SessionSchema } from "@chatsdk/abi/records_pb";
import {
  FrameSchema,
  InboxHandshakeSchema,
  InitiatorHelloSchema,
  IntroductionBundleSchema,
  InviteLinkSchema,
  PayloadSchema,
  ResponderHelloSchema,
  SdsMessageSchema,
} from "@chatsdk/abi/wire_pb";
import { nodeCrypto } from "@chatsdk/client";
import { BasicTag, Entropy, INVITE_PREFIX } from "@chatsdk/core";
import { decode } from "../../core/src/codec.ts";
import { readReceiptOf, summarize } from "../../core/src/content/basic-types.ts";
import { decodeEnvelope, encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { pad, unpad } from "../../core/src/envelope/padding.ts";
import { Rejected } from "../../core/src/errors.ts";
import { accept, decodeHandshake } from "../../core/src/handshake/handshake.ts";
import { InitiatorAgreement } from "../../core/src/handshake/key-agreement.ts";
import { decodeInvite, encodeInvite } from "../../core/src/invite/invite-link.ts";
import { checkPayload } from "../../core/src/machine/showing.ts";
import { ratchetDecrypt, ratchetEncrypt } from "../../core/src/ratchet/double-ratchet.ts";
import { HintSource } from "../../core/src/ratchet/hints.ts";
import { decodeSds, peerId, type StreamIds } from "../../core/src/reliability/sds.ts";
import { join } from "../../core/src/segmentation/segmentation.ts";
import { keccak256 } from "../src/spec-primitives.ts";
import { content, encoded, envelopes, frames, handshakes, payloads, sdsMessages } from "./samples.ts";
import type { Stage } from "./stage.ts";
import type { Target } from "./target.ts";

const some = (length: number, value = 0x5a): Uint8Array => new Uint8Array(length).fill(value);
const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const SEED = some(32, 1);

/** The link's author, and what everybody knows who holds the link. */
const author = {
  identitySeed: some(32, 2),
  secret: some(32, 3),
  publicKey: nodeCrypto.x25519PublicKey(some(32, 3)),
  binding: some(32, 4),
  suites: 3,
};

function initiatorHello(): Target {
  const identityKey = nodeCrypto.ed25519PublicKey(SEED);
  const responder = nodeCrypto.ed25519PublicKey(author.identitySeed);
  const agreement = new InitiatorAgreement(nodeCrypto, some(32, 5), responder, author.publicKey);
  const { key, nonce } = agreement.helloKey(author.binding);
  const { ephemeralKey } = agreement;
  const fields = {
    identityKey,
    ratchetKey: nodeCrypto.x25519PublicKey(some(32, 6)),
    deliveryAddress: "/chatsdk/2/3/proto",
    createdMs: 1_767_225_600_000n,
    recoveryPrekey: nodeCrypto.x25519PublicKey(some(32, 7)),
  };
  const kemKey = nodeCrypto.mlKem768PublicKey(some(64));
  /** The first message as well, as far as there can be one for such a hello. */
  const message = (hello: Uint8Array): Uint8Array => {
    const { suite } = decode(InitiatorHelloSchema, hello, "hello");
    const transcript = {
      suite,
      binding: author.binding,
      initiatorIdentity: identityKey,
      responderIdentity: responder,
      ephemeralKey,
      prekey: author.publicKey,
      hello,
    };
    const { associatedData, rootKey, chainKey, headerKey } = agreement.session(SEED, transcript);
    const sending = create(SendingChainSchema, { chainKey, headerKey });
    const session = create(SessionSchema, { associatedData, rootKey, ratchetSecret: some(32, 6), sending });
    return ratchetEncrypt(nodeCrypto, session, pad(SEED), new Entropy(nodeCrypto, SEED)).payload;
  };
  return {
    name: "initiator hello",
    samples: [
      encoded(InitiatorHelloSchema, { ...fields, suite: 1 }),
      encoded(InitiatorHelloSchema, { ...fields, suite: 2, kemKey }),
    ],
    run(hello) {
      const encryptedHello = nodeCrypto.aeadSeal(key, nonce, pad(hello), concat(author.binding, ephemeralKey));
      let first = some(400);
      try {
        first = new Uint8Array(message(hello));
      } catch (error) {
        if (!(error instanceof Rejected)) throw error;
      }
      const handshake = create(InboxHandshakeSchema, { ephemeralKey, encryptedHello, message: first });
      accept(nodeCrypto, author, some(32), handshake, 0);
    },
  };
}

/** The responder says it under the right keys, at the machine that waits for the ML-KEM ciphertext. */
function responderHello(stage: Stage): Target {
  const { answering, waiting } = stage.firstAnswer();
  const messageNumber = answering.sending!.next;
  return {
    name: "responder hello",
    samples: [answering.responderHello],
    spoiled: [encoded(ResponderHelloSchema, { recoveryPrekey: some(32) })],
    run(bytes) {
      const session = clone(SessionSchema, answering);
      session.responderHello = bytes;
      const message = ratchetEncrypt(nodeCrypto, session, pad(SEED), new Entropy(nodeCrypto, SEED));
      ratchetDecrypt(nodeCrypto, clone(SessionSchema, waiting), { kind: "next", messageNumber }, message, 0);
    },
  };
}

/** A header of any content and length, sealed by somebody who has its key, in the current chain and in the next. */
function header(stage: Stage): Target {
  const messageNumberOf = { current: stage.listening().receiving!.next, next: 0 };
  const plain = concat(nodeCrypto.x25519PublicKey(SEED), Uint8Array.of(0, 0, 0, 9), new Uint8Array(6));
  const far = concat(nodeCrypto.x25519PublicKey(SEED), some(4, 0xff), new Uint8Array(4), some(2, 0xff));
  const open = (kind: "current" | "next", bytes: Uint8Array): void => {
    const session = stage.listening();
    const headerKey = kind === "next" ? session.nextReceivingHeaderKey : session.receiving!.headerKey;
    const messageNumber = messageNumberOf[kind];
    const numbered = bytes.slice();
    if (bytes.length >= 40) new DataView(numbered.buffer).setUint32(36, messageNumber);
    const hint = new HintSource(nodeCrypto, headerKey).hint(messageNumber);
    const nonce = concat(new Uint8Array(8), Uint8Array.of(0, 0, 0, messageNumber));
    const associatedData = concat(session.associatedData, hint);
    const sealed = nodeCrypto.aeadSeal(headerKey.subarray(0, 32), nonce, numbered, associatedData);
    const payload = bytes.length < 42 ? sealed : concat(sealed, some(300));
    ratchetDecrypt(nodeCrypto, session, { kind, messageNumber }, { hint, payload }, 0);
  };
  return {
    name: "ratchet header",
    samples: [],
    spoiled: [plain, far],
    run(bytes) {
      open((bytes[0] ?? 0) % 2 === 0 ? "next" : "current", bytes);
    },
  };
}

function inviteLink(): Target[] {
  const bundle = {
    identityKey: nodeCrypto.ed25519PublicKey(SEED),
    signedPrekey: author.publicKey,
    deliveryAddress: "/chatsdk/2/3/proto",
    clusterId: 42,
    shardCount: 8,
    expiresAt: 1_800_000_000,
    suites: 3,
  };
  const { link } = encodeInvite(nodeCrypto, SEED, create(IntroductionBundleSchema, bundle));
  const utf8 = new TextEncoder();
  const text = (bytes: Uint8Array): string => INVITE_PREFIX + base64Encode(bytes, "url");
  const decoded = new Uint8Array(Buffer.from(link.slice(INVITE_PREFIX.length), "base64url"));
  return [
    {
      name: "invite link text",
      samples: [utf8.encode(link), utf8.encode(` ${link}\n`)],
      spoiled: [utf8.encode("logos_chatintro_3_AAAA")],
      run: (bytes) => void decodeInvite(nodeCrypto, new TextDecoder().decode(bytes)),
    },
    { name: "invite link bytes", samples: [decoded], run: (bytes) => void decodeInvite(nodeCrypto, text(bytes)) },
    {
      name: "signed introduction bundle",
      samples: [encoded(IntroductionBundleSchema, bundle)],
      run(bytes) {
        const signature = nodeCrypto.ed25519Sign(SEED, concat(utf8.encode(INVITE_PREFIX), bytes));
        decodeInvite(nodeCrypto, text(encoded(InviteLinkSchema, { bundle: bytes, signature })));
      },
    },
  ];
}

function contentTypes(): Target[] {
  return (Object.entries(BasicTag) as [keyof typeof BasicTag, number][]).map(([name, tag]) => ({
    name: `content ${name}`,
    samples: [content[name]],
    run(payload) {
      const frame = { domain: 0, tag, version: 1, payload };
      const { text, refersTo } = summarize(frame);
      const read = readReceiptOf(frame);
      for (const value of [text, refersTo, read])
        if (value !== undefined && typeof value !== "string") throw new Error("not a text");
    },
  }));
}

/** An SDS message of the peer's that is right in every point. */
function namedSds(ids: StreamIds): Uint8Array {
  return encoded(SdsMessageSchema, {
    messageId: peerId(ids, 3),
    sequence: 3,
    acknowledged: 4,
    content: payloads[0]!,
    received: Uint8Array.of(1),
    abandoned: [1, 2],
  });
}

/** Everything that comes in from the network or out of band. */
export function wireTargets(stage: Stage): Target[] {
  const ids = { crypto: nodeCrypto, idKey: some(32), initiator: true };
  const genuine = stage.genuineEnvelope();
  return [
    { name: "envelope", samples: envelopes, run: (bytes) => void decodeEnvelope(bytes) },
    { name: "handshake", samples: handshakes, run: (bytes) => void decodeHandshake(bytes) },
    initiatorHello(),
    responderHello(stage),
    header(stage),
    {
      name: "ratchet message",
      samples: [decodeEnvelope(genuine).payload],
      run: (payload) => stage.decrypt(decodeEnvelope(genuine).hint, payload),
    },
    { name: "padding", samples: [pad(some(100)), pad(some(256)), pad(some(3000))], run: (bytes) => void unpad(bytes) },
    {
      name: "sds",
      samples: [sdsMessages[0]!, namedSds(ids)],
      spoiled: sdsMessages,
      run: (bytes) => void decodeSds(ids, create(ReliabilitySchema, { nextSequence: 5 }), bytes),
    },
    {
      name: "payload",
      samples: payloads,
      run: (bytes) => checkPayload(decode(PayloadSchema, bytes, "payload"), 300),
    },
    {
      name: "frame",
      samples: frames,
      run(bytes) {
        const frame = decode(FrameSchema, bytes, "frame");
        checkPayload(create(PayloadSchema, { kind: { case: "frame", value: frame } }), 1);
        // The hash of large ones takes longer here than in the core.
        if (bytes.length > 1000) return;
        const half = bytes.length >> 1;
        join(keccak256(bytes), [bytes.subarray(0, half), bytes.subarray(half)]);
      },
    },
    ...contentTypes(),
    ...inviteLink(),
    // The same at the machine: an envelope on a topic, a set-up by somebody who holds the link, a peer that lies.
    {
      name: "envelope, at the machine",
      samples: [genuine, stage.setUp],
      run: (bytes) => stage.feed(bytes),
    },
    {
      name: "handshake, at the machine",
      samples: [decodeEnvelope(stage.setUp).payload],
      run(bytes) {
        stage.feed(encodeEnvelope(decodeEnvelope(stage.setUp).hint, bytes));
      },
    },
    {
      name: "plaintext, at the machine",
      samples: stage.sdsSamples().map(pad),
      spoiled: sdsMessages.map(pad),
      run: (bytes) => stage.deliver(bytes),
    },
    {
      name: "sds, at the machine",
      samples: stage.sdsSamples(),
      spoiled: sdsMessages,
      run: (bytes) => stage.deliver(pad(bytes)),
    },
    { name: "payload, at the machine", samples: payloads, run: (bytes) => stage.deliverPayload(bytes) },
  ];
}
