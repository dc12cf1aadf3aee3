import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type ChatMessage, WakuTransport } from "@chatsdk/client";
import { beforeAll, describe, expect, test } from "vitest";
import { seededRandom } from "../src/random.ts";
import { placeOf, type Note, notesOf } from "./support/diary.ts";
import type { Death } from "./support/noted-parts.ts";
import { afterwards, person, ServiceNode, temporaryFolder } from "./support/network.ts";
import { type Fingerprint, fingerprint, keysUsedTwice } from "./support/envelopes.ts";
import { compilePackages, type Person, until } from "./support/person.ts";

beforeAll(compilePackages);

const SEED = Number(process.env["CHATSDK_SEED"] ?? 20_261);
/** Resolved `send`s of each of the two. */
const MESSAGES = 250;
const KILLS = 50;
const NODE_KILLS = 5;
/** Short timers, so that what takes a resend or a repair is over within the test. */
const protocol = {
  ackDelayMs: 300,
  ackIntervalMs: 1000,
  resendAfterMs: 3000,
  gapDelayMs: 500,
  historyIntervalMs: 5000,
};

describe("processes killed at any moment", () => {
  test("F4 R1 F3 500 messages in both directions while the two processes are killed 50 times and the service node 5 times: nothing lost, nothing twice, no key used twice", {
    timeout: 600_000,
  }, async () => {
    const folder = temporaryFolder();
    const node = await ServiceNode.start({ store: join(folder, "node.db") });
    const peers = [node.websocket];
    const alice = person("alice", folder, { peers, protocol, storageKey: { passphrase: "correct horse" } });
    const bob = person("bob", folder, { peers, protocol });
    const conversationId = await meet(alice, bob);
    const began = Date.now();

    const tally = await killAtRandom([alice, bob], node, conversationId, seededRandom(SEED));
    const killing = Date.now() - began;
    for (const one of [alice, bob]) {
      await until(
        async () => (await one.sentCount()) >= MESSAGES,
        () => `${one.name} has sent all`,
      );
    }
    const settled = async () => (await undelivered(alice, conversationId)) + (await undelivered(bob, conversationId));
    await until(
      async () => (await settled()) === 0,
      () => "all messages are delivered",
      120_000,
      500,
    );
    // Whatever else would come has time to.
    await pause(3000);

    const rows = { alice: await rowsOf(alice, conversationId), bob: await rowsOf(bob, conversationId) };
    const topics = (await Promise.all([alice.call("accounts"), bob.call("accounts")]))
      .flat()
      .map(({ deliveryAddress }) => deliveryAddress);
    const stored = await historyOf(node, topics);
    await Promise.all([alice.close(), bob.close()]);

    const published = [...notesOf(alice.notes, "publish"), ...notesOf(bob.notes, "publish")];
    expect(keysUsedTwice([...published, ...stored])).toEqual([]);
    expectExchanged(alice.notes, rows.alice, rows.bob);
    expectExchanged(bob.notes, rows.bob, rows.alice);
    expectShownOnce(alice.notes, rows.alice);
    expectShownOnce(bob.notes, rows.bob);
    // What the node keeps is what the two have published, and all of it was looked at.
    const digests = new Set(published.map(({ digest }) => digest));
    expect(stored.filter(({ digest }) => !digests.has(digest))).toEqual([]);
    expect(stored.length).toBeGreaterThan(2 * MESSAGES);

    const sent = rows.alice.length;
    expect(sent).toBeGreaterThanOrEqual(2 * MESSAGES);
    for (const place of ["start-up", "commit", "send", "publish"])
      expect(tally.get(place) ?? 0, `kills during ${place}`).toBeGreaterThanOrEqual(3);
    console.log(
      `seed ${SEED}: ${sent} messages, ${KILLS} kills (${[...tally].map(([place, count]) => `${place} ${count}`).join(", ")}), ${NODE_KILLS} of the node; ` +
        `${published.length} publications of ${digests.size} envelopes, ${stored.length} in the store; killing took ${seconds(killing)} s, all ${seconds(Date.now() - began)} s`,
    );
  });

  test("U1 F2 F3 both sides are killed in the middle of the set-up, nine times each: every link gives one conversation, and its first message arrives once", {
    timeout: 300_000,
  }, async () => {
    const folder = temporaryFolder();
    const node = await ServiceNode.start({ store: join(folder, "node.db") });
    const peers = [node.websocket];
    const alice = person("alice", folder, { peers, protocol });
    const bob = person("bob", folder, { peers, protocol });
    await Promise.all([alice.start(), bob.start()]);
    const [aliceId, bobId] = [(await alice.call("defaultAccount")).id, (await bob.call("defaultAccount")).id];
    const random = seededRandom(SEED);
    const made: string[] = [];
    const again: number[] = [];
    const places = ["beforeCommit", "inCommit", "afterCommit"] as const;
    for (const [round, [place, commit]] of places
      .flatMap((place) => [1, 2, 3].map((commit) => [place, commit] as const))
      .entries()) {
      const { link } = await bob.call("createInvite", bobId);
      const fraction = random();
      // Bob dies when he takes the set-up in, or soon after; Alice while she makes it, or soon after.
      await bob.die({ place, commit, fraction });
      await alice.die({ place, commit, fraction });
      const first = `first ${round}`;
      await alice.call("acceptInvite", aliceId, link, first).catch(whileKilled(alice));
      await Promise.race([alice.ended(), pause(2000)]);
      if (alice.running) await alice.kill();
      await alice.start();
      const begun = (await alice.call("conversations")).map(({ id }) => id).filter((id) => !made.includes(id));
      expect(begun.length).toBeLessThanOrEqual(1);
      if (begun.length === 0) again.push(round);
      // Nothing is there: the link is as good as new.
      made.push(begun[0] ?? (await alice.call("acceptInvite", aliceId, link, first)).id);
      await Promise.race([bob.ended(), pause(6000)]);
      if (bob.running) await bob.kill();
      await bob.start();
      const known = async () => (await bob.call("conversations")).some(({ id }) => id === made[round]);
      await until(known, () => `Bob knows the conversation of round ${round}`);
      await until(
        async () => (await undelivered(alice, made[round]!)) === 0,
        () => `the first message of round ${round} is delivered`,
      );
    }
    expect((await alice.call("conversations")).map(({ id }) => id).toSorted()).toEqual(made.toSorted());
    expect((await bob.call("conversations")).map(({ id }) => id).toSorted()).toEqual(made.toSorted());
    for (const [round, id] of made.entries()) {
      expect((await bob.call("messages", id)).map(({ text }) => text)).toEqual([`first ${round}`]);
      expect((await alice.call("messages", id)).map(({ text }) => text)).toEqual([`first ${round}`]);
      const answer = await bob.call("send", id, "answer");
      await until(
        () => alice.received.some((message) => message.id === answer.id),
        () => `the answer of round ${round} arrives`,
      );
      expect((await alice.call("conversation", id)).session).toBe("established");
    }
    await Promise.all([alice.close(), bob.close()]);
    expect(bob.events.filter(({ type }) => type === "inviteReused")).toEqual([]);
    for (const one of [alice, bob]) expectOneNumberEach(one.notes);
    expect(keysUsedTwice([alice, bob].flatMap((one) => notesOf(one.notes, "publish")))).toEqual([]);
    console.log(
      `${made.length} set-ups, 18 kills; after ${again.length} of them the link had to be accepted again (rounds ${again.join(", ")})`,
    );
  });
});

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

