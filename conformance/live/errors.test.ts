import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import {
  ErrorCode,
  type ProtocolSettings,
  SqliteStorage,
  type Storage,
  type Transport,
  WakuTransport,
} from "@chatsdk/client";
import { ChatError } from "@chatsdk/core";
import { beforeAll, describe, expect, test } from "vitest";
import { seededRandom } from "../src/random.ts";
import { fingerprint, keysUsedTwice } from "./support/envelopes.ts";
import { LocalClient, meet } from "./support/local-client.ts";
import { afterwards, person, ServiceNode, temporaryFolder } from "./support/network.ts";
import { compilePackages, until } from "./support/person.ts";

beforeAll(compilePackages);

const protocol: ProtocolSettings = {
  ackDelayMs: 300,
  ackIntervalMs: 1000,
  resendAfterMs: 3000,
  gapDelayMs: 500,
  historyIntervalMs: 2000,
};
const failsWith = (code: ErrorCode) => ({ name: "ChatError", code });
const PASSPHRASE = { passphrase: "correct horse battery staple" };

/** A node to talk to, and the settings of its clients. */
async function network() {
  const folder = temporaryFolder();
  const node = await ServiceNode.start({ store: join(folder, "node.db") });
  return { folder, node, options: { peers: [node.websocket], protocol } };
}

/** Nobody listens there. */
const unreachable = {
  peers: [`/ip4/127.0.0.1/tcp/9/ws/p2p/16Uiu2HAmPLe7Mzm8TsYUubgCAW1aJoeFScxrLj8ppHFivPo97bUZ`],
  protocol,
};

/** Every file of a folder by a hash of its content. */
function contents(folder: string): Record<string, string> {
  const hash = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(folder, name)))
      .digest("hex");
  return Object.fromEntries(
    readdirSync(folder)
      .filter((name) => name.includes(".db"))
      .map((name) => [name, hash(name)]),
  );
}

/** A database with an account and a conversation in it, closed. */
async function database(
  folder: string,
  storageKey: Parameters<typeof LocalClient.open>[2]["storageKey"] = { unprotected: true },
) {
  const [alice, bob] = await Promise.all([
    LocalClient.open(folder, "alice", { ...unreachable, storageKey }),
    LocalClient.open(folder, "other", unreachable),
  ]);
  const account = await alice.accountId();
  const conversation = await alice.client.acceptInvite(account, await bob.link(), "kept");
  await Promise.all([alice.close(), bob.close()]);
  rmSync(join(folder, "other.db"));
  return { path: alice.path, account, conversationId: conversation.id };
}

