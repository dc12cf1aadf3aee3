import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { circuitFiles } from "../../bindings-ts/test/rln-support/circuit.ts";
import { rlnNodeBinary } from "../local-node/service-node.ts";
import { serviceNode, start, temporaryFolder } from "./stage.ts";

test("U3 S1 the example of a membership has at most 60 lines", () => {
  const lines = readFileSync(new URL("../rate-limit/rate-limit.ts", import.meta.url), "utf8")
    .trimEnd()
    .split("\n");
  expect(lines.length).toBeLessThanOrEqual(60);
});

test("U3 S1 members chat over their quota: it tells that messages wait, all arrive in order, and the next start needs no credentials", async () => {
  const folder = temporaryFolder();
  const club = join(folder, "club");
  const size = ["--members", "2", "--limit", "3", "--epoch", "30"];
  execFileSync(rlnNodeBinary(), ["rln-group", ...size, "--out", club], { stdio: "pipe" });
  const group = join(club, "group.json");
  // On a busy machine a proof takes longer than a message may usually be old.
  const { address } = await serviceNode({ rlnGroup: group, maxClockSkew: "10m" });
  const circuit = join(circuitFiles().provingKey, "..");
  const person = (name: string, ...args: string[]) =>
    start("rate-limit/rate-limit.ts", [join(folder, name), ...args, "--group", group, "--circuit", circuit], {
      WAKU_NODE: address,
      XDG_STATE_HOME: folder,
    });
  const credentials = (member: number) => ["--member", join(club, `member-${member}.json`)];

  const alice = person("alice", ...credentials(0));
  const link = await alice.until(/link: (\S+)/);
  const bob = person("bob", link, ...credentials(1));
  await alice.until(/< Hello!\n/);
  const texts = ["one", "two", "three", "four", "five"];
  for (const text of texts) bob.type(text);
  await bob.until(/over 3 messages: waiting until \d/);
  for (const text of texts) await alice.until(new RegExp(`< ${text}\n`));
  await bob.until(/nothing waits any more\n/);
  expect(await bob.end()).toBe(0);

  const again = person("bob");
  alice.type("Are you there?");
  await again.until(/< Are you there\?\n/);
  expect(await again.end()).toBe(0);
  expect(await alice.end()).toBe(0);
  for (const { output } of [alice, bob, again]) expect(output).not.toMatch(/^!/m);
});

test("U3 S1 without credentials, at a first start, the example says what is missing", async () => {
  const folder = temporaryFolder();
  const club = join(folder, "club");
  execFileSync(rlnNodeBinary(), ["rln-group", "--out", club], { stdio: "pipe" });
  const args = ["--group", join(club, "group.json"), "--circuit", join(circuitFiles().provingKey, "..")];
  const alice = start("rate-limit/rate-limit.ts", [join(folder, "alice"), ...args], { XDG_STATE_HOME: folder });
  await alice.until(/rln\.credentials: missing, and the database has none; give the content of member-N\.json once/);
  expect(await alice.end()).toBe(1);
});
