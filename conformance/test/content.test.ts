import { create, toBinary } from "@bufbuild/protobuf";
import { DeliveryStatus, FailureReason } from "@chatsdk/abi/api_pb";
import { AttachmentReferenceSchema, ReactionSchema, ReadReceiptSchema, ReplySchema } from "@chatsdk/abi/content_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { BasicTag } from "@chatsdk/core";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { MAX_FRAME_LENGTH } from "../../core/src/segmentation/segmentation.ts";
import { accountOf } from "../src/ledger.ts";
import { pair, type Person } from "../src/people.ts";
import { seededRandom } from "../src/random.ts";
import { CALM, World } from "../src/world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const WAKU_LIMIT = 150 * 1024;

const failsWith = (code: ErrorCode) => expect.objectContaining({ code });

function setting(config = {}) {
  const world = new World(71);
  return { world, ...pair(world, config, nodeCrypto) };
}

function sendContent(person: Person, conversationId: string, content: object): string {
  const whole = { domain: 1000, tag: 1, version: 1, ...content };
  return person.call({ case: "sendMessage", value: { conversationId, content: whole } }, "sentMessage").message!
    .messageId;
}

/** Bytes nobody can compress or confuse. */
function noise(length: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length }, () => random() * 256);
}

const received = (person: Person) => person.eventsOf("messageReceived").map(({ message }) => message!);

describe("large contents", () => {
  test.each([
    { name: "300 KB", length: 300_000, parts: 5 },
    { name: "5 MB", length: 5_000_000, parts: 77 },
  ])("F2 $name arrive as they were sent, in envelopes the network takes", ({ length, parts }) => {
    const { world, alice, bob, conversationId } = setting();
    const payload = noise(length, length);
    const mark = world.published.length;
    const id = sendContent(alice, conversationId, { payload });
    world.run(5 * MINUTE);
    const message = received(bob).at(-1)!;
    expect(message.messageId).toBe(id);
    expect(Buffer.from(message.payload).equals(payload)).toBe(true);
    expect(received(bob).length).toBe(2);
    expect(alice.withStatus(DeliveryStatus.DELIVERED).filter((delivered) => delivered === id).length).toBe(1);
    const envelopes = world.published.slice(mark).filter(({ publishId }) => publishId.startsWith("m/"));
    expect(envelopes.length).toBe(parts);
    expect(Math.max(...envelopes.map((envelope) => envelope.payload.length))).toBeLessThan(WAKU_LIMIT / 2);
    expect(bob.machine.disk.keysUnder("segment/")).toEqual([]);
    expect(bob.machine.disk.keysUnder("held/")).toEqual([]);
  });

  test("F2 the largest is the largest: one byte more is refused, and changes nothing", () => {
    const { alice, conversationId } = setting();
    const before = alice.machine.disk.fingerprint();
    const length = MAX_FRAME_LENGTH - 63;
    expect(() => sendContent(alice, conversationId, { payload: new Uint8Array(length) })).toThrow(
      failsWith(ErrorCode.CONTENT_TOO_LARGE),
    );
    expect(alice.machine.disk.fingerprint() === before).toBe(true);
    sendContent(alice, conversationId, { domain: 2 ** 32 - 1, tag: 2 ** 32 - 1, payload: new Uint8Array(length - 1) });
    expect(alice.machine.disk.keysUnder("out/").length).toBe(255);
  });

  test("F2 also as the first message of a conversation", () => {
    const world = new World(72);
    const { bob } = pair(world, {}, nodeCrypto);
    const { alice: carol } = pair(world, {}, nodeCrypto);
    const payload = noise(200_000, 3);
    const value = {
      accountId: carol.accountId,
      link: bob.invite(),
      content: { domain: 7, tag: 1, version: 1, payload },
    };
    carol.call({ case: "acceptInvite", value }, "sentMessage");
    world.run(5 * MINUTE);
    expect(Buffer.from(received(bob).at(-1)!.payload).equals(payload)).toBe(true);
  });

  test("F2 R1 several at once between small ones, out of order and with losses, each exactly once", () => {
    const { world, alice, bob, conversationId } = setting();
    world.weather = { loss: 0.25, duplication: 0.1, reorder: 20, delayMs: 500, store: false };
    const payloads = [1, 2, 3].map((seed) => noise(150_000 + 70_000 * seed, seed));
    payloads.forEach((payload, i) => {
      sendContent(alice, conversationId, { payload });
      alice.send(conversationId, `small ${i}`);
      sendContent(bob, conversationId, { payload });
    });
    world.run(6 * HOUR);
    for (const person of [alice, bob]) {
      const large = received(person).filter(({ domain }) => domain === 1000);
      const contents = large.map(({ payload }) => Buffer.from(payload).toString("base64"));
      expect(contents.toSorted()).toEqual(
        payloads.map((payload) => Buffer.from(payload).toString("base64")).toSorted(),
      );
      expect(person.machine.disk.keysUnder("segment/")).toEqual([]);
    }
    expect(accountOf(alice, bob, conversationId).undelivered).toEqual([]);
    expect(accountOf(bob, alice, conversationId).undelivered).toEqual([]);
  });

  test("F2 two with the same bytes in the same millisecond are two messages, in any order of arrival", () => {
    const { world, alice, bob, conversationId } = setting();
    world.weather = { ...CALM, store: false, reorder: 20, loss: 0.3 };
    const payload = noise(200_000, 5);
    const ids = [1, 2, 3].map(() => sendContent(alice, conversationId, { payload }));
    world.run(6 * HOUR);
    const large = received(bob).filter(({ domain }) => domain === 1000);
    expect(large.map(({ messageId }) => messageId).toSorted()).toEqual(ids.toSorted());
  });

  test("F2 parts whose rest never comes are dropped when the message's time is over", () => {
    const { world, alice, bob, conversationId } = setting({ messageTtlMs: BigInt(2 * HOUR) });
    world.weather = { ...CALM, store: false };
    world.censor = ({ publishId }) => publishId.endsWith("/3");
    sendContent(alice, conversationId, { payload: noise(300_000, 4) });
    world.run(HOUR);
    expect(bob.machine.disk.keysUnder("segment/").length).toBe(4);
    world.run(3 * HOUR);
    expect(bob.machine.disk.keysUnder("segment/")).toEqual([]);
    expect(alice.withStatus(DeliveryStatus.FAILED).length).toBe(1);
    expect(received(bob).length).toBe(1);
  });
});

