import { randomBytes } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { create } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChangeSchema, VaultHeaderSchema } from "@chatsdk/abi/host_pb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { APPLICATION_ID, newSchema } from "../src/storage/sqlite/schema.ts";
import { sqlite } from "../src/storage/sqlite/runtime.ts";
import { SqliteStorage } from "../src/storage/sqlite-storage.ts";
import { batch, wholeBatches } from "./storage-support/batches.ts";
import { answer, child } from "./storage-support/child.ts";

const BATCHES = 40;
const PAGE = 4096;

/** A sound database with 40 batches, closed. */
let sound = "";
/** The same with its last batches in a -wal file only, as a crash leaves it. */
let crashed = "";
let shared = "";
let folder = "";
let path = "";

beforeAll(async () => {
  shared = mkdtempSync(join(tmpdir(), "chatsdk-open-"));
  sound = join(shared, "sound.db");
  crashed = join(shared, "crashed.db");
  const storage = await SqliteStorage.open(sound, { create: true });
  await storage.setHeader(create(VaultHeaderSchema, { format: 1 }));
  for (let number = 1; number <= BATCHES / 2; number += 1) await storage.commit(batch(number));
  await storage.close();
  const again = await SqliteStorage.open(sound);
  for (let number = BATCHES / 2 + 1; number <= BATCHES; number += 1) await again.commit(batch(number));
  for (const suffix of ["", "-wal"]) copyFileSync(sound + suffix, crashed + suffix);
  await again.close();
});
afterAll(() => rmSync(shared, { recursive: true }));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "chatsdk-open-"));
  path = join(folder, "chat.db");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("SqliteStorage.open: no file", () => {
  test("F7 a missing file is an error that names it", async () => {
    const error = await refused(path);
    expect(error).toMatchObject({
      code: ErrorCode.INVALID_ARGUMENT,
      retryable: false,
      message: expect.stringContaining(path),
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("F7 so is a missing folder, a folder, an empty path, a path with a NUL", async () => {
    for (const [wrong, named] of [
      [join(folder, "none", "chat.db"), join(folder, "none")],
      [folder, "regular file"],
      ["", "path"],
      [`${path}\0x`, "path"],
    ] as const) {
      const error = await refused(wrong, { create: true });
      expect(error).toMatchObject({ code: ErrorCode.INVALID_ARGUMENT, message: expect.stringContaining(named) });
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  test("F7 with create, a new database is made; an existing one is opened", async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    await storage.commit(batch(1));
    await storage.close();
    expect(readdirSync(folder)).toEqual(["chat.db"]);
    const again = await SqliteStorage.open(path, { create: true });
    expect(await wholeBatches(again)).toBe(1);
    await again.close();
  });

  test("F7 a database without header and content, left by an interrupted creation, opens only to be finished", async () => {
    await (await SqliteStorage.open(path, { create: true })).close();
    await expectUntouched(path, async () => {
      const error = await refused(path);
      expect(error).toMatchObject({
        code: ErrorCode.DATABASE_CORRUPT,
        message: expect.stringContaining("create: true"),
      });
    });
    const storage = await SqliteStorage.open(path, { create: true });
    await storage.setHeader(create(VaultHeaderSchema, { format: 1 }));
    await storage.close();
    await (await SqliteStorage.open(path)).close();
  });

  test("F7 a killed process leaves whole databases or none", { timeout: 120_000 }, async () => {
    for (let round = 0; round < 6; round += 1) {
      const made = readdirSync(folder).filter((name) => name.endsWith(".db")).length;
      const running = child(["createMany", folder, String(made)]);
      expect(await running.line()).toBe("open");
      await running.line();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 150));
      running.process.kill("SIGKILL");
      const said = [String(made), ...(await running.rest())];
      const present = readdirSync(folder).filter((name) => name.endsWith(".db"));
      expect(present.length).toBeGreaterThanOrEqual(made + said.length);
    }
    const names = readdirSync(folder).filter((name) => name.endsWith(".db"));
    for (const name of names) {
      const storage = await SqliteStorage.open(join(folder, name), { create: true });
      await storage.commit(batch(1));
      await storage.close();
    }
  });

  test("F7 remnants of a lost database are not mixed into a new one", async () => {
    copyFileSync(`${crashed}-wal`, `${path}-wal`);
    await expectUntouched(`${path}-wal`, async () => {
      expect(await refused(path, { create: true })).toMatchObject({
        code: ErrorCode.DATABASE_CORRUPT,
        message: expect.stringContaining("-wal"),
      });
    });
    expect(readdirSync(folder)).toEqual(["chat.db-wal"]);
  });
});

describe("SqliteStorage.open: not a sound database", () => {
  test("F7 an empty file", async () => {
    writeFileSync(path, "");
    await expectCorrupt(path);
  });

  test("F7 random bytes, text, zeros, of any length", async () => {
    for (const length of [1, 99, 100, 511, 512, 4096, 100_000]) {
      for (const content of [randomBytes(length), Buffer.alloc(length), Buffer.alloc(length, "text ")]) {
        writeFileSync(path, content);
        await expectCorrupt(path);
      }
    }
  });

  test("F7 a database cut short anywhere", async () => {
    const whole = readFileSync(sound);
    const lengths = [
      1,
      16,
      99,
      100,
      511,
      512,
      1000,
      PAGE - 1,
      ...Array.from({ length: 60 }, (_, index) => Math.floor((whole.length / 60) * index) + 1),
      whole.length - PAGE,
      whole.length - 1,
    ];
    for (const length of lengths) {
      writeFileSync(path, whole.subarray(0, length));
      await expectCorrupt(path, `cut to ${length}`);
    }
  });

  test("F7 a large database cut short, which is not read through", { timeout: 120_000 }, async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    for (let index = 0; index < 70; index += 1) {
      await storage.commit([
        create(ChangeSchema, {
          change: { case: "put", value: { key: `${index}`, value: new Uint8Array(1024 * 1024).fill(index) } },
        }),
      ]);
    }
    await storage.close();
    await (await SqliteStorage.open(path)).close();
    const { size } = statSync(path);
    expect(size).toBeGreaterThan(64 * 1024 * 1024);
    for (const length of [size - PAGE, size - 1, size / 2, 67 * 1024 * 1024]) {
      truncateSync(path, length);
      await expectCorrupt(path, `cut to ${length}`);
    }
  });

  test("F7 any page inverted", { timeout: 120_000 }, async () => {
    const whole = readFileSync(sound);
    const free = freePages(sound);
    const pages = whole.length / PAGE;
    expect(pages).toBeGreaterThan(40);
    for (let page = 1; page <= pages; page += 1) {
      if (free.has(page)) continue;
      const damaged = Buffer.from(whole);
      for (let offset = (page - 1) * PAGE; offset < page * PAGE; offset += 1)
        damaged[offset] = ~(damaged[offset] ?? 0) & 0xff;
      writeFileSync(path, damaged);
      await expectCorrupt(path, `page ${page} of ${pages}`);
    }
  });

  // Nothing but content is in overflow pages: SQLite cannot tell zeros there from those of an application.
  test("F7 any page of zeros that is more than content", { timeout: 120_000 }, async () => {
    const whole = readFileSync(sound);
    const passive = freePages(sound, { overflow: true });
    for (let page = 1; page <= whole.length / PAGE; page += 1) {
      if (passive.has(page)) continue;
      writeFileSync(path, Buffer.from(whole).fill(0, (page - 1) * PAGE, page * PAGE));
      await expectCorrupt(path, `page ${page}`);
    }
  });

  test("F7 a single changed byte is refused, or does no harm to the structure", { timeout: 120_000 }, async () => {
    const whole = readFileSync(sound);
    let refusals = 0;
    for (let round = 0; round < 150; round += 1) {
      const offset = Math.floor(Math.random() * whole.length);
      const damaged = Buffer.from(whole);
      damaged[offset] = (damaged[offset] ?? 0) ^ (1 << (round % 8));
      writeFileSync(path, damaged);
      let storage: SqliteStorage | undefined;
      try {
        storage = await SqliteStorage.open(path);
        await storage.secrets.scan("", 0);
        await storage.messages.page({ conversationId: "series", limit: 1000 });
        await storage.close();
      } catch (error) {
        await storage?.close();
        refusals += 1;
        expect(error, `byte ${offset}`).toMatchObject({
          name: "ChatError",
          code: expect.toSatisfy(
            (code) => code === ErrorCode.DATABASE_CORRUPT || code === ErrorCode.UNSUPPORTED_VERSION,
          ),
        });
        expect(readFileSync(path).equals(damaged), `byte ${offset}`).toBe(true);
      }
    }
    console.log(
      `${refusals} of 150 changed bytes were noticed at open; the others were in contents: only the core's seals notice those`,
    );
  });

  test("F7 any changed bit of the header, and any of the schema: refused as damaged or newer, or the database works", {
    timeout: 120_000,
  }, async () => {
    const whole = readFileSync(sound);
    const bits = Array.from({ length: 800 }, (_, bit) => bit);
    const schema = newSchema().flatMap(({ sql }) => sql ?? []);
    for (const sql of schema) {
      const start = whole.indexOf(sql);
      expect(start).toBeGreaterThan(0);
      for (let bit = start * 8; bit < (start + sql.length) * 8; bit += 23) bits.push(bit);
    }
    let refusals = 0;
    for (const bit of bits) {
      const damaged = Buffer.from(whole);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(path, damaged);
      let storage: SqliteStorage | undefined;
      try {
        storage = await SqliteStorage.open(path);
        await storage.commit([
          create(ChangeSchema, { change: { case: "put", value: { key: "k", value: new Uint8Array(1) } } }),
        ]);
        await storage.secrets.scan("", 0);
        await storage.messages.page({ conversationId: "series", limit: 1000 });
        await storage.close();
      } catch (error) {
        const opened = storage !== undefined;
        await storage?.close();
        refusals += 1;
        expect({ opened, error, bit }).toMatchObject({
          opened: false,
          error: {
            name: "ChatError",
            code: expect.toSatisfy(
              (code) => code === ErrorCode.DATABASE_CORRUPT || code === ErrorCode.UNSUPPORTED_VERSION,
            ),
          },
        });
        expect(readFileSync(path).equals(damaged), `bit ${bit}`).toBe(true);
      }
      for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    }
    expect(refusals).toBeGreaterThan(bits.length / 2);
  });

  test("F7 a damaged database with a -wal file of a crash: neither is changed", async () => {
    const whole = readFileSync(crashed);
    let noticed = 0;
    for (let page = 1; page <= whole.length / PAGE; page += 1) {
      const damaged = Buffer.from(whole).fill(0xa5, (page - 1) * PAGE, page * PAGE);
      writeFileSync(path, damaged);
      copyFileSync(`${crashed}-wal`, `${path}-wal`);
      const wal = readFileSync(`${path}-wal`);
      try {
        // A page that the -wal file holds too is repaired by it.
        const storage = await SqliteStorage.open(path);
        expect(await wholeBatches(storage)).toBe(BATCHES);
        await storage.close();
      } catch (error) {
        noticed += 1;
        expect(error, `page ${page}`).toMatchObject({ name: "ChatError", code: ErrorCode.DATABASE_CORRUPT });
        expect(readFileSync(path).equals(damaged), `page ${page}`).toBe(true);
        expect(readFileSync(`${path}-wal`).equals(wal), `page ${page}`).toBe(true);
      }
      for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    }
    expect(noticed).toBeGreaterThan(0);
  });

  test("F7 a database of another application, with and without content in its -wal file", async () => {
    const { DatabaseSync } = sqlite();
    const other = new DatabaseSync(path);
    other.exec(
      "PRAGMA journal_mode = WAL; CREATE TABLE records (key TEXT, value BLOB); INSERT INTO records VALUES ('a', 'b')",
    );
    other.close();
    await expectCorrupt(path, "closed");

    const writer = new DatabaseSync(path);
    writer.exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO records VALUES ('c', 'd')");
    const copy = join(folder, "copy.db");
    for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, copy + suffix);
    writer.close();
    await expectUntouched(`${copy}-wal`, () => expectCorrupt(copy, "with a -wal file"));
  });

  test("F7 our mark on a database without our tables, or without one of them", async () => {
    const { DatabaseSync } = sqlite();
    const empty = new DatabaseSync(path);
    empty.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1; CREATE TABLE x (y)`);
    empty.close();
    await expectCorrupt(path);
    const names = newSchema().flatMap(({ name, sql }) => (sql === null ? [] : String(name)));
    expect(names.length).toBeGreaterThan(12);
    for (const name of names) {
      copyFileSync(sound, path);
      const database = new DatabaseSync(path);
      database.exec(`PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = '${name}'`);
      database.close();
      const error = await expectCorrupt(path, name);
      expect(error.message).toMatch(new RegExp(`${name}|damaged`));
    }
  });

  test("F7 a version number nobody has written", async () => {
    withVersion(0);
    await expectCorrupt(path);
  });

  test("S2 a newer schema version", async () => {
    withVersion(2);
    await expectUntouched(path, async () => {
      expect(await refused(path)).toMatchObject({
        code: ErrorCode.UNSUPPORTED_VERSION,
        message: expect.stringContaining("update"),
      });
    });
  });

  test("F7 with create, a damaged file is refused all the same", async () => {
    for (const content of [Buffer.alloc(0), randomBytes(5000)]) {
      writeFileSync(path, content);
      await expectUntouched(path, async () => {
        expect(await refused(path, { create: true })).toMatchObject({ code: ErrorCode.DATABASE_CORRUPT });
      });
    }
  });

  test("F7 after all this the sound ones open", async () => {
    for (const source of [sound, crashed]) {
      for (const suffix of ["", "-wal"]) if (existsSync(source + suffix)) copyFileSync(source + suffix, path + suffix);
      const storage = await SqliteStorage.open(path);
      expect(await wholeBatches(storage)).toBe(BATCHES);
      await storage.close();
    }
  });
});

describe("SqliteStorage.open: read-only", () => {
  // Root may write everything, so another user tries.
  const user = process.getuid?.() === 0 ? { uid: 65_534 } : {};

  test("F7 a read-only file", async () => {
    copyFileSync(sound, path);
    chmodSync(folder, 0o777);
    chmodSync(path, 0o444);
    expect(await answer(["open", path], user)).toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining("read-only"),
    });
    expect(readFileSync(path).equals(readFileSync(sound))).toBe(true);
  });

  test("F7 a file we may not read", async () => {
    copyFileSync(sound, path);
    chmodSync(folder, 0o777);
    chmodSync(path, 0o000);
    expect(await answer(["open", path], user)).toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining("allow reading"),
    });
  });

  test("F7 a read-only folder, with and without a file in it", async () => {
    copyFileSync(sound, path);
    chmodSync(path, 0o666);
    chmodSync(folder, 0o555);
    expect(await answer(["open", path], user)).toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining(`${folder} is read-only`),
    });
    expect(await answer(["open", join(folder, "new.db"), "create"], user)).toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining(`${folder} is read-only`),
    });
    chmodSync(folder, 0o755);
    expect(readdirSync(folder)).toEqual(["chat.db"]);
  });
});

describe("SqliteStorage.open: one client at a time", () => {
  test("F7 a second open in this process is refused, and does not weaken the first one's lock", async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    await storage.commit(batch(1));
    const link = join(folder, "link.db");
    symlinkSync(path, link);
    for (const name of [path, link]) {
      for (const create of [true, false]) {
        const started = performance.now();
        expect(await refused(name, { create })).toMatchObject({ code: ErrorCode.DATABASE_LOCKED, retryable: true });
        expect(performance.now() - started).toBeLessThan(500);
      }
    }
    expect(await answer(["rawRead", path])).toEqual({ error: "database is locked" });
    await storage.commit(batch(2));
    await storage.close();
    const again = await SqliteStorage.open(path);
    expect(await wholeBatches(again)).toBe(2);
    await again.close();
  });

  test("F7 nor does one in another thread", async () => {
    const storage = await SqliteStorage.open(path, { create: true });
    await storage.commit(batch(1));
    const module = new URL("../src/storage/sqlite-storage.ts", import.meta.url).href;
    const code = `import(${JSON.stringify(module)}).then(({ SqliteStorage }) => SqliteStorage.open(${JSON.stringify(path)})).catch((error) => require("node:worker_threads").parentPort.postMessage(error.codeName ?? error.message))`;
    const worker = new Worker(code, {
      eval: true,
      execArgv: ["--conditions=source", "--experimental-transform-types", "--no-warnings"],
    });
    expect(await new Promise((resolve) => worker.once("message", resolve))).toBe("DATABASE_LOCKED");
    await worker.terminate();
    expect(await answer(["rawRead", path])).toEqual({ error: "database is locked" });
    await storage.commit(batch(2));
    await storage.close();
  });

  test("F7 another process holds it: refused at once, nothing is lost, and it opens afterwards", async () => {
    const holder = child(["hold", path]);
    expect(await holder.line()).toBe("open");
    const before = readdirSync(folder);
    const started = performance.now();
    expect(await refused(path)).toMatchObject({
      code: ErrorCode.DATABASE_LOCKED,
      retryable: true,
      message: expect.stringContaining("close it there"),
    });
    expect(performance.now() - started).toBeLessThan(500);
    expect(readdirSync(folder)).toEqual(before);
    expect(await answer(["rawRead", path, "readOnly"])).toEqual({ error: "database is locked" });
    holder.process.stdin.end();
    expect(await holder.rest()).toEqual(["closed"]);
    await (await SqliteStorage.open(path, { create: true })).close();
  });

  test("F7 two processes that make the same database at once end with one", async () => {
    for (let round = 0; round < 3; round += 1) {
      const target = join(folder, `${round}.db`);
      const answers = await Promise.all([1, 2, 3].map(() => answer(["open", target, "create"])));
      for (const one of answers)
        expect(one).toSatisfy(
          (value: { ok?: boolean; code?: string }) => value.ok === true || value.code === "DATABASE_LOCKED",
        );
      expect(answers).toContainEqual({ ok: true });
      await (await SqliteStorage.open(target, { create: true })).close();
    }
    expect(readdirSync(folder).filter((name) => !/^\d\.db$/.test(name))).toEqual([]);
  });
});

function withVersion(version: number): void {
  copyFileSync(sound, path);
  const database = new (sqlite().DatabaseSync)(path);
  database.exec(`PRAGMA user_version = ${version}`);
  database.close();
}

/** Pages on the free list hold nothing, so damage there is none. */
function freePages(file: string, also: { overflow?: boolean } = {}): Set<number> {
  const database = new (sqlite().DatabaseSync)(file, { readOnly: true });
  const used = database
    .prepare(`SELECT pageno FROM dbstat${also.overflow ? " WHERE pagetype <> 'overflow'" : ""}`)
    .all()
    .map((row) => Number(row["pageno"]));
  const count = Number(database.prepare("PRAGMA page_count").get()?.["page_count"]);
  database.close();
  for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
  return new Set(Array.from({ length: count }, (_, index) => index + 1).filter((page) => !used.includes(page)));
}

async function refused(file: string, options?: { create?: boolean }): Promise<Error> {
  const outcome: unknown = await SqliteStorage.open(file, options).catch((error: unknown) => error);
  if (outcome instanceof SqliteStorage) {
    await outcome.close();
    throw new Error("opened");
  }
  expect(outcome).toMatchObject({ name: "ChatError" });
  return outcome as Error;
}

async function expectCorrupt(file: string, what = ""): Promise<Error> {
  let found = new Error();
  await expectUntouched(file, async () => {
    found = await refused(file).catch((error: unknown) => {
      throw new Error(`${what}: ${String(error)}`);
    });
    expect(found, what).toMatchObject({
      code: ErrorCode.DATABASE_CORRUPT,
      retryable: false,
      message: expect.stringContaining(file),
    });
  });
  return found;
}

/** The file is the same byte for byte, and nothing was put beside it. */
async function expectUntouched(file: string, work: () => Promise<unknown>): Promise<void> {
  const before = readFileSync(file);
  const beside = readdirSync(folder);
  await work();
  expect(readFileSync(file).equals(before)).toBe(true);
  expect(readdirSync(folder)).toEqual(beside);
}
