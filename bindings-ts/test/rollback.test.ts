import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { RateSlot } from "@chatsdk/abi/host_pb";
import { ChatError, nobleCrypto } from "@chatsdk/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ChatClient, type ClientParts } from "../src/client/chat-client.ts";
import { FileRollbackAnchor } from "../src/storage/rollback-anchor.ts";
import { SqliteStorage } from "../src/storage/sqlite-storage.ts";
import { entropy, settled, TestClock, TestNetwork, TestTransport } from "./client-support/fakes.ts";

const EPOCH_SECONDS = 600;

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "chatsdk-rollback-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const path = (name: string) => join(folder, `${name}.db`);

/** Alice's clients, one after the other: one clock, and all slots they were ever given. */
class Stage {
  readonly clock = new TestClock();
  readonly network = new TestNetwork();
  readonly slots: string[] = [];

  async open(name: string, more: Partial<ClientParts> = {}): Promise<ChatClient> {
    const transport = new TestTransport(this.network);
    const publish = transport.publish.bind(transport);
    transport.publish = async (
      topic: string,
      payload: Uint8Array,
      options?: { signal: AbortSignal; slot?: RateSlot },
    ) => {
      this.slots.push(`${options?.slot?.epoch}/${options?.slot?.messageId}`);
      await publish(topic, payload);
    };
    return ChatClient.open({
      clusterId: 42,
      shardCount: 8,
      storage: await SqliteStorage.open(path(name), { create: true }),
      storageKey: { unprotected: true },
      transport,
      crypto: nobleCrypto,
      entropy,
      clock: this.clock,
      anchor: new FileRollbackAnchor({ folder: join(folder, "state") }),
      protocol: { rateLimit: { epochSeconds: EPOCH_SECONDS, messagesPerEpoch: 100 } },
      ...more,
    });
  }

  /** Links of somebody who never reads. */
  async links(count: number): Promise<string[]> {
    const bob = await ChatClient.open({
      clusterId: 42,
      shardCount: 8,
      storage: await SqliteStorage.open(path("bob"), { create: true }),
      storageKey: { unprotected: true },
      transport: new TestTransport(new TestNetwork()),
      crypto: nobleCrypto,
      entropy,
      clock: this.clock,
    });
    const { id } = await bob.createAccount();
    const links: string[] = [];
    for (let i = 0; i < count; i++) links.push((await bob.createInvite(id)).link);
    await bob.close();
    return links;
  }

  /** The next epoch has begun a while ago. */
  async nextEpoch(): Promise<void> {
    const epochMs = EPOCH_SECONDS * 1000;
    await this.clock.pass(epochMs - (this.clock.now() % epochMs) + 1000);
  }

  get epochs(): string[] {
    return [...new Set(this.slots.map((slot) => slot.split("/")[0]!))];
  }
}

const rolledBack = expect.objectContaining({ code: ErrorCode.STATE_ROLLED_BACK });

