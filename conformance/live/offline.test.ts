import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { notesOf } from "./support/diary.ts";
import { person, ServiceNode, temporaryFolder } from "./support/network.ts";
import { compilePackages, type Person, until } from "./support/person.ts";

beforeAll(compilePackages);

const COUNT = 50;
const texts = Array.from({ length: COUNT }, (_, i) => `message ${i + 1}`);

async function network() {
  const folder = temporaryFolder();
  const node = await ServiceNode.start({ store: join(folder, "node.db") });
  const peers = [node.websocket];
  return { node, alice: person("alice", folder, { peers }), bob: person("bob", folder, { peers }) };
}

/** Bob makes a link, and his process ends. */
async function linkOf(bob: Person): Promise<string> {
  await bob.start();
  const { id } = await bob.call("defaultAccount");
  const { link } = await bob.call("createInvite", id);
  await bob.close();
  expect(bob.running).toBe(false);
  return link;
}

/** Alice, who never met Bob, accepts and sends; returns what she sent, once a node has taken it all. */
async function acceptAndSend(alice: Person, link: string): Promise<{ conversationId: string; ids: string[] }> {
  await alice.start();
  const { id: accountId } = await alice.call("defaultAccount");
  const conversation = await alice.call("acceptInvite", accountId, link, texts[0] as string);
  for (const text of texts.slice(1)) await alice.call("send", conversation.id, text);
  await until(
    () => alice.withStatus("sent").length === COUNT,
    () => `a node took all (${alice.withStatus("sent").length})`,
  );
  const stored = (await alice.call("messages", conversation.id, { limit: 1000 })).reverse();
  expect(stored.map(({ text }) => text)).toEqual(texts);
  return { conversationId: conversation.id, ids: stored.map(({ id }) => id) };
}

function arrived(person: Person, from: "subscription" | "history"): number {
  return notesOf(person.notes, "arrived")
    .filter((note) => note.from === from)
    .reduce((sum, { count }) => sum + count, 0);
}

async function expectAll(bob: Person, ids: readonly string[], conversationId: string): Promise<void> {
  await until(
    () => bob.received.length >= COUNT,
    () => `Bob has all (${bob.received.length})`,
  );
  expect(bob.received.map(({ id }) => id)).toEqual(ids);
  expect(bob.received.map(({ text }) => text)).toEqual(texts);
  expect(bob.events.filter(({ type }) => type === "conversationStarted")).toHaveLength(1);
  expect(bob.events.filter(({ type }) => type === "messagesMissing" || type === "messagesLost")).toEqual([]);
  const stored = await bob.call("messages", conversationId, { limit: 1000 });
  expect(stored.reverse().map(({ id }) => id)).toEqual(ids);
  expect(await bob.call("unreadCount", conversationId)).toBe(COUNT);
}

describe("the recipient is not online", () => {
  test("U1 F4 Alice accepts a link and sends 50 messages while Bob's process does not run; Bob gets all, in order, once, from Store; Alice sees 50 delivered", async () => {
    const { alice, bob } = await network();
    const { conversationId, ids } = await acceptAndSend(alice, await linkOf(bob));
    expect(alice.withStatus("delivered")).toEqual([]);
    expect((await alice.call("conversation", conversationId)).session).toBe("awaitingReply");
    const published = notesOf(alice.notes, "publish");
    expect(new Set(published.map(({ digest }) => digest)).size).toBe(COUNT);

    await bob.start();
    await expectAll(bob, ids, conversationId);
    expect(arrived(bob, "history")).toBeGreaterThanOrEqual(COUNT);

    await until(
      () => alice.withStatus("delivered").length >= COUNT,
      () => `Alice knows (${alice.withStatus("delivered").length})`,
    );
    expect(alice.withStatus("delivered").sort()).toEqual([...ids].sort());
    // Alice sent nothing since: what Bob has is what the store kept.
    expect(notesOf(alice.notes, "publish")).toHaveLength(published.length);
    const stored = await alice.call("messages", conversationId, { limit: 1000 });
    expect(new Set(stored.map(({ status }) => status))).toEqual(new Set(["delivered"]));
    expect((await alice.call("conversation", conversationId)).session).toBe("established");
    await Promise.all([alice.close(), bob.close()]);
  });

  test("U1 F4 the two are never online at the same time: Alice's process has ended when Bob reads and answers; she learns of delivery and answer later", async () => {
    const { alice, bob } = await network();
    const { conversationId, ids } = await acceptAndSend(alice, await linkOf(bob));
    await alice.close();

    await bob.start();
    await expectAll(bob, ids, conversationId);
    expect(arrived(bob, "subscription")).toBe(0);
    const answer = await bob.call("send", conversationId, "answer");
    await until(
      () => bob.withStatus("sent").includes(answer.id),
      () => "a node took the answer",
    );
    await bob.close();

    const before = alice.events.length;
    const published = notesOf(alice.notes, "published").length;
    // Her own, if the two share a bucket.
    const pushed = arrived(alice, "subscription");
    await alice.start();
    await until(
      () => alice.received.length === 1 && alice.withStatus("delivered").length === COUNT,
      () => "Alice has the answer and knows of the delivery",
    );
    expect(arrived(alice, "subscription") - pushed).toBe(0);
    expect(alice.received[0]).toMatchObject({ id: answer.id, text: "answer", conversationId });
    expect(alice.withStatus("delivered").sort()).toEqual([...ids].sort());
    expect(alice.events.slice(before).filter(({ type }) => type === "sessionStateChanged")).toMatchObject([
      { session: "established" },
    ]);
    await until(
      () => notesOf(alice.notes, "published").length > published,
      () => "Alice has acknowledged the answer",
    );
    await alice.close();

    await bob.start();
    await until(
      () => bob.withStatus("delivered").includes(answer.id),
      () => "Bob knows that his answer arrived",
    );
    await bob.close();
  });
});