describe("types", () => {
  test("F5 contents of other domains, tags and versions are delivered, stored and kept byte for byte", () => {
    const { world, alice, bob, conversationId } = setting();
    const contents = [
      { domain: 4242, tag: 99, version: 7, payload: noise(50, 1) },
      { domain: 4242, tag: 0, version: 1, payload: new Uint8Array(0) },
      { domain: 0, tag: 200, version: 1, payload: noise(50, 2) },
      { domain: 0, tag: BasicTag.text, version: 2, payload: noise(50, 3) },
      { domain: 0, tag: BasicTag.text, version: 1, payload: Uint8Array.of(0xff, 0xff) },
      { domain: 2 ** 32 - 1, tag: 2 ** 32 - 1, version: 2 ** 32 - 1, payload: noise(50, 4) },
    ];
    for (const content of contents) sendContent(alice, conversationId, content);
    world.run(MINUTE);
    const seen = received(bob).slice(1);
    expect(seen.map(({ domain, tag, version, payload }) => ({ domain, tag, version, payload }))).toEqual(contents);
    expect(seen.map(({ text, refersTo }) => [text, refersTo])).toEqual(contents.map(() => [undefined, undefined]));
    const rows = bob.rows(conversationId).filter(({ text }) => text !== "hello");
    expect(rows.map(({ payload }) => payload)).toEqual(contents.map(({ payload }) => payload));
  });

  test("F5 a version of 0 reads as 1", () => {
    const { world, alice, bob, conversationId } = setting();
    sendContent(alice, conversationId, { version: 0, payload: Uint8Array.of(1) });
    world.run(MINUTE);
    expect(received(bob).at(-1)!.version).toBe(1);
  });

  test("F5 replies, reactions and attachment references say what they refer to and what can be searched", () => {
    const { world, alice, bob, conversationId } = setting();
    const messageId = received(bob)[0]!.messageId;
    const basic = (tag: number, payload: Uint8Array): string =>
      sendContent(bob, conversationId, { domain: 0, tag, payload });
    basic(BasicTag.reply, toBinary(ReplySchema, create(ReplySchema, { messageId, text: "agreed" })));
    basic(BasicTag.reaction, toBinary(ReactionSchema, create(ReactionSchema, { messageId, reaction: "👍" })));
    const file = create(AttachmentReferenceSchema, { url: "https://example.org/x", name: "plan.pdf", size: 10n });
    basic(BasicTag.attachmentReference, toBinary(AttachmentReferenceSchema, file));
    world.run(MINUTE);
    expect(received(alice).map(({ text, refersTo }) => ({ text, refersTo }))).toEqual([
      { text: "agreed", refersTo: messageId },
      { text: undefined, refersTo: messageId },
      { text: "plan.pdf", refersTo: undefined },
    ]);
  });
});

