import { beforeAll, describe, expect, it } from "vitest";
import type { Measurements } from "../shard/measurements.ts";
import { type ShardOptions, simulate } from "../shard/shard.ts";
import { CHAT_MESSAGE, measureSizes } from "../src/sizes.ts";
import { shardMbps } from "../src/waku-message.ts";

/** P1: bytes for each user message that give 10 Mbps, and our own goal. */
const LIMIT = 1875;
const GOAL = 937;
const USERS = 10_000;

describe("P1 byte budget", () => {
  const budget = { "suite 1": measureSizes(1), "suite 2": measureSizes(2) };

  it("P1: no kind of message has changed its size (a wanted change: run vitest with -u, and look at the difference)", async () => {
    await expect(`${JSON.stringify(budget, null, 2)}\n`).toMatchFileSnapshot("../byte-budget.json");
  });

  it.each(Object.entries(budget))(
    "P1: a message of 100 characters keeps to the goal, proof included: %s",
    (_, sizes) => {
      expect(sizes[CHAT_MESSAGE]!.withProof).toBeLessThanOrEqual(GOAL);
    },
  );

  it("P1: the budget is what gives 10 Mbps, and the goal half of it", () => {
    expect(shardMbps(LIMIT, USERS)).toBeCloseTo(10, 5);
    expect(shardMbps(GOAL, USERS)).toBeLessThanOrEqual(5);
  });
});

describe("P1 simulated shard", () => {
  /** So many that chance moves the sum by a percent or two. */
  const options: ShardOptions = { users: 200, minutes: 5, seed: 1, loss: 0.01, offline: 0.1 };
  let present: Measurements;
  let absent: Measurements;

  beforeAll(() => {
    present = simulate({ ...options, offline: 0 });
    absent = simulate(options);
  }, 120_000);

  it("P1: acknowledgements, repairs, set-ups and proofs included, a user message keeps to the goal", () => {
    expect(present.traffic.publications["bare acknowledgement"]).toBeGreaterThan(0);
    expect(present.traffic.bytesPerUserMessage).toBeLessThanOrEqual(GOAL);
  });

  it("P1: with a tenth of the users absent, it still does", () => {
    expect(absent.traffic.publications.resend).toBeGreaterThan(0);
    expect(absent.traffic.bytesPerUserMessage).toBeLessThanOrEqual(GOAL);
    expect(shardMbps(absent.traffic.bytesPerUserMessage, USERS)).toBeLessThanOrEqual(5);
  });

  it("P1: cheap is not lossy: no message is lost or fails", () => {
    for (const { lost, failed, shown } of [present, absent]) {
      expect(shown).toBeGreaterThan(0);
      expect({ lost, failed }).toEqual({ lost: 0, failed: 0 });
    }
  });

  it("P1: every byte on the shard has one cause", () => {
    const published = [...absent.traffic.buckets.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    expect(absent.traffic.totalBytes).toBe(published);
    expect(Math.min(...Object.values(absent.traffic.bytes))).toBeGreaterThanOrEqual(0);
  });

  it("P1: a simulation repeats itself, and does not depend on how the shard is divided", () => {
    const short = { ...options, users: 20, minutes: 1 };
    const whole = simulate(short);
    const [first, second] = [simulate(short, 0, 2), simulate(short, 1, 2)];
    expect(whole.traffic.totalBytes).toBe(first.traffic.totalBytes + second.traffic.totalBytes);
    expect(whole.shown).toBe(first.shown + second.shown);
  });
});
