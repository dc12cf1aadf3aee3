import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type Change, ChangeSchema } from "@chatsdk/abi/host_pb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { storageSuite } from "../../conformance/src/storage-suite.ts";
import { SqliteStorage } from "../src/storage/sqlite-storage.ts";
import { wholeBatches } from "./storage-support/batches.ts";
import { answer, child } from "./storage-support/child.ts";

storageSuite("SqliteStorage", async () => {
  const own = mkdtempSync(join(tmpdir(), "chatsdk-sqlite-"));
  const open = () => SqliteStorage.open(join(own, "chat.db"), { create: true, maximumBytes: 8 * 1024 * 1024 });
  let storage = await open();
  return {
    storage,
    reopen: async () => {
      await storage.close();
      storage = await open();
      return storage;
    },
    dispose: async () => rmSync(own, { recursive: true }),
    tooManyBytes: 9 * 1024 * 1024,
  };
});

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "chatsdk-sqlite-"));
  path = join(folder, "chat.db");
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

describe("SqliteStorage: what is deleted", () => {
  test("F7 deleted and replaced values are in no file after close", async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    const gone: string[] = [];
    const kept: string[] = [];
    const mark = (list: string[]) => {
      const text = randomBytes(12).toString("hex");
      list.push(text);
      return text;
    };
    // Sizes from a few bytes to several pages, written and deleted in different orders, so that pages split, merge and move.
    for (let round = 0; round < 12; round += 1) {
      const size = [1, 40, 400, 3000, 12_000][round % 5] ?? 1;
      const value = (list: string[]) => new TextEncoder().encode(mark(list).repeat(Math.ceil(size / 24)));
      const changes: Change[] = [];
      for (let index = 0; index < 150; index += 1) {
        const key = `r/${(index * 37) % 150}/${round}`;
        changes.push(put(key, value(gone)), put(`k/${index}/${round}`, value(index % 3 === 0 ? kept : gone)));
        changes.push(
          change({
            case: "putMessage",
            value: {
              conversationId: `c${index % 2}`,
              messageId: `m${round}-${index}`,
              text: `${mark(index % 2 === 0 ? gone : kept)} plain`,
              payload: value(index % 2 === 0 ? gone : kept),
            },
          }),
        );
      }
      await storage.commit(changes);
      await storage.commit(
        Array.from({ length: 150 }, (_, index) =>
          index % 2 === 0
            ? put(`r/${index}/${round}`, new Uint8Array(5))
            : change({ case: "delete", value: `r/${index}/${round}` }),
        ),
      );
      await storage.commit(
        Array.from({ length: 150 }, (_, index) => index)
          .filter((index) => index % 3 !== 0)
          .map((index) => change({ case: "delete", value: `k/${index}/${round}` })),
      );
    }
    await storage.commit([change({ case: "deleteConversation", value: "c0" })]);
    await storage.close();

    expect(readdirSync(folder)).toEqual(["chat.db"]);
    const bytes = readFileSync(path);
    expect(kept.filter((text) => !bytes.includes(text))).toEqual([]);
    expect(gone.filter((text) => bytes.includes(text))).toEqual([]);
  });

  test("F7 the -wal file is emptied within 30 seconds of a commit", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const storage = await SqliteStorage.open(path, { create: true });
    for (let round = 0; round < 2; round += 1) {
      await storage.commit([put("a", randomBytes(100))]);
      expect(statSync(`${path}-wal`).size).toBeGreaterThan(0);
      vi.advanceTimersByTime(30_000);
      expect(statSync(`${path}-wal`).size).toBe(0);
    }
    expect(vi.getTimerCount()).toBe(0);
    await storage.commit([put("a", randomBytes(100))]);
    await storage.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("F7 a crash's -wal file is emptied at the next open", async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    await storage.commit([put("a", randomBytes(100))]);
    const copy = join(folder, "copy.db");
    for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, copy + suffix);
    await storage.close();
    const after = await SqliteStorage.open(copy);
    expect(statSync(`${copy}-wal`).size).toBe(0);
    expect(existsSync(`${copy}-shm`)).toBe(false);
    expect(await after.secrets.get("a")).toHaveLength(100);
    await after.close();
    expect(readdirSync(folder)).toEqual(["chat.db", "copy.db"]);
  });
});