describe("a database that does not open", () => {
  test("F7 a wrong passphrase, or a key of another kind, is WRONG_KEY, never an empty database; the files are left as they are", async () => {
    const folder = temporaryFolder();
    const { account, conversationId } = await database(folder, PASSPHRASE);
    const before = contents(folder);
    for (const storageKey of [
      { passphrase: "correct horse battery stapler" },
      { rawKey: new Uint8Array(32) },
      { unprotected: true as const },
    ]) {
      await expect(LocalClient.open(folder, "alice", { ...unreachable, storageKey })).rejects.toMatchObject(
        failsWith(ErrorCode.WRONG_KEY),
      );
      expect(contents(folder)).toEqual(before);
    }
    const again = await LocalClient.open(folder, "alice", { ...unreachable, storageKey: PASSPHRASE });
    expect(await again.accountId()).toBe(account);
    expect(await again.stored(conversationId)).toEqual(["kept"]);
  });

  test("F6 F7 a database cut short, empty or of something else is DATABASE_CORRUPT, and is left as it is", async () => {
    const folder = temporaryFolder();
    const { path, conversationId } = await database(folder);
    const whole = readFileSync(path);
    const damaged = [
      ["empty", Buffer.alloc(0)],
      ["a few bytes", whole.subarray(0, 50)],
      ["half", whole.subarray(0, whole.length / 2)],
      ["all but the last byte", whole.subarray(0, -1)],
      ["text", Buffer.from("this is not a database\n".repeat(500))],
    ] as const;
    for (const [what, bytes] of damaged) {
      writeFileSync(path, bytes);
      const before = contents(folder);
      await expect(LocalClient.open(folder, "alice", unreachable), what).rejects.toMatchObject(
        failsWith(ErrorCode.DATABASE_CORRUPT),
      );
      expect(contents(folder), what).toEqual(before);
    }
    writeFileSync(path, whole);
    const again = await LocalClient.open(folder, "alice", unreachable);
    expect(await again.stored(conversationId)).toEqual(["kept"]);
  });

  test("F6 F7 a file that a power failure cut while the client did not run says so, and a backup opens", async () => {
    const folder = temporaryFolder();
    const { path, conversationId } = await database(folder);
    copyFileSync(path, join(folder, "backup"));
    truncateSync(path, 8192);
    await expect(LocalClient.open(folder, "alice", unreachable)).rejects.toMatchObject(
      failsWith(ErrorCode.DATABASE_CORRUPT),
    );
    copyFileSync(join(folder, "backup"), path);
    const again = await LocalClient.open(folder, "alice", unreachable);
    expect(await again.stored(conversationId)).toEqual(["kept"]);
  });

  test("F6 a second process on an open database is DATABASE_LOCKED; the first goes on, and the second opens when it is done", async () => {
    const { folder, options } = await network();
    const holder = person("alice", folder, options);
    await holder.start();
    const account = await holder.call("defaultAccount");
    await expect(LocalClient.open(folder, "alice", options)).rejects.toMatchObject({
      ...failsWith(ErrorCode.DATABASE_LOCKED),
      retryable: true,
    });
    const third = person("alice", folder, options);
    await expect(third.start()).rejects.toMatchObject({ code: "DATABASE_LOCKED" });
    await holder.call("createInvite", account.id);
    await holder.close();
    const next = await LocalClient.open(folder, "alice", options);
    expect(await next.client.invites(account.id)).toHaveLength(1);
  });

  test("F6 two clients of one process on one database: the second is DATABASE_LOCKED", async () => {
    const folder = temporaryFolder();
    const first = await LocalClient.open(folder, "alice", unreachable);
    await expect(LocalClient.open(folder, "alice", unreachable)).rejects.toMatchObject(
      failsWith(ErrorCode.DATABASE_LOCKED),
    );
    await first.client.createAccount();
  });

  test("F7 no keyring is KEYRING_UNAVAILABLE, and another key can be given afterwards", async () => {
    const folder = temporaryFolder();
    const keyring = { service: "chatsdk-test", account: "none" };
    const alice = person("alice", folder, {
      ...unreachable,
      storageKey: { keyring },
      environment: { DBUS_SESSION_BUS_ADDRESS: "", XDG_RUNTIME_DIR: "", DISPLAY: "", WAYLAND_DISPLAY: "" },
    });
    await expect(alice.start()).rejects.toMatchObject({ code: "KEYRING_UNAVAILABLE" });
    const again = await LocalClient.open(folder, "alice", { ...unreachable, storageKey: PASSPHRASE });
    await again.accountId();
  });
});