describe("read receipts", () => {
  test("F4 what was read is marked read at the sender, and shows no message", () => {
    const { world, alice, bob, conversationId } = setting();
    const ids = [1, 2, 3].map((i) => alice.send(conversationId, `${i}`));
    world.run(2 * MINUTE);
    bob.call({ case: "markRead", value: { conversationId, messageId: ids[1]!, sendReceipt: true } }, "done");
    world.run(2 * MINUTE);
    expect(alice.withStatus(DeliveryStatus.READ)).toEqual([ids[1]]);
    expect(alice.texts).toEqual([]);
    const status = new Map(alice.rows(conversationId).map((row) => [row.messageId, row.status]));
    expect(ids.map((id) => status.get(id))).toEqual([
      DeliveryStatus.READ,
      DeliveryStatus.READ,
      DeliveryStatus.DELIVERED,
    ]);
    expect(bob.machine.disk.keysUnder("out/")).toEqual([]);
  });

  test("F4 no receipt is sent if the application does not wish it", () => {
    const { world, bob, conversationId } = setting();
    world.run(5 * MINUTE);
    const mark = world.published.length;
    const messageId = received(bob)[0]!.messageId;
    bob.call({ case: "markRead", value: { conversationId, messageId, sendReceipt: false } }, "done");
    world.run(MINUTE);
    expect(world.published.length).toBe(mark);
  });

  test("F4 a receipt for a message that does not exist changes no row", () => {
    const { world, alice, bob, conversationId } = setting();
    world.run(MINUTE);
    for (const messageId of ["", "nonsense", "x".repeat(100_000)]) {
      const payload = toBinary(ReadReceiptSchema, create(ReadReceiptSchema, { messageId }));
      sendContent(bob, conversationId, { domain: 0, tag: BasicTag.readReceipt, payload });
    }
    world.run(MINUTE);
    expect(alice.rows(conversationId).map(({ status }) => status)).toEqual([DeliveryStatus.DELIVERED]);
  });
});

describe("sending", () => {
  test("F2 a message that waits can be taken back, one that was delivered cannot", () => {
    const { world, alice, bob, conversationId } = setting();
    world.weather = { ...CALM, store: false, loss: 1 };
    const messageId = alice.send(conversationId, "oh no");
    alice.call({ case: "cancelMessage", value: { conversationId, messageId } }, "done");
    expect(alice.eventsOf("messageStatusChanged").at(-1)).toMatchObject({
      messageId,
      status: DeliveryStatus.FAILED,
      failureReason: FailureReason.CANCELLED,
    });
    world.weather = CALM;
    const arrived = alice.send(conversationId, "arrives");
    world.run(HOUR);
    expect(bob.texts).toEqual(["hello", "arrives"]);
    for (const id of [arrived, messageId, "unknown"])
      expect(() => alice.call({ case: "cancelMessage", value: { conversationId, messageId: id } }, "done")).toThrow(
        failsWith(ErrorCode.MESSAGE_NOT_FOUND),
      );
  });

  test("F2 a thousand messages may wait; then the outbox is full until the peer has answered", () => {
    const { world, alice, bob, conversationId } = setting();
    world.switchOff(bob.machine);
    for (let i = 0; i < 1000; i++) alice.send(conversationId, `${i}`);
    const full = expect.objectContaining({ code: ErrorCode.OUTBOX_FULL, retryable: true });
    const before = alice.machine.disk.fingerprint();
    expect(() => alice.send(conversationId, "one too many")).toThrow(full);
    expect(alice.machine.disk.fingerprint() === before).toBe(true);
    world.switchOn(bob.machine);
    world.run(5 * MINUTE);
    alice.send(conversationId, "now it fits");
    world.run(MINUTE);
    expect(bob.texts.length).toBe(1002);
  });

  test("F2 ids that do not exist are typed errors", () => {
    const { alice, bob, conversationId } = setting();
    expect(() => alice.send("00", "x")).toThrow(failsWith(ErrorCode.CONVERSATION_NOT_FOUND));
    expect(() => alice.call({ case: "sendMessage", value: { conversationId } }, "sentMessage")).toThrow(
      failsWith(ErrorCode.INVALID_ARGUMENT),
    );
    const value = {
      accountId: "nobody",
      link: bob.invite(),
      content: { domain: 1, tag: 1, payload: new Uint8Array(1) },
    };
    expect(() => alice.call({ case: "acceptInvite", value }, "sentMessage")).toThrow(
      failsWith(ErrorCode.ACCOUNT_NOT_FOUND),
    );
  });
});
