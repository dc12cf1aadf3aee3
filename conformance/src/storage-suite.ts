import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Conversation,
  ConversationSchema,
  DeliveryStatus,
  FailureReason,
  type Message,
  MessageSchema,
  SessionState,
} from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type Change, ChangeSchema, VaultHeaderSchema } from "@chatsdk/abi/host_pb";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MessageRow, Position, Storage } from "@chatsdk/client";
import { StorageModel } from "./storage-model.ts";

/** One fresh, empty storage, as the suite wants it. */
export interface StorageUnderTest {
  readonly storage: Storage;
  /** Closes the storage and opens the same data again. One that is gone when closed returns itself, still open. */
  reopen(): Promise<Storage>;
  /** Called last, with the storage closed. */
  dispose?(): Promise<void>;
  /** A record of so many bytes does not fit: STORAGE_FULL. Absent: there is no such limit. */
  tooManyBytes?: number;
}

/** What every storage must do (F6: messages, F7: secrets). Registers vitest tests; `open` is called for each. */
export function storageSuite(name: string, open: () => Promise<StorageUnderTest>): void {
  const withStorage = (work: (storage: Storage, subject: StorageUnderTest) => Promise<void>) => async () => {
    const subject = await open();
    try {
      await work(subject.storage, subject);
    } finally {
      await subject.storage.close();
      await subject.dispose?.();
    }
  };

  describe(`storage suite: ${name}`, () => {
    describe("F7 secrets", () => {
      test(
        "F7 a new storage is empty",
        withStorage(async (storage) => {
          expect(await storage.header()).toBeUndefined();
          expect(await storage.secrets.get("a")).toBeUndefined();
          expect(await storage.secrets.findTag(tag(1))).toBeUndefined();
          expect(await storage.secrets.scan("", 0)).toEqual([]);
        }),
      );

      test(
        "F7 the header comes back, and is replaced",
        withStorage(async (storage, { reopen }) => {
          const header = create(VaultHeaderSchema, {
            format: 1,
            databaseId: "00112233445566778899aabbccddeeff",
            sealedDataKey: bytes(72),
            derivation: {
              derivation: { case: "argon2id", value: { salt: bytes(16), memoryKib: 65_536, passes: 3, lanes: 4 } },
            },
          });
          await storage.setHeader(header);
          expect(await storage.header()).toEqual(header);
          const changed = create(VaultHeaderSchema, {
            format: 1,
            databaseId: header.databaseId,
            sealedDataKey: bytes(80),
            derivation: { derivation: { case: "unprotected", value: {} } },
          });
          await storage.setHeader(changed);
          expect(await storage.header()).toEqual(changed);
          const again = await reopen();
          expect(await again.header()).toEqual(changed);
          await again.close();
        }),
      );

      test(
        "F7 changes apply in order",
        withStorage(async (storage) => {
          await storage.commit([
            put("a", 1),
            remove("a"),
            put("a", 2),
            put("b", 1),
            put("b", 3),
            put("c/1", 1),
            removePrefix("c/"),
            put("c/2", 2),
          ]);
          expect(await contents(storage)).toEqual({ a: "02", b: "03", "c/2": "02" });
        }),
      );

      test(
        "F7 a commit that fails changes nothing, wherever it fails",
        withStorage(async (storage) => {
          await storage.commit([
            put("a", 1),
            addTags("a", 1),
            putMessage({ messageId: "m1", text: "kept" }),
            putConversation({}),
          ]);
          const malformed = [
            create(ChangeSchema),
            change({ case: "addTags", value: { key: "a", tags: new Uint8Array(7) } }),
            change({ case: "removeTags", value: new Uint8Array(9) }),
            change({ case: "put", value: { key: "", value: bytes(1) } }),
            change({ case: "put", value: { key: "nul\0", value: bytes(1) } }),
          ];
          const good = [
            put("a", 9),
            put("b", 9),
            addTags("b", 1, 2),
            remove("a"),
            putMessage({ messageId: "m2" }),
            deleteConversation("c1"),
          ];
          for (const bad of malformed) {
            for (let position = 0; position <= good.length; position += 1) {
              await expectCode(storage.commit(good.toSpliced(position, 0, bad)), ErrorCode.INTERNAL);
            }
          }
          expect(await contents(storage)).toEqual({ a: "01" });
          expect((await storage.secrets.findTag(tag(1)))?.key).toBe("a");
          expect(await storage.secrets.findTag(tag(2))).toBeUndefined();
          expect(await idsOf(storage, "c1")).toEqual(["m1"]);
          expect(await storage.messages.search("kept", { limit: 10 })).toHaveLength(1);
        }),
      );

      test(
        "F7 a commit without space changes nothing, and the next one works",
        withStorage(async (storage, { tooManyBytes }) => {
          await storage.commit([put("a", 1), putMessage({ messageId: "m1" })]);
          if (tooManyBytes !== undefined) {
            const commit = storage.commit([
              put("a", 2),
              put("b", 2),
              addTags("a", 1),
              putMessage({ messageId: "m2" }),
              putBytes("big", bytes(tooManyBytes)),
              put("c", 2),
            ]);
            const error = await expectCode(commit, ErrorCode.STORAGE_FULL);
            expect(error).toMatchObject({ retryable: true });
            expect(await contents(storage)).toEqual({ a: "01" });
            expect(await idsOf(storage, "c1")).toEqual(["m1"]);
            expect(await storage.secrets.findTag(tag(1))).toBeUndefined();
          }
          await storage.commit([put("a", 3)]);
          expect(await contents(storage)).toEqual({ a: "03" });
        }),
      );

      test(
        "F7 commits that are not waited for happen in the order of the calls",
        withStorage(async (storage) => {
          await Promise.all(
            Array.from({ length: 20 }, (_, index) =>
              storage.commit([
                put("a", index),
                put(`b/${index}`, index),
                putMessage({ messageId: "m", sequence: index }),
              ]),
            ),
          );
          expect(await storage.secrets.get("a")).toEqual(Uint8Array.of(19));
          expect(await storage.secrets.scan("b/", 0)).toHaveLength(20);
          expect((await storage.messages.message("c1", "m"))?.sequence).toBe(19);
        }),
      );

      test(
        "F7 an empty commit is allowed",
        withStorage(async (storage) => {
          await storage.commit([]);
          expect(await contents(storage)).toEqual({});
        }),
      );

      test(
        "F7 a tag finds its record; the latest wins",
        withStorage(async (storage) => {
          await storage.commit([put("a", 1), put("b", 2), addTags("a", 1, 2, 3)]);
          expect(await storage.secrets.findTag(tag(2))).toEqual({ key: "a", value: Uint8Array.of(1) });
          expect(await storage.secrets.findTag(tag(4))).toBeUndefined();
          await storage.commit([addTags("b", 2), addTags("b", 2)]);
          expect((await storage.secrets.findTag(tag(2)))?.key).toBe("b");
          await storage.commit([remove("a")]);
          expect(await storage.secrets.findTag(tag(1))).toBeUndefined();
          expect((await storage.secrets.findTag(tag(2)))?.key).toBe("b");
          await storage.commit([removeTags(2, 4)]);
          expect(await storage.secrets.findTag(tag(2))).toBeUndefined();
          expect(await storage.secrets.get("b")).toEqual(Uint8Array.of(2));
        }),
      );

      test(
        "F7 tags stay when a record is replaced, and go with it when it is deleted",
        withStorage(async (storage) => {
          await storage.commit([put("a/1", 1), put("a/2", 2), addTags("a/1", 1), addTags("a/2", 2)]);
          await storage.commit([put("a/1", 9)]);
          expect(await storage.secrets.findTag(tag(1))).toEqual({ key: "a/1", value: Uint8Array.of(9) });
          await storage.commit([removePrefix("a/")]);
          await storage.commit([put("a/1", 1), put("a/2", 2)]);
          expect(await storage.secrets.findTag(tag(1))).toBeUndefined();
          expect(await storage.secrets.findTag(tag(2))).toBeUndefined();
        }),
      );

      test(
        "F7 tags may be added before their record, in the same commit",
        withStorage(async (storage) => {
          await storage.commit([addTags("a", 1), put("a", 5)]);
          expect(await storage.secrets.findTag(tag(1))).toEqual({ key: "a", value: Uint8Array.of(5) });
        }),
      );

      test(
        "F7 any 8 bytes are a tag",
        withStorage(async (storage) => {
          const extremes = [
            new Uint8Array(8),
            new Uint8Array(8).fill(0xff),
            Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 0),
            Uint8Array.of(0, 0xfe, 0xc3, 0x28, 0x27, 0x22, 0x00, 0x0a),
          ];
          await storage.commit(
            extremes.flatMap((value, index) => [
              put(`k${index}`, index),
              change({ case: "addTags", value: { key: `k${index}`, tags: value } }),
            ]),
          );
          for (const [index, value] of extremes.entries())
            expect((await storage.secrets.findTag(value))?.key).toBe(`k${index}`);
        }),
      );

      test(
        "F7 scans are in the order of the keys' bytes, and limited",
        withStorage(async (storage) => {
          const keys = [
            "a",
            "a/",
            "a/1",
            "a/10",
            "a/2",
            "a/B",
            "a/b",
            "a/~",
            "a/é",
            "a/\ufffd",
            "a/\u{1f600}",
            "a0",
            "b",
          ];
          await storage.commit(keys.toReversed().map((key, index) => put(key, index)));
          expect((await storage.secrets.scan("", 0)).map(({ key }) => key)).toEqual(keys);
          expect((await storage.secrets.scan("a/", 0)).map(({ key }) => key)).toEqual(keys.slice(1, 11));
          expect((await storage.secrets.scan("a/1", 0)).map(({ key }) => key)).toEqual(["a/1", "a/10"]);
          expect((await storage.secrets.scan("a/", 3)).map(({ key }) => key)).toEqual(["a/", "a/1", "a/10"]);
          expect(await storage.secrets.scan("c", 0)).toEqual([]);
        }),
      );

      test(
        "F7 a prefix knows no wildcards and no case",
        withStorage(async (storage) => {
          await storage.commit([
            put("a_b/1", 1),
            put("axb/1", 2),
            put("a%/1", 3),
            put("A_b/1", 4),
            put("a*/1", 5),
            put("a[b]/1", 6),
            put("a'b/1", 7),
          ]);
          for (const prefix of ["a_b/", "a%", "A", "a*", "a[", "a'"])
            expect(await storage.secrets.scan(prefix, 0)).toHaveLength(1);
          await storage.commit([removePrefix("a_b/"), removePrefix("a%"), removePrefix("a'")]);
          expect(Object.keys(await contents(storage)).sort()).toEqual(["A_b/1", "a*/1", "a[b]/1", "axb/1"]);
        }),
      );

      test(
        "F7 delete_prefix removes exactly the records whose key starts so",
        withStorage(async (storage) => {
          const keys = ["a", "a.", "a/", "a/x", "a/\u007f", "a/\u{10ffff}", "a0", "b"];
          await storage.commit([...keys.map((key) => put(key, 1)), putMessage({ messageId: "m1" })]);
          await storage.commit([removePrefix("a/")]);
          expect((await storage.secrets.scan("", 0)).map(({ key }) => key)).toEqual(["a", "a.", "a0", "b"]);
          await storage.commit([removePrefix("")]);
          expect(await storage.secrets.scan("", 0)).toEqual([]);
          expect(await idsOf(storage, "c1")).toEqual(["m1"]);
        }),
      );

      test(
        "F7 values are binary: empty, all bytes, large",
        withStorage(async (storage, { reopen }) => {
          const values = {
            empty: new Uint8Array(0),
            all: Uint8Array.from({ length: 256 }, (_, index) => index),
            zeros: new Uint8Array(5000),
            large: bytes(3 * 1024 * 1024),
          };
          await storage.commit(Object.entries(values).map(([key, value]) => putBytes(key, value)));
          const again = await reopen();
          for (const [key, value] of Object.entries(values))
            expect(same(await again.secrets.get(key), value), key).toBe(true);
          await again.close();
        }),
      );

      test(
        "F7 arrays are copied in and out",
        withStorage(async (storage) => {
          const value = Uint8Array.of(1, 2, 3);
          const tags = Uint8Array.from(tag(1));
          const inside = new Uint8Array(10).fill(7).subarray(3, 5);
          await storage.commit([
            putBytes("a", value),
            putBytes("b", inside),
            change({ case: "addTags", value: { key: "a", tags } }),
            putMessage({ messageId: "m1", payload: value }),
          ]);
          value.fill(0);
          tags.fill(0);
          (await storage.secrets.get("a"))?.fill(9);
          (await storage.secrets.scan("a", 0))[0]?.value.fill(9);
          (await storage.messages.message("c1", "m1"))?.payload.fill(9);
          expect(await storage.secrets.findTag(tag(1))).toEqual({ key: "a", value: Uint8Array.of(1, 2, 3) });
          expect(await storage.secrets.get("b")).toEqual(Uint8Array.of(7, 7));
          expect((await storage.messages.message("c1", "m1"))?.payload).toEqual(Uint8Array.of(1, 2, 3));
        }),
      );
    });

    describe("F6 messages", () => {
      test(
        "F6 conversations come back, are replaced, and are listed by latest activity",
        withStorage(async (storage) => {
          const full = conversation({
            conversationId: "c1",
            accountId: "a1",
            peerIdentityKey: bytes(32),
            createdMs: 2n ** 53n + 1n,
            suite: 2,
            sessionState: SessionState.ESTABLISHED,
            verified: true,
            initiator: true,
            lastActivityMs: 5n,
          });
          await storage.commit([
            change({ case: "putConversation", value: full }),
            putConversation({ conversationId: "c2", accountId: "a2", lastActivityMs: 9n }),
            putConversation({ conversationId: "c3", accountId: "a1", lastActivityMs: 7n }),
          ]);
          expect(await storage.messages.conversation("c1")).toEqual(full);
          expect(await storage.messages.conversation("c9")).toBeUndefined();
          expect((await storage.messages.conversations()).map((row) => row.conversationId)).toEqual(["c2", "c3", "c1"]);
          expect((await storage.messages.conversations("a1")).map((row) => row.conversationId)).toEqual(["c3", "c1"]);
          expect(await storage.messages.conversations("a9")).toEqual([]);
          for (const sessionState of [
            SessionState.SESSION_STATE_UNSPECIFIED,
            SessionState.AWAITING_REPLY,
            SessionState.LOST,
            SessionState.REPAIR_SENT,
            SessionState.REPAIR_REQUESTED,
          ]) {
            const replaced = conversation({
              ...full,
              sessionState,
              verified: false,
              initiator: false,
              lastActivityMs: 10n,
            });
            await storage.commit([change({ case: "putConversation", value: replaced })]);
            expect(await storage.messages.conversation("c1")).toEqual(replaced);
          }
          expect((await storage.messages.conversations()).map((row) => row.conversationId)).toEqual(["c1", "c2", "c3"]);
        }),
      );

      test(
        "F6 every field of a message comes back",
        withStorage(async (storage, { reopen }) => {
          const texts = [
            undefined,
            "",
            "plain",
            "nul\0in the middle\0",
            "\ufeffmark",
            "e\u0301 \u{1f468}\u200d\u{1f469} \u202e",
            "'; DROP TABLE messages; --",
            "x".repeat(100_000),
          ];
          const rows = texts.map((text, index) =>
            message({
              messageId: `m${index}`,
              outgoing: index % 2 === 0,
              sequence: 0xffffffff - index,
              lamport: BigInt(index),
              timestampMs: 2n ** 64n - 1n - BigInt(index),
              storedMs: 2n ** 63n + BigInt(index),
              domain: 0xffffffff,
              tag: 0xfffffffe,
              version: 7,
              payload: bytes(index * 1000),
              ...(text !== undefined && { text, refersTo: `${text.slice(0, 20)}` }),
              status: index % 2 === 0 ? DeliveryStatus.FAILED : DeliveryStatus.DELIVERY_STATUS_UNSPECIFIED,
              failureReason:
                index % 2 === 0 ? FailureReason.SESSION_REPLACED : FailureReason.FAILURE_REASON_UNSPECIFIED,
            }),
          );
          await storage.commit(rows.map((value) => change({ case: "putMessage", value })));
          const again = await reopen();
          for (const row of rows)
            expect(await again.messages.message("c1", row.messageId)).toEqual(
              Object.assign(row, { readByUs: row.outgoing }),
            );
          expect(await again.messages.message("c1", "m99")).toBeUndefined();
          expect(await again.messages.message("c9", "m1")).toBeUndefined();
          await again.close();
        }),
      );

      test(
        "F6 values of a newer version are kept",
        withStorage(async (storage) => {
          await storage.commit([
            putMessage({
              messageId: "m1",
              outgoing: true,
              status: 77 as DeliveryStatus,
              failureReason: 78 as FailureReason,
            }),
            putConversation({ sessionState: 79 as SessionState }),
          ]);
          expect(await storage.messages.message("c1", "m1")).toMatchObject({ status: 77, failureReason: 78 });
          expect((await storage.messages.conversation("c1"))?.sessionState).toBe(79);
        }),
      );

      test(
        "F6 a message replaces the one with its id, in text and search, but stays read",
        withStorage(async (storage) => {
          await storage.commit([
            putMessage({ messageId: "m1", text: "first version" }),
            putMessage({ conversationId: "c2", messageId: "m1", text: "first elsewhere" }),
            ownRead("c1", "m1"),
          ]);
          await storage.commit([putMessage({ messageId: "m1", text: "second version", payload: bytes(3) })]);
          expect(await storage.messages.message("c1", "m1")).toMatchObject({
            text: "second version",
            payload: bytes(3),
            readByUs: true,
          });
          expect(await found(storage, "first")).toEqual(["c2/m1"]);
          expect(await found(storage, "second")).toEqual(["c1/m1"]);
          await storage.commit([putMessage({ messageId: "m1" })]);
          expect((await storage.messages.message("c1", "m1"))?.text).toBeUndefined();
          expect(await found(storage, "version")).toEqual([]);
          await storage.commit([putMessage({ messageId: "m1", text: "third version" })]);
          expect(await found(storage, "version")).toEqual(["c1/m1"]);
        }),
      );

      test(
        "F6 a status never moves back",
        withStorage(async (storage) => {
          const { DELIVERY_STATUS_UNSPECIFIED: NONE, QUEUED, SENT, DELIVERED, READ, FAILED } = DeliveryStatus;
          const steps = new Map([
            [QUEUED, [SENT, DELIVERED, READ, FAILED]],
            [SENT, [DELIVERED, READ, FAILED]],
            [DELIVERED, [READ]],
            [READ, []],
            // The peer has it after all.
            [FAILED, [DELIVERED, READ]],
          ]);
          for (const [from, allowed] of steps) {
            for (const to of [NONE, QUEUED, SENT, DELIVERED, READ, FAILED]) {
              const failureReason = from === FAILED ? FailureReason.EXPIRED : FailureReason.FAILURE_REASON_UNSPECIFIED;
              await storage.commit([
                putMessage({ messageId: "m1", outgoing: true, status: from, failureReason }),
                setStatus("m1", to, FailureReason.CANCELLED),
              ]);
              const row = await storage.messages.message("c1", "m1");
              const expected = allowed.includes(to) ? to : from;
              expect(row?.status, `${DeliveryStatus[from]} -> ${DeliveryStatus[to]}`).toBe(expected);
              const reason =
                expected !== FAILED
                  ? FailureReason.FAILURE_REASON_UNSPECIFIED
                  : from === FAILED
                    ? FailureReason.EXPIRED
                    : FailureReason.CANCELLED;
              expect(row?.failureReason).toBe(reason);
            }
          }
        }),
      );

      test(
        "F6 an incoming or unknown message has no status",
        withStorage(async (storage) => {
          await storage.commit([
            putMessage({ messageId: "m1" }),
            setStatus("m1", DeliveryStatus.READ),
            setStatus("m9", DeliveryStatus.READ),
          ]);
          expect((await storage.messages.message("c1", "m1"))?.status).toBe(DeliveryStatus.DELIVERY_STATUS_UNSPECIFIED);
          expect(await storage.messages.message("c1", "m9")).toBeUndefined();
        }),
      );

      test(
        "F6 peer_read marks delivered messages up to a Lamport time of our stream",
        withStorage(async (storage) => {
          const { QUEUED, SENT, DELIVERED, READ, FAILED } = DeliveryStatus;
          // Sequences run the other way, as after a repair: the Lamport time counts.
          const ours = [SENT, DELIVERED, FAILED, DELIVERED, QUEUED, DELIVERED].map((status, index) =>
            putMessage({
              messageId: `m${index + 1}`,
              outgoing: true,
              sequence: 10 - index,
              lamport: BigInt(index + 1),
              status,
            }),
          );
          await storage.commit([
            ...ours,
            putMessage({ messageId: "p6", lamport: 6n }),
            putMessage({ conversationId: "c2", messageId: "m4", outgoing: true, lamport: 4n, status: DELIVERED }),
          ]);
          const statuses = async () =>
            await Promise.all(
              [1, 2, 3, 4, 5, 6].map(async (index) => (await storage.messages.message("c1", `m${index}`))?.status),
            );
          await storage.commit([peerRead("c1", "unknown"), peerRead("c1", "p6"), peerRead("c9", "m6")]);
          expect(await statuses()).toEqual([SENT, DELIVERED, FAILED, DELIVERED, QUEUED, DELIVERED]);
          await storage.commit([peerRead("c1", "m4")]);
          expect(await statuses()).toEqual([SENT, READ, FAILED, READ, QUEUED, DELIVERED]);
          expect((await storage.messages.message("c2", "m4"))?.status).toBe(DELIVERED);
        }),
      );

      test(
        "F6 own_read marks incoming messages up to a Lamport time of the peer's stream",
        withStorage(async (storage) => {
          const theirs = [1, 2, 3, 4].map((index) =>
            putMessage({ messageId: `p${index}`, sequence: 10 - index, lamport: BigInt(index), tag: 1 }),
          );
          await storage.commit([
            ...theirs,
            putMessage({ messageId: "m9", outgoing: true, lamport: 9n }),
            putMessage({ conversationId: "c2", messageId: "p3", lamport: 3n, tag: 1 }),
          ]);
          await storage.commit([ownRead("c1", "unknown"), ownRead("c1", "m9")]);
          expect(await storage.messages.unreadCount("c1")).toBe(4);
          await storage.commit([ownRead("c1", "p3")]);
          expect(await storage.messages.unreadCount("c1")).toBe(1);
          expect(await storage.messages.unreadCount("c2")).toBe(1);
          expect((await storage.messages.message("c1", "p2"))?.readByUs).toBe(true);
          expect((await storage.messages.message("c1", "p4"))?.readByUs).toBe(false);
          // A recovered message arrives behind the mark.
          await storage.commit([putMessage({ messageId: "p0", lamport: 0n, tag: 1 })]);
          expect(await storage.messages.unreadCount("c1")).toBe(2);
        }),
      );

      test(
        "F6 the unread count is of texts, replies, attachments and other domains",
        withStorage(async (storage) => {
          const basic = [0, 1, 2, 3, 4, 5, 6].map((number) =>
            putMessage({ messageId: `b${number}`, sequence: number, tag: number }),
          );
          const own = [0, 3].map((number) =>
            putMessage({ messageId: `o${number}`, sequence: 10 + number, domain: 4711, tag: number }),
          );
          await storage.commit([...basic, ...own, putMessage({ messageId: "m1", outgoing: true, tag: 1 })]);
          expect(await storage.messages.unreadCount("c1")).toBe(5);
          expect(await storage.messages.unreadCount("c9")).toBe(0);
        }),
      );

      test(
        "F6 delete_conversation removes its messages and what search finds of them, and nothing else",
        withStorage(async (storage) => {
          await storage.commit([
            ...[1, 2, 3].map((index) => putMessage({ messageId: `m${index}`, text: `shared word ${index}`, tag: 1 })),
            putConversation({ conversationId: "c1" }),
            putMessage({ conversationId: "c2", messageId: "m1", text: "shared word" }),
            putConversation({ conversationId: "c2" }),
            put("conv/c1", 1),
          ]);
          await storage.commit([deleteConversation("c1"), deleteConversation("c9")]);
          expect(await storage.messages.conversation("c1")).toBeUndefined();
          expect(await idsOf(storage, "c1")).toEqual([]);
          expect(await storage.messages.unreadCount("c1")).toBe(0);
          expect(await found(storage, "shared")).toEqual(["c2/m1"]);
          expect(await storage.secrets.get("conv/c1")).toBeDefined();
          await storage.commit([putMessage({ messageId: "m1", text: "new" })]);
          expect(await found(storage, "shared")).toEqual(["c2/m1"]);
          expect(await idsOf(storage, "c1")).toEqual(["m1"]);
        }),
      );

      test(
        "F6 pages are newest first, ties by id, each message once, while others arrive",
        withStorage(async (storage) => {
          const ids = Array.from({ length: 50 }, (_, index) => `m${String(index).padStart(2, "0")}`);
          await storage.commit(
            ids.map((messageId, index) => putMessage({ messageId, lamport: BigInt(Math.floor(index / 7)) })),
          );
          const walked: string[] = [];
          let before: Position | undefined;
          for (;;) {
            const page = await storage.messages.page({ conversationId: "c1", limit: 4, ...(before && { before }) });
            walked.push(...page.map((row) => row.messageId));
            before = page.at(-1);
            if (!before) break;
            await storage.commit([putMessage({ messageId: `new${walked.length}`, lamport: 1000n })]);
          }
          expect(walked).toEqual(ids.toReversed());
        }),
      );

      test(
        "F6 a page starts behind a message that is not there",
        withStorage(async (storage) => {
          await storage.commit(["a", "c", "e"].map((messageId) => putMessage({ messageId, lamport: 2n ** 62n })));
          const page = await storage.messages.page({
            conversationId: "c1",
            limit: 10,
            before: { lamport: 2n ** 62n, messageId: "d" },
          });
          expect(page.map((row) => row.messageId)).toEqual(["c", "a"]);
          expect(await storage.messages.page({ conversationId: "c9", limit: 10 })).toEqual([]);
        }),
      );

      test(
        "F6 limits are checked",
        withStorage(async (storage) => {
          for (const limit of [0, -1, 1001, 1.5, Number.NaN]) {
            await expectCode(storage.messages.page({ conversationId: "c1", limit }), ErrorCode.INVALID_ARGUMENT);
            await expectCode(storage.messages.search("x", { limit }), ErrorCode.INVALID_ARGUMENT);
          }
        }),
      );

      test(
        "F6 search knows case, accents, every word, and the beginning of the last",
        withStorage(async (storage) => {
          const texts = [
            "Crème Brûlée at NOON",
            "creme fraiche",
            "Привет МИР",
            "brunch at noon-ish",
            "C3PO and R2-D2",
            "Ångström Straße",
            "नमस्ते दुनिया",
          ];
          await storage.commit(
            texts.map((text, index) => putMessage({ messageId: `m${index}`, text, lamport: BigInt(index) })),
          );
          const queries: [string, number[]][] = [
            ["creme", [1, 0]],
            ["CRÈME", [1, 0]],
            ["cre\u0300me bru", [0]],
            ["bru", [3, 0]],
            ["at noon bru", [3, 0]],
            ["bru noon", []],
            ["noon bru", [3, 0]],
            ["noo bru", []],
            ["at no", [3, 0]],
            ["привет", [2]],
            ["мир", [2]],
            ["noon-ish", [3]],
            ["r2d2", []],
            ["R2 D2", [4]],
            ["c3", [4]],
            ["angstrom", [5]],
            ["STRAßE", [5]],
            ["नमस्", [6]],
            ["दुनिया", [6]],
            ["reme", []],
            ["absent", []],
          ];
          for (const [query, expected] of queries)
            expect(await found(storage, query), query).toEqual(expected.map((index) => `c1/m${index}`));
        }),
      );

      test(
        "F6 a query has no syntax: operators, quotes and symbols are plain words or nothing",
        withStorage(async (storage) => {
          const texts = [
            "one and two",
            "one two",
            "near one",
            "not text",
            "text column",
            "one or three",
            "semi;colon",
            "100% sure",
          ];
          await storage.commit(
            texts.map((text, index) => putMessage({ messageId: `m${index}`, text, lamport: BigInt(index) })),
          );
          const queries: [string, number[]][] = [
            ["one AND two", [0]],
            ["one OR two", []],
            ["NEAR", [2]],
            ["NEAR(one two, 5)", []],
            ["one NOT two", []],
            ["NOT", [3]],
            ["text: column", [4]],
            ["{text}: column", [4]],
            ["^one", [5, 2, 1, 0]],
            ['"one two"', [1, 0]],
            ['"', []],
            ['one"', [5, 2, 1, 0]],
            ["'", []],
            ["on*", [5, 2, 1, 0]],
            ["*", []],
            ["o* two", []],
            ["- + ( ) : ^", []],
            ["semi;colon", [6]],
            ["100%", [7]],
            ["", []],
            ["   ", []],
            ["\0", []],
            ["\ud800", []],
            ["one\0two", [1, 0]],
            [`${"one ".repeat(2000)}`, [5, 2, 1, 0]],
          ];
          for (const [query, expected] of queries)
            expect(await found(storage, query), query).toEqual(expected.map((index) => `c1/m${index}`));
        }),
      );

      test(
        "F6 search keeps to a conversation, and pages",
        withStorage(async (storage) => {
          await storage.commit(
            Array.from({ length: 30 }, (_, index) =>
              putMessage({
                conversationId: `c${index % 3}`,
                messageId: `m${String(index).padStart(2, "0")}`,
                text: `hello number ${index}`,
                lamport: BigInt(index % 5),
              }),
            ),
          );
          const walk = async (conversationId?: string) => {
            const walked: string[] = [];
            for (let before: Position | undefined; ; ) {
              const rows: MessageRow[] = await storage.messages.search("hello", {
                limit: 4,
                ...(conversationId !== undefined && { conversationId }),
                ...(before && { before }),
              });
              walked.push(...rows.map((row) => row.messageId));
              before = rows.at(-1);
              if (!before) return walked;
            }
          };
          const all = await walk();
          expect(new Set(all).size).toBe(30);
          expect(all).toHaveLength(30);
          expect(await walk("c1")).toEqual(all.filter((id) => Number(id.slice(1)) % 3 === 1));
          expect(await walk("c9")).toEqual([]);
        }),
      );

      test(
        "F6 a sealed message, which has no text, is stored and never found",
        withStorage(async (storage) => {
          await storage.commit([putMessage({ messageId: "m1", payload: new TextEncoder().encode("sealed words") })]);
          expect(await found(storage, "sealed")).toEqual([]);
          expect(await idsOf(storage, "c1")).toEqual(["m1"]);
        }),
      );
    });

    describe("F6 F7 both", () => {
      test(
        "F6 F7 everything is there after reopening",
        withStorage(async (storage, { reopen }) => {
          await storage.commit([
            put("a", 1),
            addTags("a", 1),
            putConversation({}),
            putMessage({ messageId: "m1", text: "durable", tag: 1 }),
            putMessage({ messageId: "m2", outgoing: true, status: DeliveryStatus.QUEUED }),
          ]);
          const second = await reopen();
          expect(await second.secrets.findTag(tag(1))).toEqual({ key: "a", value: Uint8Array.of(1) });
          expect(await found(second, "dur")).toEqual(["c1/m1"]);
          await second.commit([remove("a"), setStatus("m2", DeliveryStatus.SENT), ownRead("c1", "m1")]);
          expect(await second.secrets.findTag(tag(1))).toBeUndefined();
          expect((await second.messages.message("c1", "m2"))?.status).toBe(DeliveryStatus.SENT);
          expect(await second.messages.unreadCount("c1")).toBe(0);
          await second.close();
        }),
      );

      test(
        "F6 F7 a closed storage says so; closing twice is harmless",
        withStorage(async (storage) => {
          await storage.commit([put("a", 1)]);
          await storage.close();
          await storage.close();
          await expectCode(storage.commit([put("a", 2)]), ErrorCode.CLOSED);
          await expectCode(storage.header(), ErrorCode.CLOSED);
          await expectCode(storage.setHeader(create(VaultHeaderSchema)), ErrorCode.CLOSED);
          await expectCode(storage.secrets.get("a"), ErrorCode.CLOSED);
          await expectCode(storage.secrets.scan("", 0), ErrorCode.CLOSED);
          await expectCode(storage.secrets.findTag(tag(1)), ErrorCode.CLOSED);
          await expectCode(storage.messages.page({ conversationId: "c1", limit: 1 }), ErrorCode.CLOSED);
          await expectCode(storage.messages.message("c1", "m1"), ErrorCode.CLOSED);
          await expectCode(storage.messages.conversations(), ErrorCode.CLOSED);
          await expectCode(storage.messages.unreadCount("c1"), ErrorCode.CLOSED);
          await expectCode(storage.messages.search("x", { limit: 1 }), ErrorCode.CLOSED);
          await expectCode(storage.messages.search("", { limit: 1 }), ErrorCode.CLOSED);
        }),
      );

      test("F6 F7 random commits, some of which fail, give what the model gives", { timeout: 300_000 }, async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
            const subject = await open();
            let { storage } = subject;
            const model = new StorageModel();
            try {
              for (const { changes, ending } of steps) {
                if (ending === "malformed") {
                  await expectCode(storage.commit([...changes, create(ChangeSchema)]), ErrorCode.INTERNAL);
                } else if (ending === "too large" && subject.tooManyBytes !== undefined) {
                  await expectCode(
                    storage.commit([...changes, putBytes("a/1", bytes(subject.tooManyBytes))]),
                    ErrorCode.STORAGE_FULL,
                  );
                } else {
                  await storage.commit(changes);
                  for (const applied of changes) model.apply(applied);
                }
                if (ending === "reopen") storage = await subject.reopen();
                expect(await observe(storage)).toEqual(model.observe(observed));
              }
            } finally {
              await storage.close();
              await subject.dispose?.();
            }
          }),
          { numRuns: 40 },
        );
      });
    });
  });
}

