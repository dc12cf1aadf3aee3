import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError } from "@chatsdk/core";
import { afterEach, describe, expect, test } from "vitest";
import type { ChatClient } from "../src/client/chat-client.ts";
import { type ChatOptions, openChat } from "../src/client/open-chat.ts";
import { RlnMembership, type RlnMembershipOptions } from "../src/rln/membership.ts";
import { FileRollbackAnchor } from "../src/storage/rollback-anchor.ts";
import { MemoryStorage } from "../src/storage/memory-storage.ts";
import { TestLogger, TestNetwork, TestTransport } from "./client-support/fakes.ts";
import { circuitFiles } from "./rln-support/circuit.ts";
import { credentialsJson, group, groupJson, rejection, statement, vectors } from "./rln-support/vectors.ts";

/** S1: a client that is a member of a network with RLN, its prover a real one. */

const LIMIT = vectors.members[vectors.leafIndex].userMessageLimit as number;
const circuit = circuitFiles();
const folders: string[] = [];
const clients: ChatClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** Somebody with a database, whose network keeps what is published. */
class Somebody {
  readonly folder = mkdtempSync(join(tmpdir(), "rln-membership-"));
  readonly network = new TestNetwork();
  readonly logger = new TestLogger();
  readonly transports: TestTransport[] = [];

  constructor() {
    folders.push(this.folder);
  }

  /** The database file, and nothing beside it: what a failed start could have changed. */
  get file(): string {
    return readFileSync(join(this.folder, "chat.db"), "latin1");
  }

  async open(options: Partial<ChatOptions> = {}): Promise<ChatClient> {
    const transport = new TestTransport(this.network);
    this.transports.push(transport);
    const client = await openChat({
      path: join(this.folder, "chat.db"),
      storageKey: { unprotected: true },
      transport,
      anchor: new FileRollbackAnchor({ folder: join(this.folder, "state") }),
      logger: this.logger,
      ...options,
    });
    clients.push(client);
    return client;
  }

  /** Leaves a message in the outbox. */
  async write(): Promise<void> {
    const inviting = await new Somebody().open();
    const { link } = await inviting.createInvite((await inviting.defaultAccount()).id);
    this.network.up = false;
    const client = await this.open();
    await client.acceptInvite((await client.defaultAccount()).id, link, "waits for its slot");
    await client.close();
    this.network.up = true;
  }
}

/** No network card, no permission. */
class BrokenTransport extends TestTransport {
  override async start(): Promise<void> {
    throw new ChatError(ErrorCode.TRANSPORT_FAILED, "the node cannot be started");
  }
}

const membership = (more: Partial<RlnMembershipOptions> = {}) => new RlnMembership({ group, circuit, ...more });
const changed = (change: object) => JSON.stringify({ ...JSON.parse(credentialsJson), ...change });
const fails = (field: string) => ({
  name: "ChatError",
  code: ErrorCode.INVALID_ARGUMENT,
  message: expect.stringContaining(`${field}: `),
});

