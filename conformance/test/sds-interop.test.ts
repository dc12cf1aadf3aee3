import { create, fromBinary, ScalarType, toBinary } from "@bufbuild/protobuf";
import { ReliabilitySchema } from "@chatsdk/abi/records_pb";
import { FrameSchema, PayloadSchema, SdsMessageSchema } from "@chatsdk/abi/wire_pb";
import { nobleCrypto } from "@chatsdk/core";
import { ContentMessage, isContentMessage, isSyncMessage, Message, MessageChannel, SyncMessage } from "@waku/sds";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeSds, encodeSds, ourId, peerId, type StreamIds } from "../../core/src/reliability/sds.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const ids: StreamIds = { crypto: nobleCrypto, idKey: new Uint8Array(32).fill(7), initiator: true };
const content = toBinary(
  PayloadSchema,
  create(PayloadSchema, { kind: { case: "frame", value: create(FrameSchema, { timestampMs: 1n }) } }),
);

function stream(state: { nextSequence: number; acknowledged?: number; received?: number[]; abandoned?: number[] }) {
  return create(ReliabilitySchema, { idKey: ids.idKey, lamport: BigInt(NOW_MS), ...state });
}

/** What js-waku's engine sends for a payload. */
async function sentBy(channel: MessageChannel, payload: Uint8Array): Promise<ContentMessage> {
  let sent: ContentMessage | undefined;
  channel.pushOutgoingMessage(payload, async (message) => {
    sent = message;
    return { success: true };
  });
  await channel.processTasks();
  return sent!;
}

