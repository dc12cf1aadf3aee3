import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileRollbackAnchor } from "../src/storage/rollback-anchor.ts";
import { answer, child } from "./storage-support/child.ts";

const ID = "00112233445566778899aabbccddeeff";
const OTHER = "ffeeddccbbaa99887766554433221100";

let folder = "";
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "chatsdk-anchor-")), "state");
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
  rmSync(join(folder, ".."), { recursive: true, force: true });
});

const file = (id = ID) => join(folder, `${id}.generation`);

describe("FileRollbackAnchor", () => {
  test("F7 what was written is read, by another client too, for each database", async () => {
    const anchor = new FileRollbackAnchor({ folder });
    expect(await anchor.read(ID)).toBeUndefined();
    await anchor.write(ID, 7n);
    await anchor.write(OTHER, 2n ** 63n);
    expect(await anchor.read(ID)).toBe(7n);
    await anchor.close();
    const after = new FileRollbackAnchor({ folder });
    expect(await after.read(ID)).toBe(7n);
    expect(await after.read(OTHER)).toBe(2n ** 63n);
    expect(readdirSync(folder).sort()).toEqual([`${ID}.generation`, `${OTHER}.generation`]);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  test("F7 it never falls, whether the larger number is held back, written, or another client's", async () => {
    const anchor = new FileRollbackAnchor({ folder });
    await anchor.write(ID, 7n);
    await anchor.write(ID, 6n);
    expect(await anchor.read(ID)).toBe(7n);
    await anchor.flush();
    await anchor.write(ID, 3n);
    await anchor.close();
    expect(await new FileRollbackAnchor({ folder }).read(ID)).toBe(7n);
    writeFileSync(file(), "9\n");
    await anchor.write(ID, 8n);
    await anchor.close();
    expect(readFileSync(file(), "utf8")).toBe("9\n");
  });

  test("F7 a lock is had by one client, in this process and among all, until it closes or its process ends", async () => {
    const [first, second] = [new FileRollbackAnchor({ folder }), new FileRollbackAnchor({ folder })];
    const locked = { code: ErrorCode.DATABASE_LOCKED, retryable: true };
    await first.lock(ID);
    await second.lock(OTHER);
    await expect(first.lock(ID)).rejects.toMatchObject(locked);
    await expect(second.lock(ID)).rejects.toMatchObject(locked);
    // The refused one has not loosened it.
    await expect(new FileRollbackAnchor({ folder }).lock(ID)).rejects.toMatchObject(locked);
    expect(await answer(["lock", folder, ID])).toMatchObject({ code: "DATABASE_LOCKED", retryable: true });
    await first.close();
    const holder = child(["lock", folder, ID]);
    expect(await holder.line()).toBe("locked");
    await expect(second.lock(ID)).rejects.toMatchObject(locked);
    holder.process.kill("SIGKILL");
    await holder.rest();
    await second.lock(ID);
    await second.close();
    expect(readdirSync(folder).filter((name) => !name.endsWith(".lock"))).toEqual([]);
  });

  test("F7 a lock that cannot be made is reported, and the client goes on without", async () => {
    const errors: unknown[] = [];
    const blocked = join(folder, "..", "blocked");
    writeFileSync(blocked, "a file where the folder should be");
    await new FileRollbackAnchor({ folder: blocked, onError: (error) => errors.push(error) }).lock(ID);
    expect(errors).toHaveLength(1);
  });

  test("F7 10,000 writes cost one file at once and one a second", async () => {
    const anchor = new FileRollbackAnchor({ folder });
    const started = performance.now();
    for (let generation = 1n; generation <= 10_000n; generation += 1n) await anchor.write(ID, generation);
    expect(performance.now() - started).toBeLessThan(1000);
    await vi.waitFor(() => expect(existsSync(file())).toBe(true));
    const first = statSync(file()).ino;
    await anchor.write(ID, 10_001n);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(statSync(file()).ino).toBe(first);
    expect(await anchor.read(ID)).toBe(10_001n);
    await vi.waitFor(() => expect(readFileSync(file(), "utf8")).toBe("10001\n"), { timeout: 3000 });
    await anchor.close();
  });

  test("F7 a failing write is reported, loses nothing, and is made up for", async () => {
    const errors: unknown[] = [];
    const blocked = join(folder, "..", "blocked");
    writeFileSync(blocked, "a file where the folder should be");
    const anchor = new FileRollbackAnchor({ folder: blocked, onError: (error) => errors.push(error) });
    await anchor.write(ID, 1n);
    await anchor.flush();
    expect(errors).toHaveLength(1);
    expect(await anchor.read(ID)).toBe(1n);
    rmSync(blocked);
    await anchor.write(ID, 2n);
    await anchor.close();
    expect(errors).toHaveLength(1);
    expect(await new FileRollbackAnchor({ folder: blocked }).read(ID)).toBe(2n);
  });

  test("F7 what is no generation counts as absent and is reported", async () => {
    const anchor = new FileRollbackAnchor({ folder });
    await anchor.write(ID, 1n);
    await anchor.close();
    for (const content of ["", "12", "-1\n", "1\n2\n", "0x10\n", "18446744073709551616\n", "9".repeat(30), "\0"]) {
      writeFileSync(file(), content);
      const errors: unknown[] = [];
      expect(await new FileRollbackAnchor({ folder, onError: (error) => errors.push(error) }).read(ID)).toBeUndefined();
      expect(errors).toHaveLength(1);
    }
  });

  test("F7 an id from a hostile file names no other place", async () => {
    const anchor = new FileRollbackAnchor({ folder });
    for (const id of ["", "../../etc/passwd", `${ID}/x`, ID.toUpperCase(), `${ID}0`, `${ID}\n`]) {
      await expect(anchor.read(id)).rejects.toMatchObject({ code: ErrorCode.DATABASE_CORRUPT });
      await expect(anchor.write(id, 1n)).rejects.toMatchObject({ code: ErrorCode.DATABASE_CORRUPT });
      await expect(anchor.lock(id)).rejects.toMatchObject({ code: ErrorCode.DATABASE_CORRUPT });
    }
    await anchor.close();
    expect(existsSync(folder)).toBe(false);
  });

  test("F7 the default folder follows XDG_STATE_HOME, if absolute", async () => {
    vi.stubEnv("XDG_STATE_HOME", folder);
    const anchor = new FileRollbackAnchor();
    await anchor.write(ID, 1n);
    await anchor.close();
    expect(readdirSync(join(folder, "chatsdk"))).toEqual([`${ID}.generation`]);
    vi.stubEnv("XDG_STATE_HOME", "relative");
    vi.stubEnv("HOME", join(folder, "home"));
    expect(homedir()).toBe(join(folder, "home"));
    const atHome = new FileRollbackAnchor();
    await atHome.write(ID, 1n);
    await atHome.close();
    expect(readdirSync(join(folder, "home", ".local", "state", "chatsdk"))).toEqual([`${ID}.generation`]);
    expect(() => new FileRollbackAnchor({ folder: "relative" })).toThrow(
      expect.objectContaining({ code: ErrorCode.INVALID_ARGUMENT }),
    );
  });

  test("F7 a crash in a write leaves the old number", async () => {
    const anchor = new FileRollbackAnchor({ folder });
    await anchor.write(ID, 5n);
    await anchor.close();
    // What a crash leaves: the draft, in part.
    writeFileSync(`${file()}.0011223344556677.new`, "1");
    expect(await new FileRollbackAnchor({ folder }).read(ID)).toBe(5n);
  });
});