describe("S1 a membership", () => {
  test("given once sets the limit and makes proofs, also when it is opened from the database", async () => {
    const alice = new Somebody();
    await alice.write();
    for (const given of [{ credentials: Buffer.from(credentialsJson) }, {}]) {
      const rln = membership(given);
      const client = await alice.open({ rln });
      expect((await client.quota())?.limit).toBe(LIMIT);
      expect((await rln.prove(statement)).length).toBe(335);
      await client.close();
    }
    expect(alice.network.published.length).toBeGreaterThan(0);
  });

  test("without credentials, in a database that has none, opens nothing, says so, and publishes nothing", async () => {
    const alice = new Somebody();
    await alice.write();
    await expect(alice.open({ rln: membership() })).rejects.toMatchObject(fails("rln.credentials"));
    const [, last] = alice.transports;
    expect([last!.calls, alice.network.published]).toEqual([["stop"], []]);
    await alice.open();
  });

  test("with another's secret opens nothing, publishes nothing, and is not kept", async () => {
    const alice = new Somebody();
    await alice.write();
    const rln = membership({ credentials: changed({ identitySecret: "01".repeat(32) }) });
    await expect(alice.open({ rln })).rejects.toMatchObject(fails("rln.credentials.identitySecret"));
    expect(alice.network.published).toEqual([]);
    expect((await rejection(rln.prove(statement))).code).toBe(ErrorCode.CLOSED);
    await expect(alice.open({ rln: membership() })).rejects.toThrow("the database has none");
  });

  test("kept in the database is refused where the group has changed, and replaced by the group's", async () => {
    const alice = new Somebody();
    await (await alice.open({ rln: membership({ credentials: credentialsJson }) })).close();
    const members = group.members.map((member) => ({ ...member, userMessageLimit: LIMIT + 1 }));
    const other = { group: { ...group, members } };
    await expect(alice.open({ rln: membership(other) })).rejects.toMatchObject(
      fails("rln.credentials.userMessageLimit"),
    );
    const rln = membership({ ...other, credentials: changed({ userMessageLimit: LIMIT + 1 }) });
    expect((await (await alice.open({ rln })).quota())?.limit).toBe(LIMIT + 1);
  });

  test.each([
    ["rln.credentials", /give the content of member-N\.json/, credentialsJson.slice(1)],
    ["rln.credentials", /give the content of member-N\.json/, JSON.stringify(credentialsJson)],
    ["rln.credentials.version", /make the files anew, or update/, changed({ version: 2 })],
    ["rln.credentials.identitySecret", /give the content of member-N\.json/, changed({ identitySecret: "abcd" })],
    ["rln.credentials.identitySecret", /give the content of member-N\.json/, changed({ identitySecret: undefined })],
    ["rln.credentials.leafIndex", /give the content of member-N\.json/, changed({ leafIndex: "0" })],
    ["rln.credentials.leafIndex", /give the credentials that were made with this group/, changed({ leafIndex: 3 })],
    ["rln.credentials.identityCommitment", /give the credentials that were made/, changed({ leafIndex: 0 })],
    ["rln.credentials.userMessageLimit", /give the credentials once more/, changed({ userMessageLimit: 7 })],
  ])("with a wrong %s is none, and %s is the remedy", (field, remedy, credentials) => {
    const make = () => membership({ credentials });
    expect(make).toThrow(expect.objectContaining(fails(field)));
    expect(make).toThrow(remedy);
  });

  // As a program without types may give them. Only what is absent means those in the database.
  test.each<[string, unknown]>([
    ["rln.credentials", { credentials: "" }],
    ["rln.credentials", { credentials: new Uint8Array() }],
    ["rln.credentials", { credentials: null }],
    ["rln.credentials", { credentials: JSON.parse(credentialsJson) }],
    ["rln.credentials", { credentials: [...Buffer.from(credentialsJson)] }],
    ["rln.group", { group: undefined }],
    ["rln.group", { group: groupJson }],
    ["rln.group.rlnIdentifier", { group: JSON.parse(groupJson) }],
    ["rln.group.members[0].identityCommitment", { group: { ...group, members: [null] } }],
    ["rln.circuit", { circuit: undefined }],
    ["rln.circuit", { circuit: null }],
    ["rln.circuit.witnessProgram", { circuit: { provingKey: circuit.provingKey } }],
    ["rln.circuit.provingKey", { circuit: { ...circuit, provingKey: "" } }],
    ["rln.circuit.provingKey", { circuit: { ...circuit, provingKey: pathToFileURL(circuit.provingKey) } }],
  ])("S1: a bad %s is named", (field, given) => {
    expect(() => membership(given as RlnMembershipOptions)).toThrow(expect.objectContaining(fails(field)));
  });

  test("without any options is none", () => {
    for (const options of [undefined, null])
      expect(() => new RlnMembership(options as never)).toThrow(expect.objectContaining(fails("rln.group")));
  });

  test.each<[string, unknown]>([
    ["null", null],
    ["false", false],
    ["the name of a folder", "club"],
    ["the options", { group, circuit, credentials: credentialsJson }],
  ])("is no %s: the client does not open without proofs", async (_, rln) => {
    const alice = new Somebody();
    await expect(alice.open({ rln: rln as RlnMembership })).rejects.toMatchObject(fails("rln"));
    expect(alice.transports[0]!.calls).toEqual(["stop"]);
  });

  test.each<[string, Partial<ChatOptions>]>([
    ["protocol.rateLimit", { protocol: { rateLimit: {} } }],
    ["waku.prover", { waku: { prover: membership() } }],
  ])("and %s exclude each other: all is closed, and nothing was opened", async (field, options) => {
    const alice = new Somebody();
    const rln = membership({ credentials: credentialsJson });
    await expect(alice.open({ rln, ...options })).rejects.toMatchObject(fails(field));
    expect(alice.transports[0]!.calls).toEqual(["stop"]);
    expect(rln.rateLimit().credentials).toHaveLength(0);
    expect((await rejection(rln.prove(statement))).code).toBe(ErrorCode.CLOSED);
  });

  test("belongs to one client, and ends with it", async () => {
    const rln = membership({ credentials: credentialsJson });
    expect((await rejection(rln.prove(statement))).code).toBe(ErrorCode.INVALID_ARGUMENT);
    const client = await new Somebody().open({ rln });
    await expect(rln.open(Buffer.from(credentialsJson))).rejects.toThrow("another client's");
    expect(() => rln.take({})).toThrow("another client's");
    await client.close();
    expect((await rejection(rln.prove(statement))).code).toBe(ErrorCode.CLOSED);
    await expect(new Somebody().open({ rln })).rejects.toMatchObject({ code: ErrorCode.CLOSED });
  });
});

