import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { serviceNode, start, temporaryFolder } from "./stage.ts";

test("U3 minimal example has at most 25 lines", () => {
  const lines = readFileSync(new URL("../typescript/minimal.ts", import.meta.url), "utf8")
    .trimEnd()
    .split("\n");
  expect(lines.length).toBeLessThanOrEqual(25);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
});

test("U3 minimal example chats: link, messages both ways, delivered, and goes on after a restart", async () => {
  const folder = temporaryFolder();
  const { address } = await serviceNode();
  const person = (name: string, ...args: string[]) =>
    start("typescript/minimal.ts", [join(folder, name), ...args], { WAKU_NODE: address, XDG_STATE_HOME: folder });

  const alice = person("alice");
  const link = await alice.until(/link: (\S+)/);
  const bob = person("bob", link);
  await alice.until(/< Hello!\n/);
  await bob.until(/✓ sent\n/);
  await bob.until(/✓ delivered\n/);
  alice.type("Hello Bob");
  await bob.until(/< Hello Bob\n/);
  await alice.until(/✓ delivered\n/);
  bob.type("How are you?");
  await alice.until(/< How are you\?\n/);

  expect(await bob.end()).toBe(0);
  alice.type("Are you there?");
  await alice.until(/✓ sent\n/);
  const again = person("bob");
  await again.until(/< Are you there\?\n/);
  again.type("I am");
  await alice.until(/✓ delivered\n/);
  expect(await again.end()).toBe(0);
  expect(await alice.end()).toBe(0);
});
