import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError, nobleCrypto } from "@chatsdk/core";
import { afterEach, describe, expect, test } from "vitest";
import { ChatClient, type ClientParts } from "../src/client/chat-client.ts";
import { ContentType, Reaction, Reply, Text } from "../src/client/content.ts";
import type { ChatEvent } from "../src/client/model.ts";
import { MemoryStorage } from "../src/storage/memory-storage.ts";
import type { RollbackAnchor } from "../src/storage/rollback-anchor.ts";
import {
  entropy,
  GuardedStorage,
  settled,
  TestClock,
  TestLogger,
  TestNetwork,
  TestTransport,
} from "./client-support/fakes.ts";

const open: ChatClient[] = [];
afterEach(async () => {
  for (const client of open.splice(0)) await client.close();
});

/** Parts of a client on a test's network; the storage outlives it. */
function parts(network: TestNetwork, more: Partial<ClientParts> = {}): ClientParts {
  return {
    clusterId: 42,
    shardCount: 8,
    storage: new GuardedStorage(),
    storageKey: { unprotected: true },
    transport: new TestTransport(network),
    crypto: nobleCrypto,
    entropy,
    clock: new TestClock(),
    ...more,
  };
}

async function newClient(network: TestNetwork, more: Partial<ClientParts> = {}) {
  const used = parts(network, more);
  const client = await ChatClient.open(used);
  open.push(client);
  const events: ChatEvent[] = [];
  return {
    client,
    events,
    storage: used.storage as GuardedStorage,
    clock: used.clock as TestClock,
    transport: used.transport as TestTransport,
  };
}

type Someone = Awaited<ReturnType<typeof newClient>>;

/** Collects what is shown from now on. */
function listen({ client, events }: Someone): void {
  void (async () => {
    for await (const event of client.events()) events.push(event);
  })();
}

const textsOf = ({ events }: Someone) =>
  events.flatMap((event) => (event.type === "messageReceived" ? [event.message.text] : []));

/** Time for both, until acknowledgements have come. */
async function pass(ms: number, ...people: Someone[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) for (const { clock } of people) await clock.pass(100);
}

/** Alice and Bob in a conversation Alice began. */
async function pair(more: Partial<ClientParts> = {}) {
  const network = new TestNetwork();
  const [alice, bob] = [await newClient(network, more), await newClient(network)];
  listen(alice);
  listen(bob);
  const { link } = await bob.client.createInvite((await bob.client.createAccount()).id);
  const conversation = await alice.client.acceptInvite((await alice.client.createAccount()).id, link, "hello");
  await pass(5000, alice, bob);
  return { network, alice, bob, id: conversation.id };
}

const fails = (code: ErrorCode) => ({ name: "ChatError", code });
const hasEvents = async (storage: GuardedStorage) => (await storage.secrets.scan("event/", 0)).length;

