import { readFileSync } from "node:fs";
import { type Logger, parseRlnGroup, RlnMembership } from "@chatsdk/client";
import { expect, test } from "vitest";
import { circuitFiles } from "../../bindings-ts/test/rln-support/circuit.ts";
import { LocalClient } from "./support/local-client.ts";
import { afterwards, temporaryFolder } from "./support/network.ts";
import { until } from "./support/person.ts";
import { RlnNetwork } from "./support/rln-network.ts";

/** Whole clients in TypeScript with real proofs, on a node that verifies them and refuses what is over quota. */

/** A proof takes 1.4 s of an idle machine and 8 s of a busy one. What an epoch has no time for is proved in a later one. */
const PLAN = { members: 2, limit: 4, epochSeconds: 40 };
const TEXTS = ["0", "1", "2", "3", "4", "5"];
const PATIENCE_MS = 600_000;

test("S1 a client over its quota queues, tells the application, and delivers everything in the next epochs, in order; the node refuses nothing", async () => {
  const network = await RlnNetwork.start(PLAN);
  afterwards(() => network.close());
  const folder = temporaryFolder();
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const logger: Logger = { debug: note, info: note, warn: note };
  const open = (name: string, member: number) => {
    const group = parseRlnGroup(readFileSync(network.groupFile, "utf8"));
    const credentials = readFileSync(network.credentialsFile(member));
    const rln = new RlnMembership({ group, circuit: circuitFiles(), credentials });
    const protocol = { ackDelayMs: 500, ackIntervalMs: 2000 };
    return LocalClient.open(folder, name, { peers: [network.node.websocket], rln, protocol, logger });
  };
  const [alice, bob] = [await open("alice", 0), await open("bob", 1)];
  const link = await bob.link();
  const accountId = await alice.accountId();
  const topics = (await Promise.all([alice.client.accounts(), bob.client.accounts()]))
    .flat()
    .map(({ deliveryAddress }) => deliveryAddress);

  await network.roomInEpoch(15_000);
  const { id } = await alice.client.acceptInvite(accountId, link, TEXTS[0]!);
  for (const text of TEXTS.slice(1)) await alice.client.send(id, text);
  expect(await alice.client.quota()).toMatchObject({ limit: PLAN.limit, remaining: 0 });
  expect((await alice.client.quota())?.waiting).toBeGreaterThan(0);

  const said = () => `bob has ${bob.texts}; ${lines.slice(-3).join("; ")}`;
  await until(() => bob.texts.includes(TEXTS.at(-1)!), said, PATIENCE_MS);
  expect(bob.texts).toEqual(TEXTS);
  await until(
    async () => (await alice.client.messages(id)).every(({ status }) => status === "delivered"),
    () => `alice knows; ${lines.slice(-3).join("; ")}`,
    PATIENCE_MS,
    200,
  );
  expect(alice.withStatus("failed")).toEqual([]);
  // A machine too busy to make an epoch's proofs in it queues once more.
  const changes = alice.events.flatMap((event) => (event.type === "quotaChanged" ? [event.exhausted] : []));
  expect(changes.length).toBeGreaterThanOrEqual(2);
  expect(changes).toEqual(changes.map((_, index) => index % 2 === 0));
  expect(changes.at(-1)).toBe(false);

  await network.expectNoSlotTwice(topics);
  await Promise.all([alice.close(), bob.close()]);
  await network.expectNothingRefused(TEXTS.length);
  expect(lines.filter((line) => line.includes("420"))).toEqual([]);
});
