import { describe, expect, test } from "vitest";
import { AgentError, type Language } from "../agent/agent-process.ts";
import { Actor } from "../src/actor.ts";
import { testedLanguages, Theatre } from "./support/agents.ts";
import { afterwards } from "./support/network.ts";
import { until } from "./support/person.ts";
import {
  accept,
  expectDelivered,
  expectToldOfQuota,
  linkOf,
  numbered,
  quotaOf,
  received,
  send,
  topicsOf,
  withStatus,
} from "./support/quota.ts";
import { type GroupPlan, RlnNetwork } from "./support/rln-network.ts";

/** S1, S4: clients of all languages with real proofs, on a node that verifies them and refuses what is over quota. */

const languages = testedLanguages();
const PATIENCE_MS = 600_000;
/** Those whose proofs are fast. */
const native = languages.filter((language) => language !== "ts");

/** Members of one network, each with a database of his own. */
class Club {
  readonly network: RlnNetwork;
  readonly #theatre: Theatre;
  readonly #folder: string;

  private constructor(network: RlnNetwork, theatre: Theatre) {
    this.network = network;
    this.#theatre = theatre;
    this.#folder = theatre.newFolder();
  }

  static async open(plan: GroupPlan): Promise<Club> {
    const network = await RlnNetwork.start(plan);
    afterwards(() => network.close());
    const theatre = Theatre.around(network.node, { rln: true });
    afterwards(() => theatre.close());
    return new Club(network, theatre);
  }