describe("an old copy of the database", () => {
  test("F7 F3 is STATE_ROLLED_BACK; accepted, its sessions are lost and can be repaired with the peer's consent", async () => {
    const { folder, options } = await network();
    const bob = await LocalClient.open(folder, "bob", options);
    const first = await LocalClient.open(folder, "alice", options);
    const conversationId = await meet(first, bob);
    await first.close();
    const old = readFileSync(first.path);

    const second = await LocalClient.open(folder, "alice", options);
    await second.client.send(conversationId, "after the copy was made");
    await second.allDelivered(conversationId);
    await second.close();
    const newest = readFileSync(first.path);

    writeFileSync(first.path, old);
    const before = contents(folder);
    await expect(LocalClient.open(folder, "alice", options)).rejects.toMatchObject(
      failsWith(ErrorCode.STATE_ROLLED_BACK),
    );
    expect(contents(folder)["alice.db"]).toBe(before["alice.db"]);

    // The newest opens as ever.
    writeFileSync(first.path, newest);
    const third = await LocalClient.open(folder, "alice", options);
    expect(await third.stored(conversationId, true)).toEqual(["hello", "after the copy was made"]);
    expect((await third.client.conversation(conversationId)).session).toBe("established");
    await third.close();

    writeFileSync(first.path, old);
    const alice = await LocalClient.open(folder, "alice", { ...options, acceptRollback: true });
    await until(
      () => alice.events.some((event) => event.type === "sessionStateChanged"),
      () => "Alice is told",
    );
    expect((await alice.client.conversation(conversationId)).session).toBe("lost");
    await expect(alice.client.send(conversationId, "too early")).rejects.toMatchObject(
      failsWith(ErrorCode.SESSION_LOST),
    );
    expect(await alice.stored(conversationId)).toEqual(["hello", "welcome"]);

    // Bob writes into the old session meanwhile: lost, and he will know.
    const unreadable = await bob.client.send(conversationId, "nobody can read this");
    await alice.client.repairConversation(conversationId);
    expect((await alice.client.conversation(conversationId)).session).toBe("repairSent");
    await expect(alice.client.send(conversationId, "still too early")).rejects.toMatchObject(
      failsWith(ErrorCode.SESSION_LOST),
    );
    await until(
      async () => (await bob.client.conversation(conversationId)).session === "repairRequested",
      () => "Bob is asked",
    );
    await bob.client.acceptRepair(conversationId);
    await until(
      () => bob.withStatus("failed").includes(unreadable.id),
      () => "Bob knows that his message is lost",
    );
    expect(await bob.client.message(conversationId, unreadable.id)).toMatchObject({
      status: "failed",
      failureReason: "sessionReplaced",
    });
    await until(
      async () => (await alice.client.conversation(conversationId)).session === "established",
      () => "the session is new",
    );

    await alice.client.send(conversationId, "back again");
    await until(
      () => bob.texts.includes("back again"),
      () => "Alice's message arrives",
    );
    // An answer: of two sent at the same time either may come first.
    await bob.client.send(conversationId, "so you are");
    await until(
      () => alice.texts.includes("so you are"),
      () => "Bob's answer arrives",
    );
    expect(await bob.stored(conversationId)).toEqual([
      "hello",
      "welcome",
      "after the copy was made",
      "nobody can read this",
      "back again",
      "so you are",
    ]);
    expect(alice.texts).not.toContain("nobody can read this");
    await alice.close();
    // From now on this is the newest.
    const last = await LocalClient.open(folder, "alice", options);
    expect((await last.client.conversation(conversationId)).session).toBe("established");
  });

  test("F3 a repair asked for while no node can be reached goes out when one is back", async () => {
    const { folder, node, options } = await network();
    const bob = await LocalClient.open(folder, "bob", options);
    const first = await LocalClient.open(folder, "alice", options);
    const conversationId = await meet(first, bob);
    await first.close();
    await node.stop();
    const anchor = { read: async () => 1_000_000n, write: async () => {} };
    const alice = await LocalClient.open(folder, "alice", { ...options, anchor, acceptRollback: true });
    await alice.client.repairConversation(conversationId);
    await pause(3000);
    await node.restart();
    await until(
      async () => (await bob.client.conversation(conversationId)).session === "repairRequested",
      () => "Bob is asked",
    );
    await bob.client.acceptRepair(conversationId);
    await until(
      async () => (await alice.client.conversation(conversationId)).session === "established",
      () => "the session is new",
    );
    await alice.client.send(conversationId, "back again");
    await until(
      () => bob.texts.includes("back again"),
      () => "messages arrive again",
    );
  });
});

describe("a network that is not there", () => {
  test("F4 messages stay queued while no node can be reached, also over a restart, and are sent when one is back", async () => {
    const { folder, node, options } = await network();
    const bob = await LocalClient.open(folder, "bob", options);
    const link = await bob.link();
    await bob.close();
    await node.stop();

    const alice = await LocalClient.open(folder, "alice", options);
    await until(
      () => alice.connection.length > 0,
      () => "Alice is told that she is offline",
    );
    expect(alice.connection).toEqual([false]);
    expect(alice.client.online).toBe(false);
    const { id } = await alice.client.acceptInvite(await alice.accountId(), link, "1");
    for (const text of ["2", "3", "4", "5"]) await alice.client.send(id, text);
    await pause(2000);
    expect((await alice.client.messages(id)).map(({ status }) => status)).toEqual(Array(5).fill("queued"));
    await alice.close();

    const again = await LocalClient.open(folder, "alice", options);
    await again.client.send(id, "6");
    await pause(1000);
    expect((await again.client.messages(id)).map(({ status }) => status)).toEqual(Array(6).fill("queued"));
    await node.restart();
    await until(
      () => again.withStatus("sent").length === 6,
      () => "all are sent",
    );
    expect(again.connection).toEqual([false, true]);
    const bobAgain = await LocalClient.open(folder, "bob", options);
    await until(
      () => bobAgain.texts.length === 6,
      () => "Bob has all",
    );
    expect(bobAgain.texts).toEqual(["1", "2", "3", "4", "5", "6"]);
    await again.allDelivered(id);
  });
});

