import { describe, expect, it } from "vitest";
import { observed, simulated } from "../real/compare.ts";
import { measure, type RealMeasurements, type RealOptions } from "../real/run.ts";
import { writingOf } from "../src/habits.ts";
import { simulate } from "../shard/shard.ts";

/** The harness of `npm run bench:real`, with few clients and little time. */
const options: RealOptions = {
  clients: 4,
  minutes: 0.3,
  // Often, so that so little time shows something.
  perMinute: 30,
  seed: 1,
  language: "rust",
  rln: false,
  idleMs: 1_000,
  warmUpMs: 20_000,
  confirmedWithinMs: 5_000,
  onProgress: () => undefined,
};

describe("P1 real clients through the real service node", () => {
  it("P1: what is measured agrees with the node's own file to the byte, nothing is lost, and a message costs what the simulation says", async () => {
    const measured = await measure(options);
    expect(sum(measured)).toEqual(measured.stored);
    expect(measured).toMatchObject({ lost: 0, failed: 0, complaints: [], connections: options.clients });
    expect(measured.receivedAfterMs.length).toBeGreaterThan(20);
    expect(measured.unconfirmed).toBeLessThan(measured.writtenInAll / 4);
    // Each message of a user was published, and what else was new acknowledges some.
    const news = measured.published.filter(({ resend }) => !resend).length;
    expect(news).toBeGreaterThan(measured.writtenInAll);
    expect(news).toBeLessThan(1.5 * measured.writtenInAll);
    const real = observed(measured);
    expect(real.messages).toBeGreaterThan(20);
    expect(real.proofBytes).toBe(0);
    // Every byte that was published went up a link, and at least one subscriber's down.
    expect(measured.link.up).toBeGreaterThan(real.bytes);
    expect(measured.link.down).toBeGreaterThan(real.bytes);
    expect(measured.idle.bytes.up + measured.idle.bytes.down).toBeLessThan(measured.link.up);

    const { clients: users, minutes, perMinute, seed } = options;
    const writing = (user: number) => writingOf(seed, user, perMinute);
    const same = { users, minutes, seed, loss: 0, offline: 0, fixedPairs: true, writing };
    const counted = simulated(simulate(same));
    const each = ({ bytes, messages }: typeof real): number => bytes / messages;
    expect(each(real) / each(counted)).toBeGreaterThan(0.9);
    expect(each(real) / each(counted)).toBeLessThan(1.1);
  });
});

function sum({ published }: RealMeasurements): RealMeasurements["stored"] {
  return { messages: published.length, bytes: published.reduce((all, { bytes }) => all + bytes, 0) };
}