// What the property test does and looks at: few names, so that changes meet.

const observed = {
  keys: ["a", "a/", "a/1", "a/10", "a/2", "b/1", "é/1", "\u{1f600}", "\ufffd"],
  prefixes: ["", "a", "a/", "a/1", "b", "é", "\u{1f600}", "z"],
  tags: [1, 2, 3, 4, 5].map(tag),
  conversations: ["c1", "c2"],
  messages: ["m1", "m2", "m3", "m4"],
  words: ["red", "green", "blue", "re", "gre blue"],
};

const key = fc.constantFrom(...observed.keys);
const conversationId = fc.constantFrom(...observed.conversations);
const messageId = fc.constantFrom(...observed.messages);
const someTags = fc
  .array(fc.constantFrom(...observed.tags), { maxLength: 4 })
  .map((tags) => Uint8Array.from(tags.flatMap((value) => [...value])));
const text = fc
  .array(fc.constantFrom("red", "green", "blue"), { minLength: 1, maxLength: 3 })
  .map((words) => words.join(" "));
const status = fc.constantFrom(
  DeliveryStatus.QUEUED,
  DeliveryStatus.SENT,
  DeliveryStatus.DELIVERED,
  DeliveryStatus.READ,
  DeliveryStatus.FAILED,
);

const someMessage = fc
  .record({
    conversationId,
    messageId,
    outgoing: fc.boolean(),
    sequence: fc.integer({ min: 1, max: 5 }),
    lamport: fc.bigInt({ min: 1n, max: 3n }),
    tag: fc.integer({ min: 0, max: 5 }),
    domain: fc.constantFrom(0, 0, 9),
    payload: fc.uint8Array({ maxLength: 20 }),
    status,
    text: fc.option(text),
  })
  .map(({ text, ...row }) =>
    message({
      ...row,
      ...(text !== null && { text }),
      ...(!row.outgoing && { status: DeliveryStatus.DELIVERY_STATUS_UNSPECIFIED }),
    }),
  );