test("S1 a membership that is given to a second client is refused there, and serves the first as before", async () => {
  const alice = new Somebody();
  const rln = membership({ credentials: credentialsJson });
  const [opened, failed] = await Promise.allSettled([alice.open({ rln }), alice.open({ rln })]);
  expect([opened.status, failed.status]).toEqual(["fulfilled", "rejected"]);
  const others: Partial<ChatOptions>[] = [{}, { storage: new MemoryStorage() }, { waku: { prover: rln } }];
  for (const options of others)
    await expect(new Somebody().open({ rln, ...options })).rejects.toMatchObject(fails("rln"));
  await expect(alice.open({ rln })).rejects.toMatchObject(fails("rln"));
  expect((await rln.prove(statement)).length).toBe(335);
});

describe("S1 F7 a first start that fails", () => {
  const stranger = () => membership({ credentials: changed({ identitySecret: "01".repeat(32) }) });
  const withoutCircuit = () =>
    membership({ credentials: credentialsJson, circuit: { ...circuit, provingKey: "absent" } });
  const attempt = (alice: Somebody, passphrase: string, options: Partial<ChatOptions>) =>
    alice.open({ storageKey: { passphrase }, ...options });

  test.each<[string, () => Partial<ChatOptions>]>([
    ["without credentials", () => ({ rln: membership() })],
    ["with another's secret", () => ({ rln: stranger() })],
    ["without the circuit", () => ({ rln: withoutCircuit() })],
    ["with a wrong setting", () => ({ protocol: { bucketCount: 70_000 } })],
    ["without a network", () => ({ transport: new BrokenTransport() })],
  ])("%s leaves the database as it was, bound to no key", async (_, options) => {
    const alice = new Somebody();
    await expect(attempt(alice, "first", options())).rejects.toThrow();
    const before = alice.file;
    await expect(attempt(alice, "second", options())).rejects.not.toMatchObject({ code: ErrorCode.WRONG_KEY });
    expect(alice.file === before).toBe(true);
    await (await attempt(alice, "third", {})).close();
    await expect(attempt(alice, "first", {})).rejects.toMatchObject({ code: ErrorCode.WRONG_KEY });
    await attempt(alice, "third", {});
  });
});

test("S3 the secret is in no file in the clear, no log line, no error and no output of util.inspect", async () => {
  const alice = new Somebody();
  const secret = vectors.identitySecret as string;
  const listed = (bytes: Buffer) => [...bytes].join(",");
  const forms = [secret, listed(Buffer.from(secret, "hex")), listed(Buffer.from(secret)), 'identitySecret"'];
  const seen: string[] = [];
  const look = (...values: unknown[]) => {
    for (const value of values)
      seen.push(
        inspect(value, {
          depth: Infinity,
          showHidden: true,
          getters: true,
          maxArrayLength: null,
          breakLength: Infinity,
        }),
      );
    for (const name of readdirSync(alice.folder).filter((file) => file.startsWith("chat.db"))) {
      const content = readFileSync(join(alice.folder, name));
      seen.push(content.toString("latin1"), content.toString("hex"), listed(content));
    }
  };
  const rln = membership({ credentials: credentialsJson });
  look(rln, JSON.stringify(rln));
  const client = await alice.open({ rln });
  look(rln, client);
  await client.close();
  look(rln, client, alice.logger);
  const unfit = changed({ identityCommitment: "01".repeat(32) });
  for (const credentials of [credentialsJson.slice(0, -1), `${credentialsJson}x`, unfit])
    look(await rejection((async () => membership({ credentials }))()));
  look(await rejection(alice.open({ rln: membership({ circuit: { ...circuit, provingKey: "absent" } }) })));
  // util.inspect aligns what it lists.
  for (const text of seen.map((spaced) => spaced.replaceAll(/\s+/g, "")))
    for (const form of forms) expect(text.includes(form)).toBe(false);
  expect(seen.length).toBeGreaterThan(20);
});