describe("ChatClient: a conversation", () => {
  test("F1 U1 U2 F2 F4 from a link to delivered messages in both directions", async () => {
    const { alice, bob, id } = await pair();
    expect(textsOf(bob)).toEqual(["hello"]);
    const message = await bob.client.send(id, "welcome");
    expect(message).toMatchObject({ outgoing: true, status: "queued", text: "welcome", conversationId: id });
    await pass(70_000, alice, bob);
    expect(textsOf(alice)).toEqual(["welcome"]);
    expect((await bob.client.message(id, message.id)).status).toBe("delivered");
    expect((await alice.client.messages(id)).map(({ text, status }) => [text, status])).toEqual([
      ["welcome", undefined],
      ["hello", "delivered"],
    ]);
    expect(await alice.client.safetyNumber(id)).toBe(await bob.client.safetyNumber(id));
    expect((await alice.client.conversation(id)).session).toBe("established");
    expect(bob.events.map(({ type }) => type)).toContain("conversationStarted");
  });

  test("F1 F2 several accounts of one client talk to others each for itself; a link between them is INVITE_OWN", async () => {
    const network = new TestNetwork();
    const [alice, bob] = [await newClient(network), await newClient(network)];
    listen(alice);
    listen(bob);
    const accounts = [
      await alice.client.createAccount(),
      await alice.client.createAccount(),
      await alice.client.createAccount(),
    ];
    const { id: bobId } = await bob.client.createAccount();
    for (const [i, { id }] of accounts.entries())
      await alice.client.acceptInvite(id, (await bob.client.createInvite(bobId)).link, `from ${i}`);
    await pass(5000, alice, bob);
    expect(textsOf(bob)).toEqual(["from 0", "from 1", "from 2"]);
    const peers = (await bob.client.conversations()).map(({ peerIdentityKey }) =>
      Buffer.from(peerIdentityKey).toString("hex"),
    );
    expect(peers.toSorted()).toEqual(
      accounts.map(({ identityKey }) => Buffer.from(identityKey).toString("hex")).toSorted(),
    );
    for (const [i, { id }] of accounts.entries()) {
      const [conversation, ...more] = await alice.client.conversations(id);
      expect(more).toEqual([]);
      await bob.client.send(conversation!.id, `to ${i}`);
    }
    await pass(5000, alice, bob);
    const received = alice.events.flatMap((event) =>
      event.type === "messageReceived" ? [[event.accountId, event.message.text]] : [],
    );
    expect(received).toEqual(accounts.map(({ id }, i) => [id, `to ${i}`]));
    const { link } = await alice.client.createInvite(accounts[0]!.id);
    await expect(alice.client.acceptInvite(accounts[1]!.id, link, "to myself")).rejects.toMatchObject(
      fails(ErrorCode.INVITE_OWN),
    );

    await alice.client.deleteAccount(accounts[0]!.id);
    expect(await alice.client.conversations()).toHaveLength(2);
    expect((await alice.client.accounts()).map(({ id }) => id)).toEqual([accounts[1]!.id, accounts[2]!.id]);
  });

  test("F5 basic types, own types and types nobody knows here", async () => {
    const { alice, bob, id } = await pair();
    const Move = new ContentType<{ from: string; to: string }>({
      domain: 0x63686573,
      tag: 1,
      version: 2,
      encode: (move) => new TextEncoder().encode(JSON.stringify(move)),
      decode: (payload) => JSON.parse(new TextDecoder().decode(payload)),
    });
    const first = (await bob.client.messages(id))[0]!;
    await alice.client.send(id, Move.of({ from: "e2", to: "e4" }));
    await alice.client.send(id, Reply.of({ messageId: first.id, text: "an answer" }));
    await alice.client.send(id, Reaction.of({ messageId: first.id, reaction: "👍" }));
    await pass(3000, alice, bob);
    const [reaction, reply, move] = await bob.client.messages(id);
    expect(Move.read(move!)).toEqual({ from: "e2", to: "e4" });
    expect(Text.read(move!)).toBeUndefined();
    expect(
      new ContentType({
        domain: 0x63686573,
        tag: 1,
        version: 1,
        encode: () => new Uint8Array(),
        decode: () => "old",
      }).read(move!),
    ).toBeUndefined();
    expect(reply).toMatchObject({ text: "an answer", refersTo: first.id });
    expect(Reaction.read(reaction!)).toMatchObject({ reaction: "👍" });
    await expect(alice.client.send(id, "")).rejects.toMatchObject(fails(ErrorCode.INVALID_ARGUMENT));
  });

  test("F6 pages, search and unread counts, in a database that is protected and in one that is not", async () => {
    for (const storageKey of [{ unprotected: true as const }, { rawKey: new Uint8Array(32).fill(7) }]) {
      const { alice, bob, id } = await pair({ storageKey });
      for (let i = 1; i <= 30; i++) await bob.client.send(id, i % 10 === 0 ? `Grüße, Nummer ${i}` : `message ${i}`);
      await pass(3000, alice, bob);
      expect(await alice.client.unreadCount(id)).toBe(30);
      const all: string[] = [];
      let before: { id: string; lamport: bigint } | undefined;
      for (;;) {
        const page = await alice.client.messages(id, { limit: 7, ...(before && { before }) });
        if (page.length === 0) break;
        all.push(...page.map(({ text }) => text!));
        before = page.at(-1)!;
      }
      expect(all).toHaveLength(31);
      expect([all[0], all.at(-1)]).toEqual(["Grüße, Nummer 30", "hello"]);
      const found = async (query: string, options = {}) =>
        (await alice.client.search(query, options)).map(({ text }) => text);
      expect(await found("grusse num")).toEqual([]);
      expect(await found("gruße num")).toEqual(["Grüße, Nummer 30", "Grüße, Nummer 20", "Grüße, Nummer 10"]);
      expect(await found("nummer", { limit: 2 })).toHaveLength(2);
      expect(await found("message 7", { conversationId: id })).toEqual(["message 7"]);
      expect(await found("message 7", { conversationId: "none" })).toEqual([]);
      await alice.client.markRead(id, (await alice.client.messages(id, { limit: 1 }))[0]!.id);
      expect(await alice.client.unreadCount(id)).toBe(0);
      await pass(3000, alice, bob);
      expect(
        (await bob.client.messages(id, { limit: 100 }))
          .filter(({ outgoing }) => outgoing)
          .every(({ status }) => status === "read"),
      ).toBe(true);
    }
  });

  test("F6 F7 a protected database shows neither texts nor the peer to who reads the file", async () => {
    const { alice, id } = await pair({ storageKey: { rawKey: new Uint8Array(32).fill(7) } });
    await alice.client.send(id, "a secret");
    const row = (await alice.storage.messages.page({ conversationId: id, limit: 1 }))[0]!;
    expect(row.text).toBeUndefined();
    expect(Buffer.from(row.payload).includes("a secret")).toBe(false);
    const [conversation] = await alice.client.conversations();
    expect(
      Buffer.from((await alice.storage.messages.conversation(id))!.peerIdentityKey).includes(
        Buffer.from(conversation!.peerIdentityKey),
      ),
    ).toBe(false);
    expect((await alice.client.messages(id))[0]!.text).toBe("a secret");
  });

  test("F4 a message taken back is failed, with the reason", async () => {
    const { network, alice, id } = await pair();
    network.reachable = false;
    const { id: messageId } = await alice.client.send(id, "not this");
    await alice.client.cancel(id, messageId);
    expect(await alice.client.message(id, messageId)).toMatchObject({ status: "failed", failureReason: "cancelled" });
    await expect(alice.client.cancel(id, messageId)).rejects.toMatchObject(fails(ErrorCode.MESSAGE_NOT_FOUND));
  });

  test("what is not there is told by its own code", async () => {
    const { alice, bob, id } = await pair();
    const { client } = alice;
    await expect(client.conversation("none")).rejects.toMatchObject(fails(ErrorCode.CONVERSATION_NOT_FOUND));
    await expect(client.send("none", "x")).rejects.toMatchObject(fails(ErrorCode.CONVERSATION_NOT_FOUND));
    await expect(client.message(id, "none")).rejects.toMatchObject(fails(ErrorCode.MESSAGE_NOT_FOUND));
    await expect(client.createInvite("none")).rejects.toMatchObject(fails(ErrorCode.ACCOUNT_NOT_FOUND));
    await expect(client.revokeInvite("none")).rejects.toMatchObject(fails(ErrorCode.INVITE_NOT_FOUND));
    await expect(client.messages(id, { limit: 0 })).rejects.toMatchObject(fails(ErrorCode.INVALID_ARGUMENT));
    const account = (await client.defaultAccount()).id;
    for (const validForMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, 400 * 24 * 3600 * 1000]) {
      await expect(client.createInvite(account, { validForMs })).rejects.toMatchObject(
        fails(ErrorCode.INVALID_ARGUMENT),
      );
    }
    await expect(client.inspectInvite("hello")).rejects.toMatchObject(fails(ErrorCode.INVALID_INVITE));
    await expect(client.acceptInvite(account, (await client.createInvite(account)).link, "x")).rejects.toMatchObject(
      fails(ErrorCode.INVITE_OWN),
    );
    const reusable = await bob.client.createInvite((await bob.client.defaultAccount()).id, { reusable: true });
    await client.acceptInvite(account, reusable.link, "once");
    await expect(client.acceptInvite(account, reusable.link, "twice")).rejects.toMatchObject(
      fails(ErrorCode.INVITE_ALREADY_ACCEPTED),
    );
    await expect(client.acceptRepair(id)).rejects.toMatchObject(fails(ErrorCode.NO_REPAIR_PENDING));
  });

  test("F1 asking for the default account twice at once makes one", async () => {
    const { client } = await newClient(new TestNetwork());
    const [first, second] = await Promise.all([client.defaultAccount(), client.defaultAccount()]);
    expect(second.id).toBe(first.id);
    expect(await client.accounts()).toHaveLength(1);
    expect((await client.defaultAccount()).id).toBe(first.id);
  });
});