describe("SDS messages of this protocol and of js-waku", () => {
  test("R1 S2 the published fields have the published numbers and types", () => {
    const published = [
      ["sender_id", 1, "string"],
      ["message_id", 2, "string"],
      ["channel_id", 3, "string"],
      ["lamport_timestamp", 10, "uint64"],
      ["causal_history", 11, "HistoryEntry"],
      ["bloom_filter", 12, "bytes"],
      ["repair_request", 13, "HistoryEntry"],
      ["content", 20, "bytes"],
    ];
    const ours = SdsMessageSchema.fields
      .filter(({ number }) => number < 30)
      .map((field) => [
        field.name,
        field.number,
        field.fieldKind === "list"
          ? field.listKind === "message" && field.message.name
          : field.fieldKind === "scalar" && ScalarType[field.scalar].toLowerCase(),
      ]);
    expect(ours).toEqual(published);
  });

  test("R1 S2 our first message, as js-waku reads it", () => {
    const bytes = encodeSds(ids, stream({ nextSequence: 2 }), NOW_MS, {
      message: { sequence: 1, lamport: BigInt(NOW_MS), payload: content },
    });
    const theirs = Message.decode(bytes);
    expect(theirs).toBeInstanceOf(ContentMessage);
    expect(theirs).toMatchObject({
      messageId: ourId(ids, 1),
      channelId: "",
      senderId: "",
      causalHistory: [],
      lamportTimestamp: BigInt(NOW_MS),
      repairRequest: [],
    });
    expect(theirs!.bloomFilter).toBeUndefined();
    expect([...theirs!.content!]).toEqual([...content]);
  });

  test("R1 S2 our message with history, gaps and abandoned ones, as js-waku reads it: it passes over what it does not know", () => {
    const state = stream({ nextSequence: 9, acknowledged: 5, received: [7, 8, 16], abandoned: [3, 4] });
    const bytes = encodeSds(ids, state, NOW_MS, {
      message: { sequence: 8, lamport: BigInt(NOW_MS), payload: content },
    });
    const theirs = Message.decode(bytes)!;
    expect(isContentMessage(theirs)).toBe(true);
    expect(theirs.causalHistory.map(({ messageId }) => messageId)).toEqual([ourId(ids, 7), peerId(ids, 5)]);
    expect([...theirs.content!]).toEqual([...content]);
  });

  test("R1 S2 our sync message with a repair request, as js-waku reads it", () => {
    const state = stream({ nextSequence: 9, acknowledged: 5, received: [8] });
    const theirs = Message.decode(encodeSds(ids, state, NOW_MS, { missing: [6, 7], requestAcknowledgement: true }))!;
    expect(isSyncMessage(theirs)).toBe(true);
    expect(theirs).toBeInstanceOf(SyncMessage);
    expect(theirs.content).toBeUndefined();
    expect(theirs.repairRequest!.map(({ messageId }) => messageId)).toEqual([peerId(ids, 6), peerId(ids, 7)]);
  });

  test("R1 S2 js-waku's engine takes our message in and acknowledges it by a reference", async () => {
    const channel = new MessageChannel("", "them", { enableRepair: false });
    const bytes = encodeSds(ids, stream({ nextSequence: 2 }), NOW_MS, {
      message: { sequence: 1, lamport: BigInt(NOW_MS), payload: content },
    });
    channel.pushIncomingMessage(Message.decode(bytes)!, undefined);
    await channel.processTasks();
    const answer = fromBinary(SdsMessageSchema, (await sentBy(channel, content)).encode());
    expect(answer.causalHistory.map(({ messageId }) => messageId)).toEqual([ourId(ids, 1)]);
  });

  test("R1 S2 messages of js-waku's engine, as we read them", async () => {
    const channel = new MessageChannel("a channel", "them", { enableRepair: false });
    const first = await sentBy(channel, content);
    const second = await sentBy(channel, Uint8Array.of(...content, 0));
    for (const message of [first, second]) {
      const bytes = message.encode();
      const ours = fromBinary(SdsMessageSchema, bytes);
      expect(ours.$unknown ?? []).toEqual([]);
      expect(ours.senderId).toBe("them");
      expect(ours.messageId).toBe(message.messageId);
      expect(ours.channelId).toBe("a channel");
      expect(ours.lamportTimestamp).toBe(message.lamportTimestamp);
      expect(ours.causalHistory.map(({ messageId }) => messageId)).toEqual(
        message.causalHistory.map(({ messageId }) => messageId),
      );
      expect(ours.bloomFilter!.length).toBe(message.bloomFilter!.length);
      expect([...ours.content!]).toEqual([...message.content]);
      // Without our fields it says nothing about a stream: it parses, and counts as a sync message.
      const { sds, payload } = decodeSds(ids, stream({ nextSequence: 2 }), bytes);
      expect(sds.sequence).toBe(0);
      expect(payload).toBeUndefined();
    }
    expect(second.causalHistory.length).toBe(1);
  });

  test("R1 S2 any message of js-waku's encoder, as we read it", () => {
    const entry = fc.record(
      { messageId: fc.string(), retrievalHint: fc.uint8Array({ maxLength: 40 }), senderId: fc.string() },
      { requiredKeys: ["messageId"] },
    );
    const message = fc.record({
      messageId: fc.string(),
      channelId: fc.string(),
      senderId: fc.string(),
      causalHistory: fc.array(entry, { maxLength: 2 }),
      lamport: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { nil: undefined }),
      bloomFilter: fc.option(fc.uint8Array({ maxLength: 100 }), { nil: undefined }),
      content: fc.option(fc.uint8Array({ minLength: 1, maxLength: 100 }), { nil: undefined }),
      repairRequest: fc.array(entry, { maxLength: 3 }),
    });
    fc.assert(
      fc.property(message, (m) => {
        const bytes = new Message(
          m.messageId,
          m.channelId,
          m.senderId,
          m.causalHistory,
          m.lamport,
          m.bloomFilter,
          m.content,
          m.repairRequest,
        ).encode();
        const { sds } = decodeSds(ids, stream({ nextSequence: 1 }), bytes);
        expect(sds.messageId).toBe(m.messageId);
        expect(sds.channelId).toBe(m.channelId);
        expect(sds.senderId).toBe(m.senderId);
        expect(sds.lamportTimestamp).toBe(m.lamport);
        expect(sds.content && [...sds.content]).toEqual(m.content && [...m.content]);
        expect(sds.bloomFilter && [...sds.bloomFilter]).toEqual(m.bloomFilter && [...m.bloomFilter]);
        expect(
          sds.causalHistory.map((e) => [e.messageId, e.senderId, e.retrievalHint && [...e.retrievalHint]]),
        ).toEqual(m.causalHistory.map((e) => [e.messageId, e.senderId, e.retrievalHint && [...e.retrievalHint]]));
        expect(sds.repairRequest.map((e) => e.messageId)).toEqual(m.repairRequest.map((e) => e.messageId));
      }),
    );
  });

  test("R1 S2 the session's own limits come after parsing: a history of more than two is refused", async () => {
    const channel = new MessageChannel("a channel", "them", { enableRepair: false });
    for (let i = 0; i < 3; i++) await sentBy(channel, Uint8Array.of(i + 1));
    const bytes = (await sentBy(channel, Uint8Array.of(9))).encode();
    expect(fromBinary(SdsMessageSchema, bytes).causalHistory.length).toBe(3);
    expect(() => decodeSds(ids, stream({ nextSequence: 1 }), bytes)).toThrow("causal_history");
  });
});
