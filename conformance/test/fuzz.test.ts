import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Chance } from "../fuzz/chance.ts";
import { monsters, mutate } from "../fuzz/mutate.ts";
import { outcomeOf, type Target } from "../fuzz/target.ts";
import { allTargets } from "../fuzz/targets.ts";

/** Inputs a target, and milliseconds that even the worst may take on a busy machine. */
const RUNS = 5000;
const MACHINE_RUNS = 1500;
const SLOWEST_MS = 2000;
/** FUZZ_SECONDS: how long to go on with each target, at random; FUZZ_TARGET: which. */
const seconds = Number(process.env["FUZZ_SECONDS"] ?? 0);
const chosen = process.env["FUZZ_TARGET"];
const targets = allTargets().filter(({ name }) => chosen === undefined || name === chosen);

/** Runs an input and says how it ended; throws if with an error that is not one of the SDK's, or late. */
function tried(target: Target, bytes: Uint8Array, what: string): "decoded" | "refused" {
  const copy = bytes.slice();
  const start = performance.now();
  try {
    return outcomeOf(target, bytes);
  } catch (error) {
    const input = Buffer.from(copy.subarray(0, 4096)).toString("hex");
    throw new Error(`${target.name}: ${what}: ${error}: ${copy.length} bytes: ${input}`, { cause: error });
  } finally {
    const took = performance.now() - start;
    if (took > SLOWEST_MS) expect.fail(`${target.name}: ${what}: ${Math.round(took)} ms`);
    if (!Buffer.from(copy).equals(bytes)) expect.fail(`${target.name}: ${what}: it wrote into its input`);
  }
}

describe.each(targets)("decoder: $name", (target) => {
  const slow = /machine|hello|header/.test(target.name);
  const samples = [...target.samples, ...(target.spoiled ?? [])];
  const numRuns = slow ? MACHINE_RUNS : RUNS;

  test(`F3 fuzz: ${target.name} takes what is well-formed`, () => {
    for (const [index, sample] of target.samples.entries())
      expect(tried(target, sample, `sample ${index}`), `sample ${index}`).toBe("decoded");
    for (const [index, sample] of (target.spoiled ?? []).entries()) tried(target, sample, `spoiled sample ${index}`);
    expect(samples.length).toBeGreaterThan(0);
  });

  test(`F3 fuzz: ${target.name} refuses random bytes in order`, () => {
    const property = fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void tried(target, bytes, "random"));
    fc.assert(property, { numRuns: numRuns / 4, seed: 1 });
  });

  test(`F3 fuzz: ${target.name} refuses damaged samples in order`, () => {
    const damaged = fc.nat().map((seed) => mutate(samples, new Chance(seed)));
    const property = fc.property(damaged, (bytes) => void tried(target, bytes, "damaged"));
    fc.assert(property, { numRuns, seed: 2 });
  });

  test(`F3 fuzz: ${target.name} bounds depth, length and number`, () => {
    for (const [what, bytes] of monsters(samples)) tried(target, bytes, what);
  });

  if (seconds === 0) return;
  test(`F3 fuzz: ${target.name} for ${seconds} s`, { timeout: seconds * 2000 + 60_000 }, () => {
    const first = Date.now() % 2 ** 31;
    const end = performance.now() + seconds * 1000;
    let seed = first;
    for (; performance.now() < end; seed++) {
      const chance = new Chance(seed);
      const bytes = chance.once(10) ? chance.bytes(chance.below(2000)) : mutate(samples, chance);
      tried(target, bytes, `seed ${seed}`);
    }
    console.log(`${target.name}: ${seed - first} inputs from seed ${first}`);
  });
});
