import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type Change, ChangeSchema } from "@chatsdk/abi/host_pb";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SqliteStorage } from "../src/storage/sqlite-storage.ts";
import { batch, wholeBatches } from "./storage-support/batches.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "chatsdk-full-"));
  path = join(folder, "chat.db");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const full = { name: "ChatError", code: ErrorCode.STORAGE_FULL, retryable: true };

describe("SqliteStorage: no space left", () => {
  test("F7 at the limit of pages: nothing of the commit is there, and the storage goes on", async () => {
    const storage = await SqliteStorage.open(path, { create: true, maximumBytes: 600_000 });
    const done = await commitUntilFull(storage);
    expect(done).toBeGreaterThan(10);
    expect(await wholeBatches(storage)).toBe(done);
    await expect(storage.commit(batch(done + 1))).rejects.toMatchObject(full);
    // Deleting makes room.
    await storage.commit([deletePrefix("series/1/")]);
    await storage.commit([put("room", new Uint8Array(2000))]);
    expect(await storage.secrets.get("room")).toHaveLength(2000);
    await storage.close();
    const larger = await SqliteStorage.open(path, { maximumBytes: 10_000_000 });
    await larger.commit([put("big", new Uint8Array(1_000_000))]);
    await larger.close();
  });

  test("F7 on a full disk: nothing of the commit is there, and the next works once there is space", {
    timeout: 60_000,
  }, async () => {
    if (!mountTmpfs(folder, "8m")) {
      console.log("mounting a tmpfs was refused: only PRAGMA max_page_count was tested");
      return;
    }
    try {
      const filler = join(folder, "filler");
      writeFileSync(filler, Buffer.alloc(6_800_000));
      const storage = await SqliteStorage.open(path, { create: true });
      const done = await commitUntilFull(storage);
      expect(done).toBeGreaterThan(5);
      expect(await wholeBatches(storage)).toBe(done);
      for (let attempt = 0; attempt < 3; attempt += 1)
        await expect(storage.commit([put("large", new Uint8Array(1_000_000))])).rejects.toMatchObject(full);
      expect(await wholeBatches(storage)).toBe(done);
      rmSync(filler);
      for (let number = done + 1; number <= done + 20; number += 1) await storage.commit(batch(number));
      expect(await wholeBatches(storage)).toBe(done + 20);

      // Closing and opening without space loses nothing either.
      fillUp(filler);
      await storage.close();
      await expect(SqliteStorage.open(path)).rejects.toMatchObject(full);
      rmSync(filler);
      const again = await SqliteStorage.open(path);
      expect(await wholeBatches(again)).toBe(done + 20);
      await again.commit(batch(done + 21));
      await again.close();
      const last = await SqliteStorage.open(path);
      expect(await wholeBatches(last)).toBe(done + 21);
      await last.close();
      console.log(`full disk tested on a tmpfs of 8 MiB: full after ${done} commits`);
    } finally {
      execFileSync("umount", [folder]);
    }
  });

  test("F7 a new database for which there is no space leaves no file", () => {
    if (!mountTmpfs(folder, "64k")) {
      console.log("mounting a tmpfs was refused: making a database on a full disk was not tested");
      return;
    }
    return (async () => {
      try {
        fillUp(join(folder, "filler"));
        await expect(SqliteStorage.open(path, { create: true })).rejects.toMatchObject(full);
        expect(readdirSync(folder)).toEqual(["filler"]);
      } finally {
        execFileSync("umount", [folder]);
      }
    })();
  });
});

async function commitUntilFull(storage: SqliteStorage): Promise<number> {
  for (let number = 1; number < 10_000; number += 1) {
    try {
      await storage.commit(batch(number));
    } catch (error) {
      expect(error).toMatchObject(full);
      return number - 1;
    }
  }
  throw new Error("never full");
}

function mountTmpfs(target: string, size: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", target], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Until not a byte is left. */
function fillUp(file: string): void {
  for (let size = 65_536, written = existsSync(file); size >= 1; size = written ? size : Math.floor(size / 2)) {
    try {
      writeFileSync(file, Buffer.alloc(size), { flag: "a" });
      written = true;
    } catch {
      written = false;
    }
  }
}

function put(key: string, value: Uint8Array): Change {
  return create(ChangeSchema, { change: { case: "put", value: { key, value } } });
}

function deletePrefix(prefix: string): Change {
  return create(ChangeSchema, { change: { case: "deletePrefix", value: prefix } });
}
