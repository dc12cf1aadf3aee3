import { expect, test } from "vitest";
import { Actor } from "../src/actor.ts";
import { pairsOf, testedLanguages, theatre } from "./support/agents.ts";
import { accept, linkOf } from "./support/quota.ts";

/** F2, S4: the longest messages there are, to and from every language: what a step makes of them must fit into a module. */

const stage = await theatre();
/** In bytes, without what frames it. */
const LONGEST = 4_161_000;
const COUNT = 3;
const WITHIN_MS = 90_000;
/** Of the 256 MiB that a module may have. */
const MOST_MEMORY = 200 * 1024 * 1024;

// Each language sends to one other and receives from one other: the halves of the nine pairs are the same.
const ring = pairsOf(testedLanguages()).filter(([one, other]) => {
  const languages = testedLanguages();
  return languages[(languages.indexOf(one) + 1) % languages.length] === other;
});

test.each(ring)("F2 S4 R1 %s sends %s the longest messages in a row, and one that is too long", async (from, to) => {
  const folder = stage.newFolder();
  const { node, pool } = stage;
  const person = (name: string, language: typeof from): Actor =>
    new Actor({ name, language, folder, pool, node, opening: {}, onLine() {} });
  const alice = person("alice", from);
  const bob = person("bob", to);
  await Promise.all([alice.start(), bob.start()]);
  const conversationId = await accept(alice, await linkOf(bob), "hello");
  const texts = Array.from({ length: COUNT }, (_, i) => `${i}`.repeat(LONGEST));
  for (const text of texts) await alice.call("send", { conversationId, content: { text } });
  await expect(
    alice.call("send", { conversationId, content: { text: "x".repeat(LONGEST + 1000) } }),
  ).rejects.toMatchObject({ code: "CONTENT_TOO_LARGE" });
  await alice.call("send", { conversationId, content: { text: "after them" } });
  const received = (): string[] =>
    bob.events.flatMap(({ type, message }) =>
      type === "messageReceived" ? [String((message as { content: { text: string } }).content.text)] : [],
    );
  await bob.until(
    () => received().at(-1) === "after them" || undefined,
    WITHIN_MS,
    () => `${received().length} messages`,
  );
  const summary = (list: readonly string[]): string[] => list.map((text) => `${text.slice(0, 9)} ${text.length}`);
  expect(summary(received())).toEqual(summary(["hello", ...texts, "after them"]));
  for (const who of [alice, bob]) {
    expect(who.complaints).not.toContain("again");
    const { moduleBytes } = (await who.call("stats")) as { moduleBytes?: number };
    expect(moduleBytes ?? 0).toBeLessThan(MOST_MEMORY);
    await who.end("stop");
  }
});