describe("SqliteStorage: transactions", () => {
  // After a full disk SQLite rolls back by itself; not after this.
  test("F7 an error in the middle of a commit undoes what came before it", async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    await storage.commit([put("a", Uint8Array.of(1))]);
    const wrongType = put("b", "a text" as unknown as Uint8Array);
    await expect(
      storage.commit([put("a", Uint8Array.of(2)), put("c", Uint8Array.of(2)), wrongType, put("d", Uint8Array.of(2))]),
    ).rejects.toMatchObject({ name: "ChatError", code: ErrorCode.STORAGE_FAILED });
    expect(await storage.secrets.scan("", 0)).toEqual([{ key: "a", value: Uint8Array.of(1) }]);
    await storage.commit([put("e", Uint8Array.of(3))]);
    await storage.close();
    const again = await SqliteStorage.open(path);
    expect((await again.secrets.scan("", 0)).map(({ key }) => key)).toEqual(["a", "e"]);
    await again.close();
  });
});

describe("SqliteStorage: the file", () => {
  test("F6 F7 only its owner may read it", async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    await storage.commit([put("a", randomBytes(10))]);
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o600);
    await storage.close();
  });

  test("F6 any SQLite tool reads an unprotected one", async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    await storage.commit([
      change({
        case: "putConversation",
        value: { conversationId: "c1", accountId: "a1", sessionState: 2, createdMs: 5n },
      }),
      change({
        case: "putMessage",
        value: {
          conversationId: "c1",
          messageId: "m1",
          outgoing: true,
          sequence: 1,
          lamport: 7n,
          text: "hello",
          status: 5,
          failureReason: 1,
        },
      }),
    ]);
    await storage.close();
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(path, { readOnly: true });
    expect({
      ...database
        .prepare("SELECT conversation_id, outgoing, lamport, text, status, failure_reason, refers_to FROM messages")
        .get(),
    }).toEqual({
      conversation_id: "c1",
      outgoing: 1,
      lamport: 7,
      text: "hello",
      status: "failed",
      failure_reason: "expired",
      refers_to: null,
    });
    expect(database.prepare("SELECT session_state FROM conversations").get()?.["session_state"]).toBe("established");
    expect(database.prepare("PRAGMA application_id").get()?.["application_id"]).toBe(0x4353444b);
    database.close();
  });

  test("F6 F7 paths with spaces, symbols and other scripts", async () => {
    for (const name of ["with space.db", "q?immutable=1#f%41.db", "файл.db", "file:x.db", ":memory:", "quote'\".db"]) {
      const odd = join(folder, name);
      const storage = await SqliteStorage.open(odd, { create: true });
      await storage.commit([put("a", new Uint8Array(1))]);
      await storage.close();
      expect(existsSync(odd), name).toBe(true);
      const again = await SqliteStorage.open(odd);
      expect(await again.secrets.get("a"), name).toBeDefined();
      await again.close();
    }
  });
});

describe("SqliteStorage: Node", () => {
  test("F7 the warning about node:sqlite does not reach stderr, others do", async () => {
    const running = child(["warnings", path]);
    running.process.stdin.end();
    expect(await running.rest()).toEqual(['{"restored":true}']);
    const stderr = await running.stderr();
    expect(stderr).not.toContain("SQLite is an experimental feature");
    expect(stderr).toContain("SQLite is fine, this one is not");
  });

  test("F6 F7 a process that ends without closing loses nothing", async () => {
    expect(await answer(["commitAndExit", path, "3"])).toEqual({ committed: 3 });
    expect(readdirSync(folder)).toContain("chat.db-wal");
    const storage = await SqliteStorage.open(path);
    expect(await wholeBatches(storage)).toBe(3);
    await storage.close();
    expect(await answer(["rawRead", path])).toEqual({ rows: 8 });
  });
});

function change(value: NonNullable<MessageInitShape<typeof ChangeSchema>["change"]>): Change {
  return create(ChangeSchema, { change: value });
}

function put(key: string, value: Uint8Array): Change {
  return change({ case: "put", value: { key, value } });
}
