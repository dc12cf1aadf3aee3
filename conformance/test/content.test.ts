import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { DeliveryStatus, type Message } from "@chatsdk/abi/api_pb";
import {
  AttachmentReferenceSchema,
  ReactionSchema,
  ReadReceiptSchema,
  ReplySchema,
  TextSchema,
} from "@chatsdk/abi/content_pb";
import { AccountRecordSchema } from "@chatsdk/abi/records_pb";
import { EnvelopeSchema } from "@chatsdk/abi/wire_pb";
import { BasicTag } from "@chatsdk/core";
import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { nodeCrypto as crypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { concatBytes, uint32Bytes, utf8ToBytes } from "../../core/src/bytes.ts";
import { Entropy } from "../../core/src/entropy.ts";
import { encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { pad } from "../../core/src/envelope/padding.ts";
import { MAX_OUTBOX } from "../../core/src/machine/outgoing.ts";
import { ratchetEncrypt } from "../../core/src/ratchet/double-ratchet.ts";
import { encodeSds } from "../../core/src/reliability/sds.ts";
import { conversationRecord, feed, openedRecords, SetUpByHand } from "../src/attack.ts";
import { pair, Person, text } from "../src/people.ts";
import { World } from "../src/world.ts";

type Content = { domain: number; tag: number; version: number; payload: Uint8Array };

function basic<Desc extends DescMessage>(tag: number, schema: Desc, value: MessageInitShape<Desc>): Content {
  return { domain: 0, tag, version: 1, payload: toBinary(schema, create(schema, value)) };
}

function established() {
  const world = new World();
  const people = pair(world, {}, crypto);
  const { alice, bob, conversationId } = people;
  const exchange = (content: Content): { sent: Message; received: Message | undefined } => {
    const request = { case: "sendMessage" as const, value: { conversationId, content } };
    const sent = alice.call(request, "sentMessage").message!;
    world.run(1000);
    const events = bob.eventsOf("messageReceived").map(({ message }) => message!);
    const received = events.find(({ messageId }) => messageId === sent.messageId);
    const row = bob.rows(conversationId).find(({ messageId }) => messageId === sent.messageId);
    expect(row).toEqual(received);
    return { sent, received };
  };
  return { world, ...people, exchange };
}

describe("basic types", () => {
  const url = "https://example.org/file";
  const attachment = {
    url,
    mediaType: "image/png",
    size: 12n,
    digest: new Uint8Array(32).fill(1),
    key: new Uint8Array(32).fill(2),
    nonce: new Uint8Array(12).fill(3),
    name: "../cat.png",
  };
  const cases: [string, Content, { text?: string; refersTo?: string }][] = [
    ["text", text("grüße 👋"), { text: "grüße 👋" }],
    ["empty text", text(""), { text: "" }],
    [
      "reply",
      basic(2, ReplySchema, { messageId: "AAAAAAAAAAAAAAAA", text: "yes" }),
      { text: "yes", refersTo: "AAAAAAAAAAAAAAAA" },
    ],
    [
      "reaction",
      basic(3, ReactionSchema, { messageId: "AAAAAAAAAAAAAAAA", reaction: "👍" }),
      { refersTo: "AAAAAAAAAAAAAAAA" },
    ],
    [
      "reaction taken back",
      basic(3, ReactionSchema, { messageId: "AAAAAAAAAAAAAAAA" }),
      { refersTo: "AAAAAAAAAAAAAAAA" },
    ],
    ["attachment reference", basic(5, AttachmentReferenceSchema, attachment), { text: "../cat.png" }],
  ];
  test.each(cases)("F5 a %s arrives as it was sent", (_, content, summary) => {
    const { sent, received } = established().exchange(content);
    expect(received).toMatchObject({ ...content, ...summary, outgoing: false, sequence: 2 });
    expect(sent).toMatchObject({ ...content, ...summary, outgoing: true, status: DeliveryStatus.QUEUED });
    expect([received!.text, received!.refersTo]).toEqual([summary.text, summary.refersTo]);
    expect([received!.lamport, received!.timestampMs]).toEqual([sent.lamport, sent.timestampMs]);
    expect(fromBinary(AttachmentReferenceSchema, cases[5]![1].payload)).toMatchObject(attachment);
  });

  test("F5 F4 a read receipt marks what was delivered as read, up to its message, and is no message itself", () => {
    const { world, alice, bob, conversationId } = established();
    const ids = ["one", "two", "three"].map((value) => alice.send(conversationId, value));
    world.run(100_000);
    const statuses = (): DeliveryStatus[] =>
      ids.map((id) => alice.rows(conversationId).find(({ messageId }) => messageId === id)!.status);
    expect(statuses()).toEqual([DeliveryStatus.DELIVERED, DeliveryStatus.DELIVERED, DeliveryStatus.DELIVERED]);
    const read = { conversationId, messageId: ids[1]! };
    bob.call({ case: "markRead", value: { ...read, sendReceipt: false } }, "done");
    world.run(100_000);
    expect(alice.withStatus(DeliveryStatus.READ)).toEqual([]);
    bob.call({ case: "markRead", value: { ...read, sendReceipt: true } }, "done");
    world.run(100_000);
    expect(alice.withStatus(DeliveryStatus.READ)).toEqual([ids[1]]);
    expect(statuses()).toEqual([DeliveryStatus.READ, DeliveryStatus.READ, DeliveryStatus.DELIVERED]);
    expect(alice.texts).toEqual([]);
    expect(alice.rows(conversationId).filter(({ outgoing }) => !outgoing)).toEqual([]);
    expect(bob.rows(conversationId).filter(({ outgoing }) => outgoing)).toEqual([]);
    // Of a message that does not exist, or one of the peer's: nothing is read that was not.
    const receipt = (messageId: string): Content => basic(4, ReadReceiptSchema, { messageId });
    const value = { conversationId, content: receipt("????????????????") };
    bob.call({ case: "sendMessage", value }, "sentMessage");
    world.run(100_000);
    expect(statuses()).toEqual([DeliveryStatus.READ, DeliveryStatus.READ, DeliveryStatus.DELIVERED]);
  });

  test("F5 while as many messages wait as can, a message is marked as read all the same, and the peer is not told", () => {
    const { world, alice, bob, conversationId } = established();
    const ids = ["one", "two"].map((value) => alice.send(conversationId, value));
    world.run(100_000);
    world.switchOff(alice.machine);
    for (let i = 0; i < MAX_OUTBOX; i++) bob.send(conversationId, `${i}`);
    const marked: string[] = [];
    bob.machine.watch = ({ changes }) => {
      for (const { change } of changes) if (change.case === "ownRead") marked.push(change.value.messageId);
    };
    const read = (messageId: string) =>
      bob.call({ case: "markRead", value: { conversationId, messageId, sendReceipt: true } }, "done");
    read(ids[0]!);
    expect(marked).toEqual([ids[0]]);
    expect(bob.machine.disk.keysUnder("out/").length).toBe(MAX_OUTBOX);
    world.switchOn(alice.machine);
    world.run(20 * 60_000);
    expect(alice.texts.length).toBe(MAX_OUTBOX);
    expect(alice.withStatus(DeliveryStatus.READ)).toEqual([]);
    // A later one says it of both.
    read(ids[1]!);
    world.run(100_000);
    expect(alice.withStatus(DeliveryStatus.READ)).toEqual([ids[1]]);
  });
});

describe("own and unknown types", () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => i & 255);
  const cases: [string, Content][] = [
    ["own domain", { domain: 7001, tag: 1, version: 1, payload: bytes }],
    ["own domain with a text's bytes", { domain: 1, tag: BasicTag.text, version: 1, payload: text("hidden").payload }],
    ["largest numbers", { domain: 2 ** 32 - 1, tag: 2 ** 32 - 1, version: 2 ** 32 - 1, payload: bytes }],
    ["unknown basic tag", { domain: 0, tag: 6, version: 1, payload: bytes }],
    ["tag 0", { domain: 0, tag: 0, version: 1, payload: bytes }],
    ["empty payload", { domain: 9, tag: 1, version: 1, payload: new Uint8Array(0) }],
    ["newer text", { domain: 0, tag: BasicTag.text, version: 2, payload: text("not for you").payload }],
    ["newer reaction", { domain: 0, tag: BasicTag.reaction, version: 9, payload: bytes }],
    ["newer read receipt", { ...basic(BasicTag.readReceipt, ReadReceiptSchema, { messageId: "x" }), version: 2 }],
    ["text that does not decode", { domain: 0, tag: BasicTag.text, version: 1, payload: Uint8Array.of(10, 200) }],
    [
      "read receipt that does not decode",
      { domain: 0, tag: BasicTag.readReceipt, version: 1, payload: Uint8Array.of(10, 200) },
    ],
  ];
  test.each(cases)("F5 S2 %s: arrives opaque, is stored as it came, is acknowledged", (_, content) => {
    const { world, alice, exchange } = established();
    const { sent, received } = exchange(content);
    expect(received).toMatchObject(content);
    expect([received!.text, received!.refersTo]).toEqual([undefined, undefined]);
    world.run(100_000);
    expect(alice.withStatus(DeliveryStatus.DELIVERED)).toContain(sent.messageId);
    expect(alice.withStatus(DeliveryStatus.READ)).toEqual([]);
  });

  const attachment = { url: "u", digest: new Uint8Array(32), key: new Uint8Array(32), nonce: new Uint8Array(12) };
  test.each<[string, Content]>([
    ["content: empty", { domain: 0, tag: 0, version: 0, payload: new Uint8Array() }],
    ["content.reply.message_id", basic(BasicTag.reply, ReplySchema, { text: "to nothing" })],
    ["content.reaction.message_id", basic(BasicTag.reaction, ReactionSchema, { reaction: "+" })],
    ["content.attachment_reference.url", basic(BasicTag.attachmentReference, AttachmentReferenceSchema, {})],
    ...(["digest", "key", "nonce"] as const).map((field): [string, Content] => [
      `content.attachment_reference.${field}`,
      basic(BasicTag.attachmentReference, AttachmentReferenceSchema, { ...attachment, [field]: new Uint8Array(31) }),
    ]),
  ])("F5 a sender that leaves out %s is told, and nothing changes", (field, content) => {
    const { alice, conversationId } = established();
    const before = alice.machine.disk.fingerprint();
    expect(() => alice.call({ case: "sendMessage", value: { conversationId, content } }, "sentMessage")).toThrow(field);
    expect(alice.machine.disk.fingerprint()).toBe(before);
  });

  test("F5 version 0 reads as version 1", () => {
    const { exchange } = established();
    expect(exchange({ ...text("old"), version: 0 }).received).toMatchObject({ version: 1, text: "old" });
  });

  test("F5 a message without a content is refused, and the field named", () => {
    const { alice, conversationId } = established();
    const before = alice.machine.disk.fingerprint();
    expect(() => alice.call({ case: "sendMessage", value: { conversationId } }, "sentMessage")).toThrow(/^content: /);
    expect(alice.machine.disk.fingerprint()).toBe(before);
  });
});