/** Kills one or the other, and starts it again at once. Returns how many kills hit what. */
async function killAtRandom(
  people: readonly Person[],
  node: ServiceNode,
  conversationId: string,
  random: () => number,
): Promise<Map<string, number>> {
  const tally = new Map<string, number>();
  let nodeKills = 0;
  let nodeBack = Promise.resolve();
  /** More messages with each kill, so that they last until the end; those of one round are sent at once. */
  const streamOf = (one: Person, kill: number) => ({
    conversationId,
    prefix: one.name,
    until: Math.ceil((MESSAGES * (kill + 1)) / (KILLS + 1)),
  });
  const sendMore = (kill: number): void => {
    for (const one of people) void one.stream(streamOf(one, kill)).catch(whileKilled(one));
  };
  for (let kill = 0; kill < KILLS; kill++) {
    const victim = people[Math.floor(random() * people.length)]!;
    if (nodeKills < NODE_KILLS && kill >= (nodeKills + 0.5) * (KILLS / NODE_KILLS)) {
      nodeKills++;
      const downMs = random() * 1500;
      nodeBack = nodeBack.then(() => killNode(node, downMs));
    }
    const kind = random();
    if (kind < 0.3 && kill < KILLS - 1) {
      // Twice: the second time while it starts, and takes in what it missed.
      sendMore(kill);
      await victim.kill();
      count(tally, victim);
      kill++;
      const stream = streamOf(victim, kill);
      if (random() < 0.5) {
        victim.launch({ stream });
        await victim.begun();
        await pause(random() * 400);
      } else {
        victim.launch({ stream, death: deathOf(random, 4) });
        await Promise.race([victim.ended(), pause(4000)]);
      }
    } else if (kind < 0.65) {
      await victim.die(deathOf(random, 12));
      sendMore(kill);
      await Promise.race([victim.ended(), pause(4000)]);
    } else {
      // While the messages go out, or at leisure.
      sendMore(kill);
      await pause(random() < 0.6 ? random() * 40 : random() * 2500);
    }
    await victim.kill();
    count(tally, victim);
    victim.launch({ stream: streamOf(victim, kill) });
    // Else the next kill finds it starting.
    if (random() < 0.8) await Promise.all(people.map((one) => one.opened()));
  }
  await Promise.all([nodeBack, ...people.map((one) => one.opened())]);
  for (const one of people) await one.stream(streamOf(one, KILLS));
  return tally;
}

