import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type LocalNode, rlnNodeBinary, startNode } from "../../conformance/src/local-network.ts";
import { parseRlnCredentials, parseRlnGroup } from "../src/rln/group.ts";
import { RlnProver } from "../src/rln/prover.ts";
import { WakuTransport } from "../src/transport/waku-transport.ts";
import { circuitFiles } from "../test/rln-support/circuit.ts";

/** Groups changed by hand, as docs/rate-limit.md has it. */

const TOPIC = "/chatsdk/1/b-7/proto";
const LIMIT = 4;
const folder = mkdtempSync(join(tmpdir(), "rln-changed-"));
const cleanups: (() => Promise<void> | void)[] = [() => rmSync(folder, { recursive: true, force: true })];

interface GroupFile {
  epochSeconds: number;
  members: { userMessageLimit: number }[];
}

function makeGroup(name: string, members: number): GroupFile {
  const size = ["--members", `${members}`, "--limit", `${LIMIT}`, "--epoch", "86400"];
  execFileSync(rlnNodeBinary(), ["rln-group", ...size, "--out", join(folder, name)]);
  return JSON.parse(readFileSync(join(folder, name, "group.json"), "utf8")) as GroupFile;
}

const memberOf = (group: string, member: number, change: object = {}) =>
  JSON.stringify({ ...JSON.parse(readFileSync(join(folder, group, `member-${member}.json`), "utf8")), ...change });

let node: LocalNode;
let before: GroupFile;
let after: GroupFile;

beforeAll(async () => {
  before = makeGroup("before", 3);
  const { members } = makeGroup("further", 2);
  after = structuredClone(before);
  after.members[0]!.userMessageLimit = LIMIT + 3;
  after.members[1] = members[0]!;
  after.members.push(members[1]!);
  writeFileSync(join(folder, "after.json"), JSON.stringify(after));
  // On a busy machine a proof takes longer than a timestamp may be old.
  const args = ["--rln-group", join(folder, "after.json"), "--max-clock-skew", "10m"];
  node = await startNode({ binary: rlnNodeBinary(), args });
  cleanups.push(() => node.stop());
});

afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

const proverOf = (group: GroupFile, credentialsJson: string) =>
  RlnProver.open({
    group: parseRlnGroup(JSON.stringify(group)),
    credentials: parseRlnCredentials(credentialsJson),
    circuit: circuitFiles(),
  });

/** Resolves once the node has taken a message. */
async function publish(group: GroupFile, credentialsJson: string, messageId: number): Promise<void> {
  const prover = proverOf(group, credentialsJson);
  const transport = new WakuTransport({ clusterId: 42, shardCount: 8, peers: [node.websocket], prover });
  try {
    let online = false;
    await transport.start({ onMessage() {}, onConnection: (now) => (online = now) });
    await vi.waitUntil(() => online, { timeout: 30_000 });
    const slot = { epoch: BigInt(Math.floor(Date.now() / 86_400_000)), messageId };
    await transport.publish(TOPIC, new Uint8Array([messageId]), { signal: new AbortController().signal, slot });
  } finally {
    await transport.stop();
    await prover.close();
  }
}

test.each<[string, () => string, number]>([
  ["with another limit uses it", () => memberOf("before", 0, { userMessageLimit: LIMIT + 3 }), LIMIT + 2],
  ["who was there before needs nothing", () => memberOf("before", 2), 0],
  ["in another's place has his", () => memberOf("further", 0, { leafIndex: 1 }), 0],
  ["at the end of the list has his place there", () => memberOf("further", 1, { leafIndex: 3 }), 0],
])("S1 in a changed group a member %s", async (_, credentials, messageId) => {
  await publish(after, credentials(), messageId);
});

test("S1 whoever is no member any more, or has the former file, is refused", async () => {
  expect(() => proverOf(after, memberOf("before", 1))).toThrow(
    /rln\.credentials\.identityCommitment: is not the group's/,
  );
  await expect(publish(before, memberOf("before", 2), 1)).rejects.toMatchObject({
    cause: expect.objectContaining({ message: expect.stringContaining("another group of members") }),
  });
});