const someChange: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(key, fc.uint8Array({ maxLength: 3000 })).map(([name, value]) => putBytes(name, value)),
  },
  { weight: 2, arbitrary: key.map(remove) },
  { weight: 1, arbitrary: fc.constantFrom(...observed.prefixes).map(removePrefix) },
  {
    weight: 3,
    arbitrary: fc.tuple(key, someTags).map(([name, tags]) => change({ case: "addTags", value: { key: name, tags } })),
  },
  { weight: 2, arbitrary: someTags.map((tags) => change({ case: "removeTags", value: tags })) },
  { weight: 5, arbitrary: someMessage.map((value) => change({ case: "putMessage", value })) },
  {
    weight: 3,
    arbitrary: fc
      .record({
        conversationId,
        messageId,
        status,
        failureReason: fc.constantFrom(FailureReason.EXPIRED, FailureReason.CANCELLED),
      })
      .map((value) => change({ case: "setStatus", value })),
  },
  { weight: 2, arbitrary: fc.tuple(conversationId, messageId).map(([where, id]) => peerRead(where, id)) },
  { weight: 2, arbitrary: fc.tuple(conversationId, messageId).map(([where, id]) => ownRead(where, id)) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(conversationId, fc.bigInt({ min: 0n, max: 2n }))
      .map(([where, lastActivityMs]) => putConversation({ conversationId: where, lastActivityMs })),
  },
  { weight: 1, arbitrary: conversationId.map(deleteConversation) },
);

