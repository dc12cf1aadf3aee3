// Run in a process of its own by child.ts: [what, ...arguments].
import { writeSync } from "node:fs";
import { once } from "node:events";
import { ChatError } from "@chatsdk/core";
import { deriveKey, newDerivation } from "../../src/keys/storage-key.ts";
import { FileRollbackAnchor } from "../../src/storage/rollback-anchor.ts";
import { SplitStorage } from "../../src/storage/split-storage.ts";
import { SqliteStorage } from "../../src/storage/sqlite-storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { batch, wholeBatches } from "./batches.ts";
import { StorageSink } from "./storage-sink.ts";

const [what = "", ...args] = process.argv.slice(2);
const [path = "", second = ""] = args;

const say = (value: unknown) => writeSync(1, `${typeof value === "string" ? value : JSON.stringify(value)}\n`);

/** Commits until the process is killed, and says each number once it is durable. */
async function commitForever(storage: Storage): Promise<void> {
  say("open");
  for (let number = (await wholeBatches(storage)) + 1; ; number += 1) {
    await storage.commit(batch(number));
    say(String(number));
  }
}

const actions: Record<string, () => Promise<void>> = {
  async open() {
    const storage = await SqliteStorage.open(path, { create: second === "create" });
    await storage.close();
    say({ ok: true });
  },
  async hold() {
    const storage = await SqliteStorage.open(path, { create: true });
    say("open");
    process.stdin.resume();
    await once(process.stdin, "end");
    await storage.close();
    say("closed");
  },
  /** Holds the lock of a database beside its anchor, until it is killed. */
  async lock() {
    await new FileRollbackAnchor({ folder: path }).lock(second);
    say("locked");
    process.stdin.resume();
    await once(process.stdin, "end");
  },
  /** What any other program with SQLite would do. */
  async rawRead() {
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(path, { readOnly: second === "readOnly" });
    try {
      say({ rows: database.prepare("SELECT count(*) AS n FROM records").get()?.["n"] });
    } catch (error) {
      say({ error: error instanceof Error ? error.message : "" });
    }
  },
  async warnings() {
    const emitWarning = process.emitWarning;
    const storage = await SqliteStorage.open(path, { create: true });
    await storage.close();
    process.emitWarning("SQLite is fine, this one is not", "ExperimentalWarning");
    say({ restored: process.emitWarning === emitWarning });
  },
  async commit() {
    await commitForever(await SqliteStorage.open(path, { create: true }));
  },
  async commitAndExit() {
    const storage = await SqliteStorage.open(path, { create: true });
    for (let number = 1; number <= Number(second); number += 1) await storage.commit(batch(number));
    say({ committed: Number(second) });
    process.exit();
  },
  async commitSplit() {
    const secrets = await SqliteStorage.open(path, { create: true });
    const sink = new StorageSink(await SqliteStorage.open(second, { create: true }));
    await commitForever(await SplitStorage.open(secrets, sink));
  },
  async createMany() {
    say("open");
    for (let index = Number(second); ; index += 1) {
      const storage = await SqliteStorage.open(`${path}/${index}.db`, { create: true });
      await storage.close();
      say(String(index));
    }
  },
  async keyring() {
    const key = { keyring: { service: path, account: second } };
    const derivation = await newDerivation(key);
    const first = await deriveKey(key, derivation);
    const again = await deriveKey(key, await newDerivation(key));
    say({
      derivation: derivation.derivation.case,
      length: first.length,
      same: Buffer.compare(first, again) === 0,
      zero: first.every((byte) => byte === 0),
    });
  },
  /** Asks for a key that the keyring does not have (any more). */
  async keyringAbsent() {
    const made = { keyring: { service: path, account: second } };
    const derivation = await newDerivation(made);
    const { AsyncEntry } = await import("@napi-rs/keyring");
    await new AsyncEntry(path, second, { linux: { store: "secret-service" } }).deletePassword();
    await deriveKey(made, derivation);
  },
  /** The entry is taken by another program. */
  async keyringForeign() {
    const { AsyncEntry } = await import("@napi-rs/keyring");
    await new AsyncEntry(path, second, { linux: { store: "secret-service" } }).setPassword("hunter2");
    await newDerivation({ keyring: { service: path, account: second } });
  },
};

try {
  await actions[what]?.();
} catch (error) {
  if (!(error instanceof ChatError)) throw error;
  say({ code: error.codeName, message: error.message, retryable: error.retryable });
}
