import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type Change, ChangeSchema } from "@chatsdk/abi/host_pb";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { storageSuite } from "../../conformance/src/storage-suite.ts";
import { MemoryStorage } from "../src/storage/memory-storage.ts";
import { SplitStorage } from "../src/storage/split-storage.ts";
import { SqliteStorage } from "../src/storage/sqlite-storage.ts";
import { batch, wholeBatches } from "./storage-support/batches.ts";
import { child } from "./storage-support/child.ts";
import { StorageSink } from "./storage-support/storage-sink.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "chatsdk-split-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

storageSuite("SplitStorage on two files", async () => {
  const own = mkdtempSync(join(tmpdir(), "chatsdk-split-"));
  const open = async () => {
    const secrets = await SqliteStorage.open(join(own, "secrets.db"), { create: true, maximumBytes: 8 * 1024 * 1024 });
    return await SplitStorage.open(
      secrets,
      new StorageSink(await SqliteStorage.open(join(own, "messages.db"), { create: true })),
    );
  };
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

storageSuite("SplitStorage in memory", async () => {
  const secrets = new MemoryStorage();
  const sink = new StorageSink(new MemoryStorage());
  const storage = await SplitStorage.open(secrets, sink);
  return { storage, reopen: async () => await SplitStorage.open(secrets, sink) };
});

/** A sink that refuses or dies on demand. */
class FaultySink extends StorageSink {
  fault: "none" | "refuses" | "dies after applying" = "none";
  applied: bigint[] = [];

  override async apply(number: bigint, changes: readonly Change[]): Promise<void> {
    if (this.fault === "refuses") throw new Error("connection refused");
    await super.apply(number, changes);
    this.applied.push(number);
    if (this.fault === "dies after applying") throw new Error("connection lost");
  }
}

describe("SplitStorage: crashes and outages", () => {
  test.each(["refuses", "dies after applying"] as const)(
    "F6 F7 the sink %s, then the process ends: the next start makes it good",
    async (fault) => {
      const messages = new MemoryStorage();
      const sink = new FaultySink(messages);
      const errors: unknown[] = [];
      const secrets = await SqliteStorage.open(join(folder, "secrets.db"), { create: true });
      const storage = await SplitStorage.open(secrets, sink, { onSinkError: (error) => errors.push(error) });
      await storage.commit(batch(1));
      sink.fault = fault;
      await storage.commit(batch(2));
      expect(errors).toHaveLength(1);
      expect(new TextDecoder().decode(await storage.secrets.get("series/state"))).toBe("2");
      // As a crash would: nothing is closed but the file.
      await secrets.close();

      const sinkAfter = new FaultySink(messages);
      const again = await SplitStorage.open(await SqliteStorage.open(join(folder, "secrets.db")), sinkAfter);
      expect(await wholeBatches(again)).toBe(2);
      await again.commit(batch(3));
      expect(await sinkAfter.lastBatch()).toBe(3n);
      await again.close();
    },
  );

  test("F6 F7 killed 10 times in the middle of commits: both stores agree", { timeout: 180_000 }, async () => {
    const paths = [join(folder, "secrets.db"), join(folder, "messages.db")] as const;
    let before = 0;
    let replayed = 0;
    for (let round = 0; round < 10; round += 1) {
      const running = child(["commitSplit", ...paths]);
      expect(await running.line()).toBe("open");
      const first = Number(await running.line());
      expect(first).toBe(before + 1);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 120));
      running.process.kill("SIGKILL");
      const acknowledged = Math.max(first, ...(await running.rest()).map(Number));
      const sink = new StorageSink(await SqliteStorage.open(paths[1]));
      const lastBefore = await sink.lastBatch();
      const storage = await SplitStorage.open(await SqliteStorage.open(paths[0]), sink);
      if ((await sink.lastBatch()) > lastBefore) replayed += 1;
      const there = await wholeBatches(storage);
      expect(there).toBeGreaterThanOrEqual(acknowledged);
      expect(there).toBeLessThanOrEqual(acknowledged + 1);
      await storage.close();
      before = there;
    }
    console.log(`10 kills, ${before} commits, all in both stores; the journal had to help ${replayed} times`);
  });

  test("F6 F7 a sink that is away for a while gets everything, in order", async () => {
    const sink = new FaultySink(new MemoryStorage());
    const errors: unknown[] = [];
    const secrets = new MemoryStorage();
    const storage = await SplitStorage.open(secrets, sink, { onSinkError: (error) => errors.push(error) });
    sink.fault = "refuses";
    for (let number = 1; number <= 5; number += 1) await storage.commit(batch(number));
    expect(errors).toHaveLength(5);
    expect(await sink.lastBatch()).toBe(0n);
    sink.fault = "none";
    await storage.commit(batch(6));
    expect(sink.applied).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
    expect(await wholeBatches(storage)).toBe(6);
    await storage.commit(batch(7));
    expect((await secrets.secrets.scan("journal/", 0)).map(({ key }) => key)).toEqual(["journal/00000000000000000007"]);
  });

  test("F6 F7 a sink that stays away stops the commits before the journal grows without end", async () => {
    const sink = new FaultySink(new MemoryStorage());
    const storage = await SplitStorage.open(new MemoryStorage(), sink);
    sink.fault = "refuses";
    for (let number = 1; number <= 1000; number += 1) await storage.commit([putMessage(`m${number}`)]);
    await expect(storage.commit([put("a"), putMessage("m1001")])).rejects.toMatchObject({
      code: ErrorCode.STORAGE_FAILED,
      retryable: true,
    });
    expect(await storage.secrets.get("a")).toBeUndefined();
    // Secrets alone need no sink.
    await storage.commit([put("a")]);
    sink.fault = "none";
    await storage.close();
    expect(sink.applied).toHaveLength(1000);
  });

  test("F6 F7 opening while the sink is away says so, and can be repeated", async () => {
    const sink = new FaultySink(new MemoryStorage());
    const secrets = new MemoryStorage();
    const storage = await SplitStorage.open(secrets, sink);
    await storage.commit(batch(1));
    sink.fault = "refuses";
    await expect(SplitStorage.open(secrets, sink)).rejects.toMatchObject({
      code: ErrorCode.STORAGE_FAILED,
      retryable: true,
    });
    sink.fault = "none";
    expect(await wholeBatches(await SplitStorage.open(secrets, sink))).toBe(1);
  });

  test("F7 a failed commit of the secrets reaches no sink", async () => {
    const sink = new FaultySink(new MemoryStorage());
    const secrets = await SqliteStorage.open(join(folder, "secrets.db"), { create: true, maximumBytes: 1_000_000 });
    const storage = await SplitStorage.open(secrets, sink);
    await expect(storage.commit([putMessage("m1"), put("a", 2_000_000)])).rejects.toMatchObject({
      code: ErrorCode.STORAGE_FULL,
    });
    expect(sink.applied).toEqual([]);
    await storage.commit([putMessage("m2")]);
    expect(sink.applied).toEqual([1n]);
    expect(await storage.messages.message("c1", "m1")).toBeUndefined();
    await storage.close();
  });

  test("F7 the journal is hidden from the core and not its to change", async () => {
    const secrets = new MemoryStorage();
    const storage = await SplitStorage.open(secrets, new StorageSink(new MemoryStorage()));
    await storage.commit([put("a"), putMessage("m1")]);
    const [entry] = await secrets.secrets.scan("journal/", 0);
    expect(entry).toBeDefined();
    expect(await storage.secrets.get(entry?.key ?? "")).toBeUndefined();
    expect(await storage.secrets.scan("", 0)).toHaveLength(1);
    expect(await storage.secrets.scan("journal/", 0)).toEqual([]);
    await expect(storage.commit([put("journal/x")])).rejects.toMatchObject({ code: ErrorCode.INTERNAL });
    await expect(storage.commit([change({ case: "delete", value: entry?.key ?? "" })])).rejects.toMatchObject({
      code: ErrorCode.INTERNAL,
    });
    await storage.commit([change({ case: "deletePrefix", value: "" })]);
    await storage.commit([change({ case: "deletePrefix", value: "journal/" })]);
    expect(await storage.secrets.scan("", 0)).toEqual([]);
    expect(await secrets.secrets.scan("", 0)).toHaveLength(1);
  });

  test("F7 an unreadable journal is reported", async () => {
    for (const key of ["journal/1", "journal/x"]) {
      const secrets = new MemoryStorage();
      await secrets.commit([put(key, 3)]);
      await expect(SplitStorage.open(secrets, new StorageSink(new MemoryStorage()))).rejects.toMatchObject({
        code: ErrorCode.DATABASE_CORRUPT,
      });
    }
  });

  test("F6 the journal holds message rows as they came: sealed ones stay sealed", async () => {
    const secrets = new MemoryStorage();
    const storage = await SplitStorage.open(secrets, new StorageSink(new MemoryStorage()));
    const sealed = new Uint8Array(64).fill(0xee);
    await storage.commit([
      change({ case: "putMessage", value: { conversationId: "c1", messageId: "m1", payload: sealed } }),
    ]);
    const [entry] = await secrets.secrets.scan("journal/", 0);
    expect(Buffer.from(entry?.value ?? []).includes(Buffer.from(sealed))).toBe(true);
  });
});

function change(value: NonNullable<MessageInitShape<typeof ChangeSchema>["change"]>): Change {
  return create(ChangeSchema, { change: value });
}

function put(key: string, length = 1): Change {
  return change({ case: "put", value: { key, value: new Uint8Array(length).fill(0xff) } });
}

function putMessage(messageId: string): Change {
  return change({ case: "putMessage", value: { conversationId: "c1", messageId } });
}