describe("ChatClient: events", () => {
  test("F4 R1 events not dealt with come again after a restart, under the same numbers; those dealt with do not", async () => {
    const { network, alice, bob, id } = await pair();
    await bob.client.close();
    for (const text of ["1", "2", "3"]) await alice.client.send(id, text);
    await pass(1000, alice);

    // Bob's program takes two events and is killed: nothing is closed.
    const killed = await newClient(network, { storage: bob.storage });
    const taken: ChatEvent[] = [];
    for await (const event of killed.client.events()) {
      if (event.number === 0n) continue;
      taken.push(event);
      if (taken.length === 2) break;
    }
    expect(taken.map((event) => event.type === "messageReceived" && event.message.text)).toEqual(["1", "2"]);
    await killed.clock.pass(100);
    await killed.transport.stop();

    const again = await newClient(network, { storage: bob.storage });
    listen(again);
    await settled();
    const replayed = again.events.filter(({ number }) => number !== 0n);
    expect(textsOf(again)).toEqual(["2", "3"]);
    expect(replayed.map(({ number }) => number)).toEqual([taken[1]!.number, taken[1]!.number + 1n]);
    expect(replayed[0]).toEqual(taken[1]);
    await again.client.close();
    const last = await newClient(network, { storage: bob.storage });
    listen(last);
    await settled();
    expect(last.events.filter(({ number }) => number !== 0n)).toEqual([]);
  });

  test("F4 an event is forgotten when all loops have asked for the next one", async () => {
    const { alice, bob, id } = await pair();
    await bob.clock.pass(100);
    expect(await hasEvents(bob.storage)).toBe(0);
    const slow = bob.client.events()[Symbol.asyncIterator]();
    const first = slow.next();
    await alice.client.send(id, "one");
    await alice.client.send(id, "two");
    await pass(1000, alice, bob);
    expect((await first).value).toMatchObject({ type: "messageReceived", message: { text: "one" } });
    expect(textsOf(bob)).toEqual(["hello", "one", "two"]);
    expect(await hasEvents(bob.storage)).toBe(2);
    await slow.next();
    await bob.clock.pass(100);
    expect(await hasEvents(bob.storage)).toBe(1);
    void slow.next();
    await bob.clock.pass(100);
    expect(await hasEvents(bob.storage)).toBe(0);
  });

  test("F4 close ends the loops; what a loop was done with is forgotten, the one it was at comes again", async () => {
    const { network, alice, bob, id } = await pair();
    await bob.client.close();
    await alice.client.send(id, "one");
    await alice.client.send(id, "two");
    const again = await newClient(network, { storage: bob.storage });
    const seen: ChatEvent[] = [];
    for await (const event of again.client.events()) {
      if (event.number === 0n) continue;
      seen.push(event);
      if (seen.length === 2) await again.client.close();
    }
    expect(seen).toHaveLength(2);
    await again.client.close();
    const last = await newClient(network, { storage: bob.storage });
    listen(last);
    await settled();
    expect(textsOf(last)).toEqual(["two"]);
  });

  test("a signal ends a loop, and no other", async () => {
    const { alice, bob, id } = await pair();
    const abort = new AbortController();
    const ended = (async () => {
      for await (const _ of bob.client.events({ signal: abort.signal }));
    })();
    abort.abort();
    await ended;
    await alice.client.send(id, "still heard");
    await pass(500, alice, bob);
    expect(textsOf(bob)).toContain("still heard");
  });

  test("`connectionChanged` agrees with `online`, and is never stored", async () => {
    const { network, bob } = await pair();
    const seen = bob.events.filter(({ type }) => type === "connectionChanged").length;
    const states: boolean[] = [];
    network.reachable = false;
    states.push(bob.client.online);
    network.reachable = true;
    states.push(bob.client.online);
    await settled();
    expect(states).toEqual([false, true]);
    const changes = bob.events.filter((event) => event.type === "connectionChanged").slice(seen);
    expect(changes).toEqual([
      { number: 0n, type: "connectionChanged", online: false },
      { number: 0n, type: "connectionChanged", online: true },
    ]);
  });
});

