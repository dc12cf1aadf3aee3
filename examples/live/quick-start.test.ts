import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { start, temporaryFolder } from "./stage.ts";

test("U1 U2 F4 quick start: an invite link, messages to somebody whose process has ended, ticks, equal safety numbers", async () => {
  const folder = temporaryFolder();
  const quickStart = start("quick-start/main.mjs", [], { TMPDIR: folder });
  await quickStart.until(/bob {2}makes an invite link/);
  await quickStart.until(/^logos_chatintro_2_\S+$/m);
  await quickStart.until(/bob {2}goes offline: his process has ended/);
  await quickStart.until(/alice {2}▸ \[1\]/);
  await quickStart.until(/alice {2}✓ sent .*\[3\]/);
  await quickStart.until(/bob {2}comes back/);
  for (const number of [1, 2, 3]) await quickStart.until(new RegExp(`bob {2}◂ \\[${number}\\]`));
  await quickStart.until(/alice {2}✓✓ delivered .*\[3\]/);
  await quickStart.until(/alice {2}✓✓ read .*\[3\]/);
  const hers = await quickStart.until(/alice .*safety number.*: ([\d ]{71})\n/);
  const his = await quickStart.until(/bob .*own: +([\d ]{71})\n/);
  expect(his).toBe(hers);
  await quickStart.until(/\n10 messages, 10 delivered, 10 read, safety numbers equal, [\d.]+ s\n/);
  await quickStart.until(/npm run chat -- --name alice/);
  expect(await quickStart.end()).toBe(0);
  expect(readdirSync(folder)).toEqual([]);
});

test("quick start, interrupted: leaves nothing behind, and its status says so", async () => {
  const folder = temporaryFolder();
  const quickStart = start("quick-start/main.mjs", [], { TMPDIR: folder });
  await quickStart.until(/alice {2}▸ \[1\]/);
  expect(await quickStart.kill("SIGTERM")).toBe(1);
  expect(quickStart.output).toMatch(/The quick start failed: interrupted/);
  expect(readdirSync(folder)).toEqual([]);
});

test("quick start without a service node: says what is missing", async () => {
  const quickStart = start("quick-start/main.mjs", [], { WAKU_NODE_BIN: "/nowhere/waku-node" });
  await quickStart.until(
    /The quick start failed: \/nowhere\/waku-node is missing; make it with: node scripts\/setup\.mjs/,
  );
  expect(await quickStart.end()).toBe(1);
});
