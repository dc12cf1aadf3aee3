import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { Disk } from "../src/disk.ts";
import { type ConfigValue, Machine } from "../src/machine.ts";

const SECRET = "identitySecret of a member";
const credentials = new Uint8Array(Buffer.from(SECRET));
const others = new Uint8Array(Buffer.from("credentials of another membership"));

type RateLimit = NonNullable<ConfigValue["rateLimit"]>;

/** Opens the database and runs its first step. */
function start(disk: Disk, rateLimit?: RateLimit) {
  const machine = new Machine("alice", nodeCrypto, rateLimit ? { rateLimit } : {}, disk);
  const { rateLimitCredentials } = machine.answer(machine.core.open());
  machine.step(1, { case: "start", value: {} });
  const { limited, limit } = machine.call(2, { case: "getQuota", value: {} }, "quota");
  return { machine, kept: Buffer.from(rateLimitCredentials).toString(), limit: limited ? limit : undefined };
}

describe("S1 credentials of the rate limit", () => {
  test("are kept with the number of messages they allow, and given back after a restart", () => {
    const disk = new Disk();
    expect(start(disk, { messagesPerEpoch: 20, credentials })).toMatchObject({ kept: SECRET, limit: 20 });
    expect(start(disk, {})).toMatchObject({ kept: SECRET, limit: 20 });
    expect(start(disk, { messagesPerEpoch: 7 })).toMatchObject({ kept: SECRET, limit: 7 });
    expect(start(disk, {})).toMatchObject({ kept: SECRET, limit: 20 });
  });

  test("given once more with another number, the number is kept; without one, it stays", () => {
    const disk = new Disk();
    expect(start(disk, { credentials })).toMatchObject({ kept: SECRET, limit: 100 });
    expect(start(disk, { credentials, messagesPerEpoch: 20 })).toMatchObject({ kept: SECRET, limit: 20 });
    expect(start(disk, { credentials })).toMatchObject({ kept: SECRET, limit: 20 });
    expect(start(disk, {})).toMatchObject({ kept: SECRET, limit: 20 });
  });

  test("are used with one length of epochs: a slot of one may be one of another", () => {
    const disk = new Disk();
    start(disk, { epochSeconds: 600, credentials });
    const before = new Map(disk.records);
    for (const rateLimit of [{ epochSeconds: 601 }, { epochSeconds: 601, credentials }])
      expect(() => start(disk, rateLimit)).toThrow(/epoch_seconds: is 601, but the credentials were used with 600/);
    expect(disk.records).toEqual(before);
    expect(start(disk, { epochSeconds: 601, credentials: others })).toMatchObject({ limit: 100 });
  });

  test("are sealed in the secrets store, and appear in no outcome or event in the clear", () => {
    const machine = new Machine("alice", nodeCrypto, { rateLimit: { credentials } });
    const outcome = machine.step(1, { case: "start", value: {} });
    const seen = JSON.stringify([outcome, machine.disk], (_, value: unknown) =>
      value instanceof Uint8Array
        ? Buffer.from(value).toString("latin1")
        : value instanceof Map
          ? [...value]
          : typeof value === "bigint"
            ? `${value}`
            : value,
    );
    expect(seen).toContain("membership");
    expect(seen).not.toContain(SECRET);
  });

  test("are replaced by others, and kept while the limit is off", () => {
    const disk = new Disk();
    start(disk, { messagesPerEpoch: 20, credentials });
    expect(start(disk)).toMatchObject({ kept: "", limit: undefined });
    expect(start(disk, {})).toMatchObject({ kept: SECRET, limit: 20 });
    start(disk, { credentials: others });
    expect(start(disk, {})).toMatchObject({ kept: Buffer.from(others).toString(), limit: 100 });
  });

  test("that were given at a start whose commit failed are not kept", () => {
    const disk = new Disk();
    const machine = new Machine("alice", nodeCrypto, { rateLimit: { credentials } }, disk);
    machine.prepare(1, { case: "start", value: {} });
    machine.core.commitFailed();
    expect(start(disk, {})).toMatchObject({ kept: "", limit: 100 });
  });

  test("a limit without any has the network's default", () => {
    expect(start(new Disk(), {})).toMatchObject({ kept: "", limit: 100 });
  });

  test("of more than 64 KiB are refused", () => {
    expect(() => start(new Disk(), { credentials: new Uint8Array(65537) })).toThrow(
      expect.objectContaining({
        code: ErrorCode.INVALID_ARGUMENT,
        message: expect.stringContaining("rate_limit.credentials"),
      }),
    );
  });
});
