import { expect, test } from "vitest";
import { Timestamps } from "../src/transport/timestamps.ts";

const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;
const ns = (ms: number): bigint => BigInt(ms) * 1_000_000n;

test("R1 timestamps of a burst are unlike each other, and go on from there while the clock is put back a little", () => {
  const timestamps = new Timestamps();
  const drawn = Array.from({ length: 1000 }, () => timestamps.next(NOW));
  expect(drawn[0]).toBe(ns(NOW));
  drawn.push(timestamps.next(NOW - 4_999), timestamps.next(NOW - 1));
  expect(drawn.every((timestamp, i) => i === 0 || timestamp > drawn[i - 1]!)).toBe(true);
  expect(drawn.at(-1)).toBeLessThan(ns(NOW + 1));
  expect(timestamps.next(NOW + 1)).toBe(ns(NOW + 1));
});

test("R1 timestamps follow a clock that was an hour ahead and was put right", () => {
  const timestamps = new Timestamps();
  timestamps.next(NOW + HOUR);
  expect(timestamps.next(NOW)).toBe(ns(NOW));
  expect(timestamps.next(NOW)).toBe(ns(NOW) + 1n);
});