describe("ChatClient: opening", () => {
  /** Fails to open; the parts must be released. */
  async function refused(more: Partial<ClientParts>) {
    const used = parts(new TestNetwork(), more);
    let anchorClosed = !more.anchor;
    if (more.anchor) {
      more.anchor.close = async () => {
        anchorClosed = true;
      };
    }
    const error = await ChatClient.open(used).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ChatError);
    expect((used.storage as GuardedStorage).closed, "storage closed").toBe(true);
    expect((used.transport as TestTransport).stopped, "transport stopped").toBe(true);
    expect(anchorClosed, "anchor closed").toBe(true);
    return error as ChatError;
  }

  const anchorAt = (generation: bigint): RollbackAnchor => ({ read: async () => generation, write: async () => {} });

  test("F7 every failure has its code, and releases storage, transport and anchor", async () => {
    const storage = new GuardedStorage();
    const made = await ChatClient.open(
      parts(new TestNetwork(), { storage, storageKey: { rawKey: new Uint8Array(32).fill(1) } }),
    );
    await made.createAccount();
    await made.close();
    const reopened = () => new GuardedStorage(storage.inner);
    const rawKey = new Uint8Array(32).fill(1);
    expect(
      (await refused({ storage: reopened(), storageKey: { rawKey: new Uint8Array(32) }, anchor: anchorAt(0n) })).code,
    ).toBe(ErrorCode.WRONG_KEY);
    expect((await refused({ storage: reopened(), storageKey: { rawKey }, anchor: anchorAt(99n) })).code).toBe(
      ErrorCode.STATE_ROLLED_BACK,
    );
    expect((await refused({ storage: reopened(), storageKey: { rawKey }, protocol: { bucketCount: 1e6 } })).code).toBe(
      ErrorCode.INVALID_ARGUMENT,
    );

    const transport = new TestTransport();
    transport.start = () => Promise.reject(new ChatError(ErrorCode.TRANSPORT_FAILED, "peers: none"));
    expect((await refused({ storage: reopened(), storageKey: { rawKey }, transport })).code).toBe(
      ErrorCode.TRANSPORT_FAILED,
    );

    const unwritable = reopened();
    unwritable.guard = () => {
      throw new ChatError(ErrorCode.STORAGE_FULL, "no space is left");
    };
    const started = new TestTransport();
    expect((await refused({ storage: unwritable, storageKey: { rawKey }, transport: started })).code).toBe(
      ErrorCode.STORAGE_FULL,
    );
    expect(started.calls.filter((call) => call !== "start" && call !== "stop")).toEqual([]);

    const records = new MemoryStorage();
    await records.commit([
      {
        $typeName: "chatsdk.v1.Change",
        change: { case: "put", value: { $typeName: "chatsdk.v1.Record", key: "state", value: new Uint8Array(50) } },
      },
    ]);
    expect((await refused({ storage: new GuardedStorage(records) })).code).toBe(ErrorCode.DATABASE_CORRUPT);

    const well = await ChatClient.open(parts(new TestNetwork(), { storage: reopened(), storageKey: { rawKey } }));
    expect(await well.accounts()).toHaveLength(1);
    await well.close();
  });

  test("F7 the key can be changed: the new one opens, the old one no longer does, and a wrong old one changes nothing", async () => {
    const storage = new GuardedStorage();
    const [first, second, wrong] = [1, 2, 3].map((byte) => ({ rawKey: new Uint8Array(32).fill(byte) })) as [
      { rawKey: Uint8Array },
      { rawKey: Uint8Array },
      { rawKey: Uint8Array },
    ];
    const reopen = (storageKey: ClientParts["storageKey"]) =>
      ChatClient.open(parts(new TestNetwork(), { storage: new GuardedStorage(storage.inner), storageKey }));
    const made = await ChatClient.open(parts(new TestNetwork(), { storage, storageKey: first }));
    const { id } = await made.createAccount();
    await expect(made.changeStorageKey(wrong, second)).rejects.toMatchObject(fails(ErrorCode.WRONG_KEY));
    await expect(made.changeStorageKey(first, { unprotected: true })).rejects.toMatchObject(
      fails(ErrorCode.INVALID_ARGUMENT),
    );
    await made.changeStorageKey(first, second);
    await made.close();
    await expect(reopen(first)).rejects.toMatchObject(fails(ErrorCode.WRONG_KEY));
    const again = await reopen(second);
    expect((await again.accounts()).map((account) => account.id)).toEqual([id]);
    await again.close();
  });

  test("a failure to release does not hide why opening failed", async () => {
    const logger = new TestLogger();
    const transport = new TestTransport();
    transport.stop = () => Promise.reject(new Error("cannot stop"));
    const storage = new GuardedStorage();
    await expect(
      ChatClient.open(
        parts(new TestNetwork(), { storage, transport, logger, storageKey: { rawKey: new Uint8Array(3) } }),
      ),
    ).rejects.toMatchObject(fails(ErrorCode.INVALID_ARGUMENT));
    expect(storage.closed).toBe(true);
    expect(logger.warnings.join()).toContain("cannot stop");
  });

  test("F4 a transport that delivers while it starts: events that wait come first, and nothing comes twice", async () => {
    const { network, alice, bob, id } = await pair();
    await bob.client.close();
    await alice.client.send(id, "before");
    const between = await newClient(network, { storage: bob.storage });
    await settled();
    // Ends without having shown anything: the event waits.
    await between.client.close();
    await alice.client.send(id, "meanwhile");
    const late = network.published.at(-1)!;
    const transport = new TestTransport(network);
    const start = transport.start.bind(transport);
    transport.start = async (listener) => {
      await start(listener);
      listener.onMessage(late);
      await settled();
    };
    const again = await newClient(network, { storage: bob.storage, transport });
    listen(again);
    await settled();
    expect(textsOf(again)).toEqual(["before", "meanwhile"]);
    const numbers = again.events.map(({ number }) => number).filter((number) => number !== 0n);
    expect(numbers).toEqual([numbers[0], numbers[0]! + 1n]);
  });

  test("F7 an accepted rollback marks the sessions lost", async () => {
    const { network, alice, id } = await pair();
    await alice.client.close();
    const again = await newClient(network, { storage: alice.storage, anchor: anchorAt(10_000n), acceptRollback: true });
    expect((await again.client.conversation(id)).session).toBe("lost");
    await expect(again.client.send(id, "x")).rejects.toMatchObject(fails(ErrorCode.SESSION_LOST));
  });
});