const step = fc.record({
  changes: fc.array(someChange, { maxLength: 12 }),
  ending: fc.constantFrom("commit", "commit", "commit", "malformed", "too large", "reopen"),
});

/** All the suite can see of a storage; `StorageModel.observe` gives the same. */
async function observe(storage: Storage): Promise<unknown> {
  return {
    records: await Promise.all(observed.keys.map((name) => storage.secrets.get(name))),
    scans: await Promise.all(observed.prefixes.map((prefix) => storage.secrets.scan(prefix, 0))),
    tags: await Promise.all(observed.tags.map(async (value) => (await storage.secrets.findTag(value))?.key)),
    conversations: (await storage.messages.conversations()).map((row) => row.conversationId),
    pages: await Promise.all(
      observed.conversations.map(async (id) =>
        (await storage.messages.page({ conversationId: id, limit: 1000 })).map((row) => ({ ...row })),
      ),
    ),
    unread: await Promise.all(observed.conversations.map((id) => storage.messages.unreadCount(id))),
    found: await Promise.all(observed.words.map(async (query) => (await found(storage, query)).sort())),
  };
}

// Changes, in short.

function change(value: NonNullable<MessageInitShape<typeof ChangeSchema>["change"]>): Change {
  return create(ChangeSchema, { change: value });
}