  /** Somebody whose database is named. Not started. */
  actor(name: string, language: Language, onLine: (line: string) => void = () => undefined): Actor {
    const { node, pool } = this.#theatre;
    const actor = new Actor({ name, language, folder: this.#folder, pool, node, opening: {}, onLine });
    afterwards(() => actor.abandon());
    return actor;
  }

  /** Opens with a member's credentials, or with those in the database. */
  async start(actor: Actor, member?: number): Promise<void> {
    const { groupFile, circuitFolder } = this.network;
    const credentials = member === undefined ? {} : { credentialsFile: this.network.credentialsFile(member) };
    await actor.start({ rln: { groupFile, circuitFolder, ...credentials } });
  }
}

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => "none",
    (error: unknown) => (error instanceof AgentError ? error.code : String(error)),
  );

describe("members of all languages", () => {
  test("S1 S4 each over its quota talks to the next: all is delivered in the next epochs, in order, and the node refuses nothing", async () => {
    const plan = { members: Math.max(2, languages.length), limit: 5, epochSeconds: 30 };
    const club = await Club.open(plan);
    const ring = Array.from({ length: plan.members }, (_, i) => languages[i % languages.length]!);
    const people = ring.map((language, i) => club.actor(`${language}-${i}`, language));
    await Promise.all(people.map((who, member) => club.start(who, member)));
    const links = await Promise.all(people.map(linkOf));
    const next = (i: number) => (i + 1) % people.length;
    const texts = numbered(plan.limit + 2);

    await club.network.roomInEpoch(15_000);
    const conversations = await Promise.all(
      people.map(async (who, i) => {
        const id = await accept(who, links[next(i)]!, texts[0]!);
        for (const text of texts.slice(1)) await send(who, id, text);
        const quota = await quotaOf(who);
        expect(quota, who.name).toMatchObject({ limit: plan.limit, remaining: 0 });
        expect(quota.waiting, who.name).toBeGreaterThan(0);
        return id;
      }),
    );
    await Promise.all(people.map((who, i) => expectDelivered(who, people[next(i)]!, conversations[i]!, texts)));
    for (const who of people) expectToldOfQuota(who);

    await club.network.expectNoSlotTwice(await topicsOf(...people));
    await Promise.all(people.map((who) => who.end("stop")));
    await club.network.expectNothingRefused(texts.length * people.length);
  });

  test("S1 S4 F4 what is written as an epoch ends, proofs still to be made, arrives in order", async () => {
    const plan = { members: Math.max(2, languages.length), limit: 8, epochSeconds: 20 };
    const club = await Club.open(plan);
    const people = Array.from({ length: plan.members }, (_, i) => {
      const language = languages[i % languages.length]!;
      return club.actor(`${language}-${i}`, language);
    });
    await Promise.all(people.map((who, member) => club.start(who, member)));
    const links = await Promise.all(people.map(linkOf));
    const next = (i: number) => (i + 1) % people.length;
    const texts = numbered(14);
    const conversations = await Promise.all(people.map((who, i) => accept(who, links[next(i)]!, texts[0]!)));
    await Promise.all(
      people.map((who, i) => expectDelivered(who, people[next(i)]!, conversations[i]!, texts.slice(0, 1))),
    );
    await club.network.beforeEndOfEpoch(1200);
    await Promise.all(
      people.map((who, i) => Promise.all(texts.slice(1).map((text) => send(who, conversations[i]!, text)))),
    );
    await Promise.all(people.map((who, i) => expectDelivered(who, people[next(i)]!, conversations[i]!, texts)));
    await club.network.expectNoSlotTwice(await topicsOf(...people));
    await Promise.all(people.map((who) => who.end("stop")));
    await club.network.expectNothingRefused(texts.length * people.length);
  });

  test("S1 S4 F7 credentials that one language has put into a database serve the others", async () => {
    const club = await Club.open({ members: languages.length + 1, limit: 20, epochSeconds: 600 });
    const bob = club.actor("bob", native[0] ?? "ts");
    await club.start(bob, languages.length);
    const topics = await topicsOf(bob);
    let sent = 0;
    for (const [member, writer] of languages.entries()) {
      const first = club.actor(`written-by-${writer}`, writer);
      await club.start(first, member);
      topics.push(...(await topicsOf(first)));
      await first.leave();
      let conversationId = "";
      for (const reader of languages.filter((language) => language !== writer || languages.length === 1)) {
        const who = club.actor(first.name, reader);
        await club.start(who);
        expect((await quotaOf(who)).limit, `${reader} after ${writer}`).toBe(20);
        const text = `${reader}, written by ${writer}`;
        if (conversationId === "") conversationId = await accept(who, await linkOf(bob), text);
        else await send(who, conversationId, text);
        await bob.expect("messageReceived", { message: { text } }, PATIENCE_MS);
        sent++;
        await who.leave();
      }
    }
    await club.network.expectNoSlotTwice(topics);
    await bob.leave();
    await club.network.expectNothingRefused(sent);
  });

  test("S1 S4 without credentials, with another group's, or with a rate limit beside them, no language opens; afterwards none are kept", async () => {
    const plan = { members: 1, limit: 5, epochSeconds: 600 };
    const [club, others] = [await Club.open(plan), await Club.open(plan)];
    const { groupFile, circuitFolder } = club.network;
    const rln = { groupFile, circuitFolder };
    const own = club.network.credentialsFile(0);
    for (const language of languages) {
      const who = club.actor(`stranger-${language}`, language);
      const wrong = [
        { rln },
        { rln: { ...rln, credentialsFile: others.network.credentialsFile(0) } },
        { rln: { ...rln, credentialsFile: own }, protocol: { rateLimit: {} } },
        { rln },
      ];
      for (const [i, opening] of wrong.entries())
        expect(await codeOf(who.start(opening)), `${language}, case ${i}`).toBe("INVALID_ARGUMENT");
      await club.start(who, 0);
      await who.leave();
    }
    await club.network.expectNothingRefused(0);
  });

  test("S1 S4 what a node refuses for good is in the log, in its words", async () => {
    const club = await Club.open({ members: 1, limit: 20, epochSeconds: 600 });
    const bob = club.actor("bob", native[0] ?? "ts");
    await club.start(bob, 0);
    for (const language of languages) {
      const lines: string[] = [];
      const stranger = club.actor(`no-member-${language}`, language, (line) => lines.push(line));
      await stranger.start({ protocol: { rateLimit: {} } });
      const id = await accept(stranger, await linkOf(bob), "nobody hears this");
      await until(
        async () => {
          const { limit, remaining } = await quotaOf(stranger);
          return limit - remaining >= 2;
        },
        () => `${stranger.name} has tried twice`,
        PATIENCE_MS,
        200,
      );
      await stranger.abandon();
      expect(lines.join("\n"), language).toMatch(/stderr: [\s\S]*has no RLN proof/);
      expect(received(bob, id)).toEqual([]);
    }
  });

  test("S1 S4 F7 while one process has a database, no other opens it with the membership in it", async () => {
    const club = await Club.open({ members: languages.length, limit: 5, epochSeconds: 600 });
    for (const [member, language] of languages.entries()) {
      const holder = club.actor(`held-by-${language}`, language);
      await club.start(holder, member);
      for (const other of languages) {
        const second = club.actor(holder.name, other);
        for (const credentials of [undefined, member])
          expect(await codeOf(club.start(second, credentials)), `${other} beside ${language}`).toBe("DATABASE_LOCKED");
        await second.leave();
      }
      expect((await quotaOf(holder)).remaining).toBe(5);
      await holder.leave();
    }
  });
});

describe.runIf(native.length > 0)("a member killed in the middle of an epoch", () => {
  test("S1 F4 goes on where it was: nothing is lost, no slot serves twice, and the node refuses nothing", async () => {
    const plan = { members: 2 * native.length, limit: 8, epochSeconds: 20 };
    const club = await Club.open(plan);
    const texts = numbered(14);
    const pairs = native.map((language, i) => ({
      alice: club.actor(`alice-${language}`, language),
      bob: club.actor(`bob-${language}`, native[(i + 1) % native.length]!),
    }));
    await Promise.all(pairs.flatMap(({ alice, bob }, i) => [club.start(alice, 2 * i), club.start(bob, 2 * i + 1)]));
    const topics = await topicsOf(...pairs.flatMap(({ alice, bob }) => [alice, bob]));
    await club.network.roomInEpoch(10_000);
    await Promise.all(
      pairs.map(async ({ alice, bob }) => {
        const id = await accept(alice, await linkOf(bob), texts[0]!);
        for (const text of texts.slice(1)) await send(alice, id, text);
        for (const atLeast of [1, 3, 5]) {
          // Some are published, others have their slots and wait for their proofs.
          await until(
            () => withStatus(alice, "sent", "delivered").size >= atLeast,
            () => `${alice.name} has published ${atLeast}`,
            PATIENCE_MS,
          );
          const before = await quotaOf(alice);
          await alice.end("kill");
          await club.start(alice);
          const after = await quotaOf(alice);
          if (after.renewsAt === before.renewsAt) expect(after.remaining).toBeLessThanOrEqual(before.remaining);
        }
        await expectDelivered(alice, bob, id, texts);
      }),
    );
    // What was in the air when a process died may be there twice, each time with a slot of its own.
    expect(await club.network.expectNoSlotTwice(topics)).toBeGreaterThanOrEqual(texts.length * pairs.length);
    await Promise.all(pairs.flatMap(({ alice, bob }) => [alice.end("stop"), bob.end("stop")]));
    await club.network.expectNothingRefused(texts.length * pairs.length);
  });
});
