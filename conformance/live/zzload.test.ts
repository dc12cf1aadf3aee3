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
const bytesContent = (payload: Uint8Array) => ({ $typeName: "chatsdk.v1.Content" as const, domain: 77, tag: 1, version: 1, payload });
const megabytes = (bytes: number) => (bytes / MEGABYTE).toFixed(1);

describe("load", () => {
  test("F2 F4 5 MB in one message, over the live node, to a client that listens and to one that comes later", async () => {
    const { folder, peers } = await network();
    const [alice, bob] = await Promise.all([LocalClient.open(folder, "alice", { peers, protocol }), LocalClient.open(folder, "bob", { peers, protocol })]);
    const id = await meet(alice, bob);
    const contents = [randomBytes(15 * MEGABYTE), randomBytes(15 * MEGABYTE)];
    const log: string[] = [];
    const sendAndTime = async (content: Uint8Array, receive: () => Promise<LocalClient>) => {
      const began = performance.now();
      const { id: messageId } = await alice.client.send(id, bytesContent(content));
      const stored = performance.now();
      await alice.client.send(id, "after it");
      const to = await receive();
      await until(() => to.texts.at(-1) === "after it" && to.received.at(-2)?.domain === 77, () => "the content and what follows it have arrived", 400_000);
      const arrived = performance.now();
      const message = to.received.at(-2)!;
      expect(message.id).toBe(messageId);
      expect(Buffer.compare(message.payload, content)).toBe(0);
      await until(() => alice.withStatus("delivered").includes(messageId), () => "Alice knows", 400_000);
      log.push(`${megabytes(content.length)} MB: stored after ${Math.round(stored - began)} ms, arrived after ${Math.round(arrived - began)} ms, delivered after ${Math.round(performance.now() - began)} ms`);
    };
    await sendAndTime(contents[0]!, async () => bob);
    await bob.close();
    await sendAndTime(contents[1]!, async () => {
      const sentIds = (await alice.client.messages(id, { limit: 2 })).map((message) => message.id);
      await until(() => sentIds.every((sent) => alice.withStatus("sent").includes(sent)), () => "the node took all", 60_000);
      return LocalClient.open(folder, "bob", { peers, protocol });
    });
    // No part is left behind.
    expect((await alice.client.messages(id, { limit: 100 })).filter(({ outgoing, status }) => outgoing && status !== "delivered")).toEqual([]);
    await expect(alice.client.send(id, bytesContent(new Uint8Array(17 * MEGABYTE)))).rejects.toMatchObject({ code: ErrorCode.CONTENT_TOO_LARGE });
    await alice.client.send(id, Text.of({ text: "x".repeat(MEGABYTE) }));
    console.log(log.join("\n"));
  });

});