function put(name: string, value: number): Change {
  return putBytes(name, Uint8Array.of(value));
}

function putBytes(name: string, value: Uint8Array): Change {
  return change({ case: "put", value: { key: name, value } });
}

function remove(name: string): Change {
  return change({ case: "delete", value: name });
}

function removePrefix(prefix: string): Change {
  return change({ case: "deletePrefix", value: prefix });
}

function addTags(name: string, ...numbers: number[]): Change {
  return change({ case: "addTags", value: { key: name, tags: tagsOf(numbers) } });
}

function removeTags(...numbers: number[]): Change {
  return change({ case: "removeTags", value: tagsOf(numbers) });
}

function putMessage(fields: Fields<Message>): Change {
  return change({ case: "putMessage", value: message(fields) });
}

function setStatus(id: string, to: DeliveryStatus, failureReason = FailureReason.FAILURE_REASON_UNSPECIFIED): Change {
  return change({ case: "setStatus", value: { conversationId: "c1", messageId: id, status: to, failureReason } });
}

function peerRead(where: string, id: string): Change {
  return change({ case: "peerRead", value: { conversationId: where, messageId: id } });
}

function ownRead(where: string, id: string): Change {
  return change({ case: "ownRead", value: { conversationId: where, messageId: id } });
}

function putConversation(fields: Fields<Conversation>): Change {
  return change({ case: "putConversation", value: conversation(fields) });
}