describe("ChatClient: aborting and closing", () => {
  test("a call with an aborted signal is ABORTED and changes nothing", async () => {
    const { alice, id } = await pair();
    const signal = AbortSignal.abort();
    await expect(alice.client.send(id, "never", { signal })).rejects.toMatchObject(fails(ErrorCode.ABORTED));
    await expect(alice.client.createAccount({ signal })).rejects.toMatchObject(fails(ErrorCode.ABORTED));
    expect(await alice.client.accounts()).toHaveLength(1);
    expect((await alice.client.messages(id)).map(({ text }) => text)).toEqual(["hello"]);
  });

  test("after close every call is CLOSED, close does nothing more, and no timer is left", async () => {
    const { alice, id } = await pair();
    const sending = alice.client.send(id, "the last");
    await Promise.all([alice.client.close(), alice.client.close()]);
    expect((await sending).text).toBe("the last");
    expect(alice.transport.calls.filter((call) => call === "stop")).toHaveLength(1);
    expect(alice.clock.waiting).toEqual([]);
    await expect(alice.client.send(id, "later")).rejects.toMatchObject(fails(ErrorCode.CLOSED));
    await expect(alice.client.accounts()).rejects.toMatchObject(fails(ErrorCode.CLOSED));
    for await (const _ of alice.client.events()) expect.unreachable();
  });

  test("`await using` closes", async () => {
    const used = parts(new TestNetwork());
    {
      await using client = await ChatClient.open(used);
      await client.createAccount();
    }
    expect((used.storage as GuardedStorage).closed).toBe(true);
  });
});