describe("a full disk", () => {
  test("F6 F7 a send without space is STORAGE_FULL and leaves nothing; what arrives meanwhile is not lost; with space all goes on", async ({
    skip,
  }) => {
    const { folder, options } = await network();
    const disk = join(folder, "disk");
    mkdirSync(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], { stdio: "pipe" });
    } catch (error) {
      skip(`mounting a tmpfs was refused (it takes root): ${String(error)}`);
    }
    afterwards(() => execFileSync("umount", [disk]));
    const transport = new SpyTransport(options.peers);
    const warnings: string[] = [];
    const logger = { debug() {}, info() {}, warn: (message: string) => warnings.push(message) };
    const [alice, bob] = await Promise.all([
      LocalClient.open(disk, "alice", { ...options, transport, logger }),
      LocalClient.open(folder, "bob", options),
    ]);
    const conversationId = await meet(alice, bob);

    fillUp(join(disk, "filler"));
    const kept: string[] = [];
    let full: unknown;
    for (let i = 0; !full && i < 500; i++) {
      const text = `before ${i} ${"x".repeat(2000)}`;
      await alice.client.send(conversationId, text).then(
        () => kept.push(text),
        (error: unknown) => {
          full = error;
        },
      );
    }
    expect(full).toMatchObject({ ...failsWith(ErrorCode.STORAGE_FULL), retryable: true });
    for (let i = 0; i < 5; i++) {
      const published = transport.published.length;
      await expect(alice.client.send(conversationId, `lost ${"y".repeat(60_000)}`)).rejects.toMatchObject(
        failsWith(ErrorCode.STORAGE_FULL),
      );
      expect(transport.published.slice(published).filter(({ length }) => length > 60_000)).toEqual([]);
    }
    const duringFull = Array.from({ length: 5 }, (_, i) => `while full ${i} ${"z".repeat(30_000)}`);
    for (const text of duringFull) await bob.client.send(conversationId, text);
    await pause(3000);
    // Reading goes on.
    expect(await alice.stored(conversationId, true)).toEqual(["hello", ...kept]);
    expect(alice.texts.filter((text) => text.startsWith("while full"))).toEqual([]);
    expect(warnings.some((line) => line.includes("no space is left"))).toBe(true);

    rmSync(join(disk, "filler"));
    await alice.client.send(conversationId, "after");
    await until(
      () => duringFull.every((text) => alice.texts.includes(text)),
      () => `Alice has what came while the disk was full (${alice.texts.length})`,
      90_000,
    );
    // What is sent again may come before the history: it is shown after a while, and the order is told by the store.
    expect(alice.texts.toSorted()).toEqual(["welcome", ...duringFull].toSorted());
    expect(await alice.stored(conversationId, false)).toEqual(["welcome", ...duringFull]);
    await Promise.all([alice.allDelivered(conversationId), bob.allDelivered(conversationId)]);
    expect(bob.texts).toEqual(["hello", ...kept, "after"]);
    await alice.close();
    const again = await LocalClient.open(disk, "alice", options);
    expect(await again.stored(conversationId, true)).toEqual(["hello", ...kept, "after"]);
    await again.close();
  });
});

