import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AttachmentReferenceSchema,
  ReactionSchema,
  ReadReceiptSchema,
  ReplySchema,
  TextSchema,
} from "@chatsdk/abi/content_pb";
import { KeyDerivationSchema, VaultHeaderSchema } from "@chatsdk/abi/host_pb";
import {
  EnvelopeSchema,
  FrameSchema,
  InboxHandshakeSchema,
  PayloadSchema,
  SdsMessageSchema,
  SegmentSchema,
} from "@chatsdk/abi/wire_pb";
import { keccak256 } from "../src/spec-primitives.ts";

export function encoded<Desc extends DescMessage>(schema: Desc, value: MessageInitShape<Desc>): Uint8Array {
  return toBinary(schema, create(schema, value));
}

const some = (length: number, value = 0x5a): Uint8Array => new Uint8Array(length).fill(value);

/** Well-formed values of each kind of message, to be damaged. */
export const content = {
  text: encoded(TextSchema, { text: "Grüße 👋" }),
  reply: encoded(ReplySchema, { messageId: "AAAAAAAAAAAAAAAA", text: "yes" }),
  reaction: encoded(ReactionSchema, { messageId: "AAAAAAAAAAAAAAAA", reaction: "👍" }),
  readReceipt: encoded(ReadReceiptSchema, { messageId: "AAAAAAAAAAAAAAAA" }),
  attachmentReference: encoded(AttachmentReferenceSchema, {
    url: "https://example.org/file",
    mediaType: "image/png",
    size: 12_345n,
    digest: some(32),
    key: some(32),
    nonce: some(12),
    name: "picture.png",
  }),
};

const frame = (tag: number, payload: Uint8Array) =>
  create(FrameSchema, { timestampMs: 1_767_225_600_000n, content: { domain: 0, tag, version: 1, payload } });
export const frames = Object.values(content).map((payload, index) => toBinary(FrameSchema, frame(index + 1, payload)));
const segments = [0, 1].map((index) =>
  create(SegmentSchema, { entireMessageHash: keccak256(some(200)), index, segmentCount: 2, payload: some(100) }),
);
export const payloads = [
  ...Object.values(content).map((bytes, index) =>
    encoded(PayloadSchema, { kind: { case: "frame", value: frame(index + 1, bytes) } }),
  ),
  ...segments.map((value) => encoded(PayloadSchema, { kind: { case: "segment", value } })),
];
export const sdsMessages = [
  encoded(SdsMessageSchema, { nextSequence: 3, acknowledged: 1, acknowledgementRequested: true }),
  encoded(SdsMessageSchema, {
    messageId: "AAAAAAAAAAAAAAAA",
    lamportTimestamp: 1_767_225_600_000n,
    causalHistory: [{ messageId: "BBBBBBBBBBBBBBBB" }, { messageId: "CCCCCCCCCCCCCCCC" }],
    repairRequest: [{ messageId: "DDDDDDDDDDDDDDDD", retrievalHint: some(4), senderId: "x" }],
    content: payloads[0]!,
    sequence: 2,
    acknowledged: 1,
    received: Uint8Array.of(5, 0x80),
    abandoned: [4, 5, 900],
    bloomFilter: some(16),
  }),
];
export const envelopes = [
  encoded(EnvelopeSchema, { hint: some(8), payload: some(300) }),
  encoded(EnvelopeSchema, { hint: some(8) }),
];
export const handshakes = [
  encoded(InboxHandshakeSchema, { ephemeralKey: some(32), encryptedHello: some(300), message: some(300) }),
];
export const vaultHeaders = (header: MessageInitShape<typeof VaultHeaderSchema>): Uint8Array[] =>
  (["rawKey", "unprotected", "argon2id", "keyring"] as const).map((kind) =>
    encoded(VaultHeaderSchema, {
      ...header,
      derivation: create(KeyDerivationSchema, { derivation: { case: kind, value: {} } } as MessageInitShape<
        typeof KeyDerivationSchema
      >),
    }),
  );
