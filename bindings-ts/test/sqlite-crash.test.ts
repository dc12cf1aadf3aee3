import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SqliteStorage } from "../src/storage/sqlite-storage.ts";
import { batch, wholeBatches } from "./storage-support/batches.ts";
import { child } from "./storage-support/child.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "chatsdk-crash-"));
  path = join(folder, "chat.db");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("SqliteStorage: crashes", () => {
  test("F6 F7 killed 20 times in the middle of commits: every acknowledged one is there, none is half there", {
    timeout: 180_000,
  }, async () => {
    let before = 0;
    let unacknowledged = 0;
    for (let round = 0; round < 20; round += 1) {
      const running = child(["commit", path]);
      expect(await running.line()).toBe("open");
      const first = Number(await running.line());
      expect(first).toBe(before + 1);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 120));
      running.process.kill("SIGKILL");
      const acknowledged = Math.max(first, ...(await running.rest()).map(Number));
      const storage = await SqliteStorage.open(path);
      const there = await wholeBatches(storage);
      await storage.close();
      expect(there).toBeGreaterThanOrEqual(acknowledged);
      // The one that was on the disk but not yet acknowledged.
      expect(there).toBeLessThanOrEqual(acknowledged + 1);
      unacknowledged += there - acknowledged;
      before = there;
    }
    console.log(
      `20 kills, ${before} commits, all there; ${unacknowledged} more were whole though not yet acknowledged`,
    );
  });

  test("F6 F7 a -wal file cut short or damaged anywhere gives whole commits", { timeout: 120_000 }, async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    for (let number = 1; number <= 12; number += 1) await storage.commit(batch(number));
    const copy = join(folder, "copy.db");
    copyFileSync(path, copy);
    const wal = readFileSync(`${path}-wal`);
    const database = readFileSync(copy);
    await storage.close();

    const seen = new Set<number>();
    for (let round = 0; round < 80; round += 1) {
      const cut = Math.floor(Math.random() * wal.length);
      const torn =
        round % 2 === 0
          ? wal.subarray(0, cut)
          : Buffer.concat([wal.subarray(0, cut), Buffer.from([~(wal[cut] ?? 0) & 0xff]), wal.subarray(cut + 1)]);
      writeFileSync(copy, database);
      writeFileSync(`${copy}-wal`, torn);
      const again = await SqliteStorage.open(copy, { create: true });
      seen.add(await wholeBatches(again));
      await again.close();
    }
    expect(Math.max(...seen)).toBeLessThanOrEqual(12);
    expect(seen.size).toBeGreaterThan(4);
  });
});
