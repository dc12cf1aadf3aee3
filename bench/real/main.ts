import { parseArgs } from "node:util";
import { LANGUAGES, type Language } from "../../conformance/agent/agent-process.ts";
import { type ShardOptions, simulate } from "../shard/shard.ts";
import { writingOf } from "../src/habits.ts";
import { number, refuse } from "../src/options.ts";
import { MESSAGES_PER_MINUTE } from "../src/waku-message.ts";
import { mean, report } from "./report.ts";
import { measure, REAL_WARM_UP_MS, type RealOptions } from "./run.ts";

/** Real clients over a real service node, compared with the simulation of the same users who write at the same moments. */

const IDLE_MS = 30_000;
/** The last bare acknowledgement may take a minute. */
const CONFIRMED_WITHIN_MS = 120_000;

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "50" },
    minutes: { type: "string", default: "5" },
    "per-minute": { type: "string", default: `${MESSAGES_PER_MINUTE}` },
    seed: { type: "string", default: "1" },
    language: { type: "string", default: "rust" },
    rln: { type: "boolean", default: false },
  },
});

if (!LANGUAGES.includes(values.language as Language)) refuse("language", `give one of ${LANGUAGES.join(", ")}`);
const options: RealOptions = {
  clients: number(
    "clients",
    values.clients,
    (value) => value >= 2 && value % 2 === 0,
    "give an even number of at least 2",
  ),
  minutes: number(
    "minutes",
    values.minutes,
    (value) => Number.isInteger(value) && value > 0,
    "give whole minutes, at least 1",
  ),
  perMinute: number(
    "per-minute",
    values["per-minute"],
    (value) => value > 0 && value <= 60,
    "give a number above 0 and at most 60",
  ),
  seed: number("seed", values.seed, Number.isSafeInteger, "give a whole number"),
  language: values.language as Language,
  rln: values.rln,
  idleMs: IDLE_MS,
  warmUpMs: REAL_WARM_UP_MS,
  confirmedWithinMs: CONFIRMED_WITHIN_MS,
  onProgress: (line) => console.error(line),
};

const measured = await measure(options);
const { clients: users, minutes, perMinute, seed } = options;
const same: ShardOptions = {
  users,
  minutes,
  seed,
  loss: 0,
  offline: 0,
  rateLimit: options.rln,
  fixedPairs: true,
  writing: (user) => writingOf(seed, user, perMinute),
};
const delays = { leastMs: 0, jitterMs: 2 * mean(measured.receivedAfterMs) };
const simulations = { usual: simulate(same), asFast: simulate({ ...same, delays }) };
console.log(report(options, measured, simulations));
for (const line of measured.complaints) console.error(line);
const { published, stored, unconfirmed, lost, failed, complaints } = measured;
const bytes = published.reduce((sum, one) => sum + one.bytes, 0);
const agrees = stored.messages === published.length && stored.bytes === bytes;
const refused = complaints.filter((line) => line.includes("refused")).length;
if (!agrees || unconfirmed + lost + failed + refused > 0) process.exitCode = 1;