function deathOf(random: () => number, commits: number): Death {
  const places = ["beforeCommit", "inCommit", "inCommit", "afterCommit"] as const;
  return { place: places[Math.floor(random() * 4)]!, commit: 1 + Math.floor(random() * commits), fraction: random() };
}

function count(tally: Map<string, number>, victim: Person): void {
  for (const place of placeOf(victim.latestNotes)) tally.set(place, (tally.get(place) ?? 0) + 1);
}

async function killNode(node: ServiceNode, downMs: number): Promise<void> {
  await node.kill();
  await pause(downMs);
  await node.restart();
}

async function rowsOf(one: Person, conversationId: string): Promise<ChatMessage[]> {
  const rows = await one.call("messages", conversationId, { limit: 1000 });
  if (rows.length === 1000) throw new Error("more messages than one page");
  return rows;
}

async function undelivered(one: Person, conversationId: string): Promise<number> {
  return (await rowsOf(one, conversationId)).filter(({ outgoing, status }) => outgoing && status !== "delivered")
    .length;
}

/** Everything the node has kept of the application. */
async function historyOf(node: ServiceNode, topics: string[]): Promise<Fingerprint[]> {
  const transport = new WakuTransport({ clusterId: 42, shardCount: 8, peers: [node.websocket] });
  afterwards(() => transport.stop());
  const online = Promise.withResolvers<void>();
  await transport.start({ onMessage() {}, onConnection: (is) => is && online.resolve() });
  await transport.subscribe(topics);
  await online.promise;
  const found: Fingerprint[] = [];
  const all = { topics, startMs: 0, endMs: Date.now() + 60_000 };
  for await (const page of transport.queryHistory(all, { signal: AbortSignal.timeout(60_000) })) {
    found.push(...page.map(({ payload }) => fingerprint(payload)));
  }
  return found;
}

/** What one sent is with the other exactly once. */
function expectExchanged(notes: readonly Note[], ours: readonly ChatMessage[], theirs: readonly ChatMessage[]): void {
  const outgoing = ours.filter(({ outgoing: is }) => is);
  const incoming = theirs.filter(({ outgoing: is }) => !is);
  expect(notesOf(notes, "refused")).toEqual([]);
  expect(new Set(outgoing.map(({ status }) => status))).toEqual(new Set(["delivered"]));
  // By id and by text, in the same order; an id appears once in a table with a unique key.
  const listed = (rows: readonly ChatMessage[]) => rows.map(({ id, text }) => `${id} ${text}`);
  expect(listed(incoming)).toEqual(listed(outgoing));
  expect(new Set(incoming.map(({ text }) => text)).size).toBe(incoming.length);

  const there = new Set(listed(incoming));
  const resolved = notesOf(notes, "sent");
  expect(resolved.filter(({ id, text }) => !there.has(`${id} ${text}`))).toEqual([]);
  // Sends whose process died before they resolved may be there: nothing else is.
  const tried = new Set(notesOf(notes, "trying").map(({ text }) => text));
  expect(incoming.filter(({ text }) => text !== "hello" && !tried.has(text ?? ""))).toEqual([]);
  // A stream arrives in the order in which it was sent.
  const numbers = [...incoming]
    .reverse()
    .flatMap(({ text }) => (text === "hello" ? [] : [Number(text?.split("-")[1])]));
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
}

/** Each event has one number and comes again under it alone; none is left out. Returns what was shown: "type id text". */
function expectOneNumberEach(notes: readonly Note[]): string[] {
  const byNumber = new Map<string, string>();
  const numberOf = new Map<string, string>();
  for (const event of notesOf(notes, "event")) {
    if (event.number === "0") continue;
    const said = `${event.type} ${event.about}`;
    expect(byNumber.get(event.number) ?? said, `event ${event.number}`).toBe(said);
    byNumber.set(event.number, said);
    if (event.messageId === undefined) continue;
    const subject = `${event.type} ${event.messageId} ${event.text}`;
    expect(numberOf.get(subject) ?? event.number, subject).toBe(event.number);
    numberOf.set(subject, event.number);
  }
  const numbers = [...byNumber.keys()].map(Number).sort((a, b) => a - b);
  expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  return [...numberOf.keys()];
}

/** Every message that came, and every delivery of ours, was shown under one number. */
function expectShownOnce(notes: readonly Note[], rows: readonly ChatMessage[]): void {
  const shown = expectOneNumberEach(notes).map((subject) => subject.split(" "));
  const of = (outgoing: boolean) =>
    rows
      .filter((row) => row.outgoing === outgoing)
      .map(({ id }) => id)
      .toSorted();
  expect(shown.flatMap(([type, id]) => (type === "messageReceived" ? [id] : [])).toSorted()).toEqual(of(false));
  expect(shown.flatMap(([, id, text]) => (text === "delivered" ? [id] : [])).toSorted()).toEqual(of(true));
}

/** A call to a process that may die meanwhile. */
function whileKilled(one: Person) {
  return (error: unknown): void => {
    if (one.running && !/the process (has )?ended/.test(String(error))) throw error;
  };
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
