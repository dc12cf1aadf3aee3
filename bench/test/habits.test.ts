import { describe, expect, it } from "vitest";
import { writingOf } from "../src/habits.ts";

const take = (next: () => number, count: number): number[] => Array.from({ length: count }, () => next());

describe("P1 when users write", () => {
  it("P1: the simulation's users and real clients write at the same moments, each user at his own", () => {
    expect(take(writingOf(1, 7), 50)).toEqual(take(writingOf(1, 7), 50));
    expect(take(writingOf(1, 7), 50)).not.toEqual(take(writingOf(1, 8), 50));
    expect(take(writingOf(1, 7), 50)).not.toEqual(take(writingOf(2, 7), 50));
  });

  it.each([4, 2])("P1: %d times a minute, as likely at any moment", (perMinute) => {
    const meanMs = 60_000 / perMinute;
    const pauses = Array.from({ length: 200 }, (_, user) => take(writingOf(1, user, perMinute), 100)).flat();
    const share = (atMostMs: number): number => pauses.filter((ms) => ms <= atMostMs).length / pauses.length;
    expect(pauses.reduce((sum, ms) => sum + ms, 0) / pauses.length / meanMs).toBeCloseTo(1, 1);
    expect(share(meanMs)).toBeCloseTo(1 - Math.exp(-1), 1);
    expect(share(meanMs / 10)).toBeCloseTo(1 - Math.exp(-0.1), 1);
  });
});