function deleteConversation(where: string): Change {
  return change({ case: "deleteConversation", value: where });
}

type Fields<Shape> = Partial<Omit<Shape, "$typeName" | "$unknown">>;

/** An incoming message of conversation c1, unless `fields` say otherwise. */
function message(fields: Fields<Message>): Message {
  return create(MessageSchema, {
    conversationId: "c1",
    messageId: "m1",
    sequence: 1,
    lamport: 1n,
    timestampMs: 1_700_000_000_000n,
    storedMs: 1_700_000_000_001n,
    version: 1,
    ...fields,
  });
}

function conversation(fields: Fields<Conversation>): Conversation {
  return create(ConversationSchema, {
    conversationId: "c1",
    accountId: "a1",
    peerIdentityKey: bytes(32),
    createdMs: 1n,
    suite: 1,
    sessionState: SessionState.ESTABLISHED,
    ...fields,
  });
}

function tag(number: number): Uint8Array {
  return Uint8Array.of(0xde, 0xad, 0, 0xff, 0x80, 0, 0, number);
}

function tagsOf(numbers: number[]): Uint8Array {
  return Uint8Array.from(numbers.flatMap((number) => [...tag(number)]));
}

/** So many bytes, all values among them. */
function bytes(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => (index * 151 + (index >> 8)) & 0xff);
}

function same(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}

// What is in a storage, in short.

async function contents(storage: Storage): Promise<Record<string, string>> {
  const records = await storage.secrets.scan("", 0);
  return Object.fromEntries(records.map((record) => [record.key, Buffer.from(record.value).toString("hex")]));
}

async function idsOf(storage: Storage, where: string): Promise<string[]> {
  return (await storage.messages.page({ conversationId: where, limit: 1000 })).map((row) => row.messageId);
}

async function found(storage: Storage, query: string): Promise<string[]> {
  const rows = await storage.messages.search(query, { limit: 1000 });
  return rows.map((row) => `${row.conversationId}/${row.messageId}`);
}

async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<unknown> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, `should fail with ${ErrorCode[code]}`).toMatchObject({ name: "ChatError", code });
  return error;
}