describe("fields of later versions", () => {
  const field = (number: number, bytes: Uint8Array): Uint8Array => {
    const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]);
    return concatBytes(Uint8Array.from([...varint((number << 3) | 2), ...varint(bytes.length)]), bytes);
  };
  /** One of each kind. */
  const UNKNOWN = concatBytes(
    field(500, utf8ToBytes("from the future")),
    Uint8Array.of(0x98, 0x1f, 0x07),
    concatBytes(Uint8Array.of(0x9d, 0x1f), uint32Bytes(1)),
  );

  test("F5 S2 unknown fields are ignored in envelope, SDS message, payload, frame and content, and nothing keeps them", () => {
    const { world, alice, bob, conversationId } = established();
    const content = toBinary(TextSchema, create(TextSchema, { text: "for everybody" }));
    const contentFrame = concatBytes(
      Uint8Array.of(0x10, 1),
      field(3, concatBytes(content, UNKNOWN)),
      Uint8Array.of(0x20, 1),
      UNKNOWN,
    );
    const frame = concatBytes(Uint8Array.of(0x08, 42), field(10, contentFrame), UNKNOWN);
    const payload = concatBytes(field(1, frame), UNKNOWN);
    const record = conversationRecord(alice.machine, conversationId);
    const stream = record.reliability!;
    const ids = { crypto, idKey: stream.idKey, initiator: true };
    const message = { sequence: stream.nextSequence, lamport: BigInt(world.nowMs), payload };
    const sds = concatBytes(encodeSds(ids, stream, world.nowMs, { message }), UNKNOWN);
    const sealed = ratchetEncrypt(crypto, record.session!, pad(sds), new Entropy(crypto, new Uint8Array(32)));
    const envelope = concatBytes(encodeEnvelope(sealed.hint, sealed.payload), UNKNOWN);
    expect(fromBinary(EnvelopeSchema, envelope).$unknown!.length).toBe(3);
    expect(feed(bob.machine, world.nowMs, envelope).texts).toEqual(["for everybody"]);
    const [row] = bob.rows(conversationId).filter(({ text: value }) => value === "for everybody");
    expect(row).toMatchObject({ domain: 0, tag: 1, version: 1, timestampMs: 42n, sequence: 2 });
    const leftovers = openedRecords(bob.machine).filter(
      ({ key, bytes }) => !key.startsWith("event/") && Buffer.from(bytes).includes("from the future"),
    );
    expect(leftovers).toEqual([]);
  });

  test.each([1, 2])("F5 S2 unknown fields are ignored in a hello and a set-up (suite %i)", (suite) => {
    const world = new World();
    const [bob, alice] = ["bob", "alice"].map((name) => new Person(world, name, {}, crypto)) as [Person, Person];
    const [account] = openedRecords(alice.machine, "account/");
    const { identitySeed } = fromBinary(AccountRecordSchema, account!.bytes);
    const link = bob.invite();
    const byHand = new SetUpByHand(crypto, { link, identitySeed, suite, nowMs: world.nowMs });
    const payload = field(1, field(10, concatBytes(Uint8Array.of(0x10, 1), field(3, text("hi").payload))));
    const envelope = byHand.throughout(payload, concatBytes(byHand.encoded(), UNKNOWN));
    const { hint, payload: setUp } = fromBinary(EnvelopeSchema, envelope);
    expect(feed(bob.machine, world.nowMs, encodeEnvelope(hint, concatBytes(setUp, UNKNOWN))).texts).toEqual(["hi"]);
  });
});
