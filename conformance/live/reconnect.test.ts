import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ProtocolSettings } from "@chatsdk/client";
import { beforeAll, describe, expect, test } from "vitest";
import { notesOf } from "./support/diary.ts";
import { person, ServiceNode, temporaryFolder } from "./support/network.ts";
import { compilePackages, type Person, until } from "./support/person.ts";

beforeAll(compilePackages);

const protocol: ProtocolSettings = {
  ackDelayMs: 300,
  ackIntervalMs: 1000,
  resendAfterMs: 3000,
  gapDelayMs: 500,
  historyIntervalMs: 5000,
};

/** A conversation both know. */
async function meet(alice: Person, bob: Person): Promise<string> {
  await Promise.all([alice.start(), bob.start()]);
  const { link } = await bob.call("createInvite", (await bob.call("defaultAccount")).id);
  const { id } = await alice.call("acceptInvite", (await alice.call("defaultAccount")).id, link, "hello");
  await until(
    () => bob.received.length === 1,
    () => "Bob has the first message",
  );
  return id;
}

/** Sends one after the other until told to stop; returns what was sent. */
function chatter(one: Person, conversationId: string, everyMs: number) {
  const sent: string[] = [];
  let going = true;
  const ended = (async () => {
    for (let i = 1; going; i++) {
      const text = `${one.name} ${i}`;
      await one.call("send", conversationId, text);
      sent.push(text);
      await pause(everyMs);
    }
  })();
  return {
    sent,
    async stop() {
      going = false;
      await ended;
    },
  };
}

function connection(one: Person): boolean[] {
  return one.events.flatMap((event) => (event.type === "connectionChanged" ? [event.online] : []));
}

/** Everything sent has arrived once, and the sender knows. */
async function expectAll(from: Person, to: Person, conversationId: string, sent: readonly string[]): Promise<void> {
  const undelivered = async () =>
    (await from.call("messages", conversationId, { limit: 1000 })).filter(
      ({ outgoing, status }) => outgoing && status !== "delivered",
    );
  await until(
    async () => (await undelivered()).length === 0,
    () => `all of ${from.name}'s messages are delivered`,
    120_000,
    200,
  );
  // What the other process has shown may reach this one later than the sender's word.
  await until(
    () => sent.every((text) => to.received.some((message) => message.text === text)),
    () => `${to.name} has been shown all of ${from.name}'s messages`,
  );
  const texts = to.received.map(({ text }) => text);
  expect(texts.toSorted()).toEqual(sent.toSorted());
  // R1: what was reported missing came after all, and says so; without such a report the order was never broken.
  const missing = to.events.flatMap((event) => (event.type === "messagesMissing" ? event.messageIds : []));
  const recovered = to.events.flatMap((event) =>
    event.type === "messageReceived" && event.recovered ? [event.message.id] : [],
  );
  expect(recovered.toSorted()).toEqual(missing.toSorted());
  if (missing.length === 0) expect(texts).toEqual(sent);
  const stored = (await to.call("messages", conversationId, { limit: 1000 }))
    .filter(({ outgoing }) => !outgoing)
    .reverse();
  expect(stored.map(({ text }) => text)).toEqual(sent);
  expect(to.events.filter(({ type }) => type === "messagesLost")).toEqual([]);
}

