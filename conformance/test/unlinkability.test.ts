import { nobleCrypto } from "@chatsdk/core";
import { describe, expect, test } from "vitest";
import { Person } from "../src/people.ts";
import { World } from "../src/world.ts";

/** Several conversations at once, as the network sees them. */
function watched(suite: number) {
  const world = new World();
  const config = { minimumSuite: suite, maximumSuite: suite };
  const people = Array.from({ length: 8 }, (_, index) => new Person(world, `person ${index}`, config));
  const pairs = [0, 2, 4, 6].map((index) => {
    const [one, other] = [people[index]!, people[index + 1]!];
    return { one, other, id: one.accept(other.invite()) };
  });
  world.run(10_000);
  for (let turn = 0; turn < 12; turn++) {
    for (const { one, other, id } of pairs) (turn % 3 === 0 ? other : one).send(id, `message ${turn}`);
    world.run(20_000);
  }
  world.run(200_000);
  const identities = people.map(({ machine, accountId }) => {
    const accounts = machine.call(world.nowMs, { case: "listAccounts", value: {} }, "accounts").accounts;
    return accounts.find((account) => account.accountId === accountId)!.identityKey;
  });
  const envelopes = [...new Map(world.published.map((p) => [Buffer.from(p.payload).toString("hex"), p])).values()];
  return { world, envelopes, identities };
}

const WINDOW = 8;

/** All runs of eight bytes. */
function* windows(bytes: Uint8Array): Generator<string> {
  for (let at = 0; at + WINDOW <= bytes.length; at++)
    yield Buffer.from(bytes.subarray(at, at + WINDOW)).toString("latin1");
}

describe.each([1, 2])("suite %i: what the network sees of four conversations", (suite) => {
  const { world, envelopes, identities } = watched(suite);

  test("+1 +2 two envelopes have nothing in common: no hint, no key, no run of eight bytes", () => {
    expect(envelopes.length).toBeGreaterThan(60);
    const seen = new Map<string, number>();
    const common: string[] = [];
    envelopes.forEach(({ payload }, index) => {
      for (const window of windows(payload)) {
        const other = seen.get(window);
        if (other !== undefined && other !== index) common.push(Buffer.from(window, "latin1").toString("hex"));
        seen.set(window, index);
      }
    });
    expect(common).toEqual([]);
  });

  test("+1 +2 no part of an identity key is in any envelope or topic", () => {
    const parts = new Set<string>();
    for (const identityKey of identities) {
      for (const key of [identityKey, nobleCrypto.ed25519PublicToX25519(identityKey)!])
        for (const window of windows(key)) parts.add(window);
    }
    for (const { payload, topic } of envelopes) {
      expect([...windows(payload)].filter((window) => parts.has(window))).toEqual([]);
      for (const key of identities) expect(topic).not.toContain(Buffer.from(key.subarray(0, 4)).toString("hex"));
    }
  });

  test("+3 topics are buckets", () => {
    for (const { topic } of world.published) expect(topic).toMatch(/^\/chatsdk\/2\/([0-9]|1[0-5])\/proto$/);
  });

  test("+1 sizes are the few of docs/spec/04", () => {
    const sizes = new Set(envelopes.map(({ payload }) => payload.length));
    const allowed = suite === 1 ? [343, 393, 655] : [343, 1484, 2447];
    expect([...sizes].filter((size) => !allowed.includes(size))).toEqual([]);
  });
});