describe("old copies of a database", () => {
  test("S1 F7 the newest, put back after an older copy was accepted, is an old copy: no slot of the rate limit goes out twice", async () => {
    const stage = new Stage();
    const [first, second, third] = await stage.links(3);
    let alice = await stage.open("alice");
    const account = await alice.createAccount();
    await alice.close();
    copyFileSync(path("alice"), path("old"));

    alice = await stage.open("alice");
    const { id } = await alice.acceptInvite(account.id, first!, "0");
    for (let i = 1; i < 20; i++) await alice.send(id, `${i}`);
    await settled();
    await alice.close();
    copyFileSync(path("alice"), path("newest"));
    expect(stage.slots.length).toBeGreaterThanOrEqual(20);

    copyFileSync(path("old"), path("alice"));
    await expect(stage.open("alice")).rejects.toEqual(rolledBack);
    alice = await stage.open("alice", { acceptRollback: true });
    await stage.nextEpoch();
    await alice.acceptInvite(account.id, second!, "from the old copy");
    await settled();
    await alice.close();
    expect(stage.epochs.length).toBe(2);
    // What was accepted is the newest from now on.
    await (await stage.open("alice")).close();
    copyFileSync(path("alice"), path("accepted"));

    const used = stage.slots.length;
    copyFileSync(path("newest"), path("alice"));
    await expect(stage.open("alice")).rejects.toEqual(rolledBack);
    expect(stage.slots.length).toBe(used);
    alice = await stage.open("alice", { acceptRollback: true });
    await stage.nextEpoch();
    await alice.acceptInvite(account.id, third!, "from the newest copy");
    await settled();
    await alice.close();
    expect(stage.slots.length).toBeGreaterThan(used);
    expect(new Set(stage.slots).size).toBe(stage.slots.length);
    copyFileSync(path("accepted"), path("alice"));
    await expect(stage.open("alice")).rejects.toEqual(rolledBack);
    // Accepted again, the oldest leaves all the others behind.
    copyFileSync(path("old"), path("alice"));
    await (await stage.open("alice", { acceptRollback: true })).close();
    await (await stage.open("alice")).close();
    copyFileSync(path("accepted"), path("alice"));
    await expect(stage.open("alice")).rejects.toEqual(rolledBack);
  });

  test("F7 a rollback whose commit fails is not accepted: nothing leaves, the anchor stays, the user is asked again", async () => {
    const stage = new Stage();
    let alice = await stage.open("alice");
    await alice.close();
    copyFileSync(path("alice"), path("old"));
    alice = await stage.open("alice");
    const { id } = await alice.createAccount();
    await alice.acceptInvite(id, (await stage.links(1))[0]!, "hello");
    await alice.close();
    const used = stage.slots.length;
    const anchor = new FileRollbackAnchor({ folder: join(folder, "state") });
    const databaseId = await databaseIdOf("alice");
    const seen = await anchor.read(databaseId);

    copyFileSync(path("old"), path("alice"));
    const failing = await SqliteStorage.open(path("alice"));
    failing.commit = () => Promise.reject(new ChatError(ErrorCode.STORAGE_FAILED, "the disk fails"));
    await expect(stage.open("unused", { storage: failing, acceptRollback: true })).rejects.toMatchObject({
      code: ErrorCode.STORAGE_FAILED,
    });
    expect(await anchor.read(databaseId)).toBe(seen);
    expect(stage.slots.length).toBe(used);
    await expect(stage.open("alice")).rejects.toEqual(rolledBack);
  });

  test("S1 F7 the anchor is durable before anything of an accepted copy leaves", async () => {
    const stage = new Stage();
    const order: string[] = [];
    const transport = new TestTransport(stage.network);
    transport.subscribe = async () => void order.push("subscribe");
    const anchor = {
      lock: async () => void order.push("lock"),
      read: async () => {
        order.push("read");
        return 1000n;
      },
      write: async (_: string, generation: bigint) => void order.push(generation > 1000n ? "write" : "lowered"),
      flush: async () => void order.push("flush"),
    };
    const alice = await stage.open("alice", { anchor, transport, acceptRollback: true });
    await alice.close();
    expect(order.slice(0, 5)).toEqual(["lock", "read", "write", "flush", "subscribe"]);
    expect(order.filter((call) => call === "flush" || call === "lowered")).toEqual(["flush"]);
  });

  test("F7 a copy cannot be opened while the other is open, and is an old one afterwards", async () => {
    const stage = new Stage();
    let alice = await stage.open("alice");
    await alice.close();
    copyFileSync(path("alice"), path("copy"));
    alice = await stage.open("alice");
    await expect(stage.open("copy")).rejects.toMatchObject({ code: ErrorCode.DATABASE_LOCKED, retryable: true });
    await alice.createAccount();
    await alice.close();
    await expect(stage.open("copy")).rejects.toEqual(rolledBack);
    await (await stage.open("copy", { acceptRollback: true })).close();
  });
});

async function databaseIdOf(name: string): Promise<string> {
  const storage = await SqliteStorage.open(path(name));
  const header = await storage.header();
  await storage.close();
  return header!.databaseId;
}