describe("a service node that goes away", () => {
  test("R1 F4 the node is restarted three times under two clients in the middle of a conversation: nothing is lost, and `connectionChanged` tells the truth", async () => {
    const folder = temporaryFolder();
    const node = await ServiceNode.start({ store: join(folder, "node.db") });
    const [alice, bob] = [
      person("alice", folder, { peers: [node.websocket], protocol }),
      person("bob", folder, { peers: [node.websocket], protocol }),
    ];
    const id = await meet(alice, bob);
    const both = [alice, bob];
    const talking = both.map((one) => chatter(one, id, 100));
    const expected = [true];
    for (const how of ["kill", "stop", "kill"] as const) {
      await pause(1500);
      expect(both.map(connection)).toEqual([expected, expected]);
      expect(await Promise.all(both.map((one) => one.online()))).toEqual([true, true]);
      await node[how]();
      await until(
        () => both.every((one) => connection(one).at(-1) === false),
        () => "both know that they are offline",
      );
      expect(await Promise.all(both.map((one) => one.online()))).toEqual([false, false]);
      // Offline nothing is taken by a node.
      const sentBefore = both.map((one) => one.withStatus("sent").length);
      await pause(1500);
      expect(both.map((one) => one.withStatus("sent").length)).toEqual(sentBefore);
      await node.restart();
      await until(
        () => both.every((one) => connection(one).at(-1) === true),
        () => "both know that they are online",
      );
      expected.push(false, true);
    }
    await pause(1500);
    await Promise.all(talking.map((one) => one.stop()));
    await expectAll(alice, bob, id, ["hello", ...talking[0]!.sent]);
    await expectAll(bob, alice, id, talking[1]!.sent);
    expect(both.map(connection)).toEqual([expected, expected]);
    await Promise.all(both.map((one) => one.close()));
  });

  test("R1 F4 a node that forgets everything it kept: the sender sends again what the recipient never got", async () => {
    const folder = temporaryFolder();
    const node = await ServiceNode.start();
    const [alice, bob] = [
      person("alice", folder, { peers: [node.websocket], protocol }),
      person("bob", folder, { peers: [node.websocket], protocol }),
    ];
    const id = await meet(alice, bob);
    await until(
      () => alice.withStatus("delivered").length === 1,
      () => "the first message is delivered",
    );
    await bob.close();
    const sent = Array.from({ length: 30 }, (_, i) => `kept by nobody ${i}`);
    const ids: string[] = [];
    for (const text of sent) ids.push((await alice.call("send", id, text)).id);
    await until(
      () => ids.every((one) => alice.withStatus("sent").includes(one)),
      () => "the node took all",
    );
    await node.kill();
    await node.restart();
    const published = notesOf(alice.notes, "publish").length;
    await bob.start();
    await expectAll(alice, bob, id, ["hello", ...sent]);
    expect(notesOf(alice.notes, "publish").length).toBeGreaterThan(published);
    expect(
      new Set(
        notesOf(alice.notes, "publish")
          .slice(published)
          .map(({ digest }) => digest),
      ).size,
    ).toBeGreaterThanOrEqual(30);
    await Promise.all([alice.close(), bob.close()]);
  });

  test("R1 F2 F4 two linked nodes: Alice at one, Bob at the other, whose node is killed in the middle", async () => {
    const folder = temporaryFolder();
    const nodeA = await ServiceNode.start({ store: join(folder, "a.db") });
    const nodeB = await ServiceNode.start({ store: join(folder, "b.db"), peers: [nodeA.tcp] });
    const [alice, bob] = [
      person("alice", folder, { peers: [nodeA.websocket], protocol }),
      person("bob", folder, { peers: [nodeB.websocket], protocol }),
    ];
    const id = await meet(alice, bob);
    const talking = [chatter(alice, id, 100), chatter(bob, id, 100)];
    await pause(2000);
    expect(bob.received.length).toBeGreaterThan(5);
    expect(alice.received.length).toBeGreaterThan(5);
    await nodeB.kill();
    await until(
      () => connection(bob).at(-1) === false,
      () => "Bob knows that he is offline",
    );
    // What Alice sends now, Bob's node never sees.
    await pause(3000);
    await nodeB.restart();
    await until(
      () => connection(bob).at(-1) === true,
      () => "Bob is online again",
    );
    await pause(3000);
    await Promise.all(talking.map((one) => one.stop()));
    await expectAll(alice, bob, id, ["hello", ...talking[0]!.sent]);
    await expectAll(bob, alice, id, talking[1]!.sent);
    // Alice's node was there all the time.
    expect(connection(alice)).toEqual([true]);
    expect(connection(bob)).toEqual([true, false, true]);
    await Promise.all([alice.close(), bob.close()]);
  });

  test("F4 two nodes in the list: when one is killed, messages go on through the other, and nobody is told of a lost connection", async () => {
    const folder = temporaryFolder();
    const nodeA = await ServiceNode.start({ store: join(folder, "a.db") });
    const nodeB = await ServiceNode.start({ store: join(folder, "b.db"), peers: [nodeA.tcp] });
    const peers = [nodeA.websocket, nodeB.websocket];
    const [alice, bob] = [person("alice", folder, { peers, protocol }), person("bob", folder, { peers, protocol })];
    const id = await meet(alice, bob);
    const talking = [chatter(alice, id, 100), chatter(bob, id, 100)];
    await pause(2000);
    await nodeB.kill();
    await pause(4000);
    await Promise.all(talking.map((one) => one.stop()));
    await expectAll(alice, bob, id, ["hello", ...talking[0]!.sent]);
    await expectAll(bob, alice, id, talking[1]!.sent);
    expect([connection(alice), connection(bob)]).toEqual([[true], [true]]);
    await Promise.all([alice.close(), bob.close()]);
  });
});