describe("a storage that fails", () => {
  test("F3 F4 nothing leaves when its commit failed; afterwards nothing is lost and no key was used twice", async () => {
    const { folder, options } = await network();
    const open = async (name: string, seed: number) => {
      const storage = new FailingStorage(await SqliteStorage.open(join(folder, `${name}.db`), { create: true }), seed);
      const transport = new SpyTransport(options.peers, storage);
      const who = await LocalClient.open(folder, name, { ...options, storage, transport });
      return { who, storage, transport };
    };
    const [alice, bob] = await Promise.all([open("alice", 1), open("bob", 2)]);
    const conversationId = await meet(alice.who, bob.who);
    const sides = [alice, bob];
    for (const { storage } of sides) storage.rate = 0.2;

    const sent = await Promise.all(
      sides.map(async ({ who }, side) => {
        const texts: string[] = [];
        for (let i = 0; i < 60; i++) {
          const text = `${side} ${i}`;
          try {
            await who.client.send(conversationId, text);
            texts.push(text);
          } catch (error) {
            expect(error).toMatchObject(failsWith(ErrorCode.STORAGE_FAILED));
          }
          await pause(20);
        }
        return texts;
      }),
    );
    for (const { storage } of sides) storage.rate = 0;
    const failures = sides.map(({ storage }) => storage.failures);
    await Promise.all(sides.map(({ who }) => who.allDelivered(conversationId, 120_000)));
    for (const [side, { who, storage }] of sides.entries()) {
      const expected = [side === 0 ? "hello" : "welcome", ...(sent[side] as string[])];
      expect(await who.stored(conversationId, true)).toEqual(expected);
      const other = sides[1 - side]!.who;
      expect(other.texts.toSorted()).toEqual(expected.toSorted());
      expect(new Set(other.received.map(({ id }) => id)).size).toBe(expected.length);
      expect(storage.leaks).toEqual([]);
      // Each stored event came once, in order, without a gap.
      const numbers = who.events.map(({ number }) => number).filter((number) => number !== 0n);
      expect(numbers).toEqual(numbers.map((_, i) => BigInt(i + 1)));
    }
    const envelopes = sides.flatMap(({ transport }) => transport.published).map(fingerprint);
    expect(keysUsedTwice(envelopes)).toEqual([]);
    console.log(
      `${failures.join(" and ")} commits failed; ${sent.map((texts) => texts.length).join(" and ")} of 60 sends each resolved, all arrived`,
    );
  });

  test("F6 a database that cannot be written when it is opened: the failure is told, and the next open loses nothing", async () => {
    const { folder, options } = await network();
    const bob = await LocalClient.open(folder, "bob", options);
    const alice = await LocalClient.open(folder, "alice", options);
    const conversationId = await meet(alice, bob);
    await alice.close();
    await bob.client.send(conversationId, "while away");

    const storage = new FailingStorage(await SqliteStorage.open(alice.path), 3);
    storage.rate = 1;
    await expect(LocalClient.open(folder, "alice", { ...options, storage })).rejects.toMatchObject(
      failsWith(ErrorCode.STORAGE_FAILED),
    );
    const again = await LocalClient.open(folder, "alice", options);
    await until(
      () => again.texts.includes("while away"),
      () => "Alice has what came while she was away",
    );
  });
});

/** A real storage whose commits fail now and then, before anything is written. */
class FailingStorage implements Storage {
  readonly #storage: Storage;
  readonly #random: () => number;
  rate = 0;
  failures = 0;
  /** The last commit failed, and none has begun since. */
  failed = false;
  /** What left although its commit had failed. */
  readonly leaks: string[] = [];

  constructor(storage: Storage, seed: number) {
    this.#storage = storage;
    this.#random = seededRandom(seed);
  }

  get secrets(): Storage["secrets"] {
    return this.#storage.secrets;
  }

  get messages(): Storage["messages"] {
    return this.#storage.messages;
  }

  header(): ReturnType<Storage["header"]> {
    return this.#storage.header();
  }

  setHeader(header: Parameters<Storage["setHeader"]>[0]): Promise<void> {
    return this.#storage.setHeader(header);
  }

  async commit(changes: Parameters<Storage["commit"]>[0]): Promise<void> {
    this.failed = false;
    if (this.#random() < this.rate) {
      this.failures++;
      this.failed = true;
      throw new ChatError(ErrorCode.STORAGE_FAILED, "the disk is moody today");
    }
    await this.#storage.commit(changes);
  }

  close(): Promise<void> {
    return this.#storage.close();
  }
}

/** The real transport, with what is published. */
class SpyTransport extends WakuTransport implements Transport {
  readonly published: Uint8Array[] = [];
  readonly #storage: FailingStorage | undefined;

  constructor(peers: readonly string[], storage?: FailingStorage) {
    super({ clusterId: 42, shardCount: 8, peers });
    this.#storage = storage;
  }

  override publish(...args: Parameters<WakuTransport["publish"]>): Promise<void> {
    this.published.push(args[1]);
    if (this.#storage?.failed) this.#storage.leaks.push(`a publication of ${args[1].length} bytes`);
    return super.publish(...args);
  }
}

/** Until hardly a byte is left. */
function fillUp(file: string): void {
  for (let size = 65_536; size >= 4096; size = existsSync(file) ? size : size / 2) {
    try {
      writeFileSync(file, Buffer.alloc(size), { flag: "a" });
    } catch {
      size /= 2;
    }
  }
}
