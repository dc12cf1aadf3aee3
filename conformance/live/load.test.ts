import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { ErrorCode, Text } from "@chatsdk/client";
import { beforeAll, describe, expect, test } from "vitest";
import { LocalClient, meet } from "./support/local-client.ts";
import { person, ServiceNode, temporaryFolder } from "./support/network.ts";
import { compilePackages, type Person, until } from "./support/person.ts";

beforeAll(compilePackages);

const MEGABYTE = 1024 * 1024;
const PAIRS = 6;
const MESSAGES = 50;

async function network() {
  const folder = temporaryFolder();
  const node = await ServiceNode.start({ store: join(folder, "node.db") });
  return { folder, node, peers: [node.websocket] };
}

/** Acknowledgements that nothing rides on come once a minute by default. */
const protocol = { ackIntervalMs: 1000 };
const bytesContent = (payload: Uint8Array) => ({
  $typeName: "chatsdk.v1.Content" as const,
  domain: 77,
  tag: 1,
  version: 1,
  payload,
});
const megabytes = (bytes: number) => (bytes / MEGABYTE).toFixed(1);

describe("load", () => {
  test("F2 F4 4 MB in one message, over the live node, to a client that listens and to one that comes later", async () => {
    const { folder, peers } = await network();
    const [alice, bob] = await Promise.all([
      LocalClient.open(folder, "alice", { peers, protocol }),
      LocalClient.open(folder, "bob", { peers, protocol }),
    ]);
    const id = await meet(alice, bob);
    const contents = [randomBytes(4_000_000), randomBytes(4_000_000)];
    const log: string[] = [];
    const sendAndTime = async (content: Uint8Array, receive: () => Promise<LocalClient>) => {
      const began = performance.now();
      const { id: messageId } = await alice.client.send(id, bytesContent(content));
      const stored = performance.now();
      await alice.client.send(id, "after it");
      const to = await receive();
      await until(
        () => to.texts.at(-1) === "after it" && to.received.at(-2)?.domain === 77,
        () => "the content and what follows it have arrived",
        120_000,
      );
      const arrived = performance.now();
      const message = to.received.at(-2)!;
      expect(message.id).toBe(messageId);
      expect(Buffer.compare(message.payload, content)).toBe(0);
      await until(
        () => alice.withStatus("delivered").includes(messageId),
        () => "Alice knows",
        120_000,
      );
      log.push(
        `${megabytes(content.length)} MB: stored after ${Math.round(stored - began)} ms, arrived after ${Math.round(arrived - began)} ms, delivered after ${Math.round(performance.now() - began)} ms`,
      );
    };
    await sendAndTime(contents[0]!, async () => bob);
    await bob.close();
    await sendAndTime(contents[1]!, async () => {
      const sentIds = (await alice.client.messages(id, { limit: 2 })).map((message) => message.id);
      await until(
        () => sentIds.every((sent) => alice.withStatus("sent").includes(sent)),
        () => "the node took all",
        60_000,
      );
      return LocalClient.open(folder, "bob", { peers, protocol });
    });
    // No part is left behind.
    expect(
      (await alice.client.messages(id, { limit: 100 })).filter(
        ({ outgoing, status }) => outgoing && status !== "delivered",
      ),
    ).toEqual([]);
    await expect(alice.client.send(id, bytesContent(new Uint8Array(5 * MEGABYTE)))).rejects.toMatchObject({
      code: ErrorCode.CONTENT_TOO_LARGE,
    });
    await alice.client.send(id, Text.of({ text: "x".repeat(MEGABYTE) }));
    console.log(log.join("\n"));
  });

  test("F2 F4 12 clients in processes of their own, in 6 pairs at once, 50 messages each", async () => {
    const { folder, peers } = await network();
    const people = Array.from({ length: 2 * PAIRS }, (_, i) => person(`client-${i}`, folder, { peers, protocol }));
    await Promise.all(people.map((one) => one.start()));
    const pairs = Array.from({ length: PAIRS }, (_, i) => [people[2 * i], people[2 * i + 1]] as [Person, Person]);
    const began = Date.now();
    await Promise.all(
      pairs.map(async ([alice, bob]) => {
        const { link } = await bob.call("createInvite", (await bob.call("defaultAccount")).id);
        const { id } = await alice.call("acceptInvite", (await alice.call("defaultAccount")).id, link, "hello");
        await until(
          () => bob.received.length === 1,
          () => "the first message has arrived",
        );
        const texts = (one: Person) => Array.from({ length: MESSAGES }, (_, i) => `${one.name} ${i + 1}`);
        await Promise.all(
          [alice, bob].map(async (one) => {
            for (const text of texts(one)) await one.call("send", id, text);
          }),
        );
        const all = () => bob.received.length === MESSAGES + 1 && alice.received.length === MESSAGES;
        await until(all, () => `all have arrived (${bob.received.length}, ${alice.received.length})`, 120_000);
        expect(bob.received.map(({ text }) => text)).toEqual(["hello", ...texts(alice)]);
        expect(alice.received.map(({ text }) => text)).toEqual(texts(bob));
      }),
    );
    const took = (Date.now() - began) / 1000;
    await until(
      () => people.every((one, i) => one.withStatus("delivered").length >= MESSAGES + (i % 2 === 0 ? 1 : 0)),
      () => `all are delivered (${people.map((one) => one.withStatus("delivered").length).join()})`,
    );
    for (const one of people) {
      expect(one.events.filter(({ type }) => type === "messagesLost" || type === "inviteReused")).toEqual([]);
      expect(await one.call("conversations")).toHaveLength(1);
    }
    console.log(
      `${PAIRS * 2 * MESSAGES + PAIRS} messages of 12 processes arrived within ${took.toFixed(1)} s, all delivered within ${((Date.now() - began) / 1000).toFixed(1)} s`,
    );
    await Promise.all(people.map((one) => one.close()));
  });

  test("F1 F2 several accounts in one process, each in its own conversations, over the live node", async () => {
    const { folder, peers } = await network();
    const [hub, ...others] = await Promise.all(
      ["hub", "one", "two", "three"].map((name) => LocalClient.open(folder, name, { peers })),
    );
    const client = hub!.client;
    const accounts = [await client.createAccount(), await client.createAccount(), await client.createAccount()];
    expect(new Set(accounts.map(({ id }) => id)).size).toBe(3);
    // Half of the conversations each way round.
    const conversations = await Promise.all(
      accounts.map(async ({ id }, i) => {
        const other = others[i]!;
        if (i % 2 === 0) return (await client.acceptInvite(id, await other.link(), `hello ${i}`)).id;
        const { link } = await client.createInvite(id);
        return (await other.client.acceptInvite(await other.accountId(), link, `hello ${i}`)).id;
      }),
    );
    const greeted = (i: number) => (i % 2 === 0 ? others[i]! : hub!).texts.includes(`hello ${i}`);
    await until(
      () => accounts.every((_, i) => greeted(i)),
      () => "the first messages have arrived",
    );
    await Promise.all(
      conversations.map(async (id, i) => {
        for (let n = 1; n <= 20; n++)
          await Promise.all([client.send(id, `to ${i} ${n}`), others[i]!.client.send(id, `from ${i} ${n}`)]);
      }),
    );
    const twenty = (prefix: string) => Array.from({ length: 20 }, (_, i) => `${prefix} ${i + 1}`);
    for (const [i, { id }] of accounts.entries()) {
      const own = () =>
        hub!.events.flatMap((event) =>
          event.type === "messageReceived" && event.accountId === id ? [event.message.text ?? ""] : [],
        );
      const numbered = (texts: string[]) => texts.filter((text) => !text.startsWith("hello"));
      await until(
        () => numbered(own()).length >= 20 && numbered(others[i]!.texts).length >= 20,
        () => `account ${i} has all`,
      );
      expect(numbered(own())).toEqual(twenty(`from ${i}`));
      expect(numbered(others[i]!.texts)).toEqual(twenty(`to ${i}`));
      expect((await client.conversations(id)).map((conversation) => conversation.id)).toEqual([conversations[i]]);
    }
  });
});
