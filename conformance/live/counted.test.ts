import { expect, test } from "vitest";
import { Actor } from "../src/actor.ts";
import { testedLanguages, theatre } from "./support/agents.ts";
import { accept, expectDelivered, expectToldOfQuota, linkOf, numbered, quotaOf, send } from "./support/quota.ts";

/** S1, S4: a rate limit without proofs, on a node that asks for none. */

const stage = await theatre();
const LIMIT = 5;

test("S1 S4 a limit that is only counted: each over it talks to the next, and all is delivered in the next epochs, in order", async () => {
  const folder = stage.newFolder();
  const { node, pool } = stage;
  const protocol = { rateLimit: { epochSeconds: 5, messagesPerEpoch: LIMIT } };
  const people = testedLanguages().map(
    (language) => new Actor({ name: language, language, folder, pool, node, opening: { protocol }, onLine() {} }),
  );
  await Promise.all(people.map((who) => who.start()));
  const links = await Promise.all(people.map(linkOf));
  const next = (i: number) => (i + 1) % people.length;
  const texts = numbered(3 * LIMIT);
  const conversations = await Promise.all(
    people.map(async (who, i) => {
      const id = await accept(who, links[next(i)]!, texts[0]!);
      await Promise.all(texts.slice(1).map((text) => send(who, id, text)));
      const quota = await quotaOf(who);
      expect(quota.limit, who.name).toBe(LIMIT);
      expect(quota.waiting, who.name).toBeGreaterThan(0);
      return id;
    }),
  );
  await Promise.all(people.map((who, i) => expectDelivered(who, people[next(i)]!, conversations[i]!, texts)));
  for (const who of people) expectToldOfQuota(who);
  await Promise.all(people.map((who) => who.end("stop")));
});
