import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { number } from "../src/options.ts";
import { shardMbps } from "../src/waku-message.ts";
import { merge, type Measurements } from "./measurements.ts";
import { plot, type Point } from "./plot.ts";
import { report } from "./report.ts";
import type { ShardOptions } from "./shard.ts";
import type { Part } from "./worker.ts";

const POPULATIONS = [100, 300, 1000, 3000];
const SVG = fileURLToPath(new URL("mbps.svg", import.meta.url));
const THREADS = 2;
/** Of each thread: half of 10,000 users take about a fifth of it. */
const MEMORY_MIB = 4096;

const { values } = parseArgs({
  options: {
    users: { type: "string", default: "10000" },
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: "1" },
    loss: { type: "string", default: "0.01" },
    offline: { type: "string", default: "0.1" },
    "rate-limit": { type: "boolean", default: false },
    plot: { type: "boolean", default: false },
  },
});

const share = (value: number): boolean => value >= 0 && value < 1;
const options: ShardOptions = {
  users: number("users", values.users, (value) => value >= 2 && value % 2 === 0, "give an even number of at least 2"),
  minutes: number(
    "minutes",
    values.minutes,
    (value) => Number.isInteger(value) && value > 0,
    "give whole minutes, at least 1",
  ),
  seed: number("seed", values.seed, Number.isSafeInteger, "give a whole number"),
  loss: number("loss", values.loss, share, "give a probability from 0 to below 1"),
  offline: number("offline", values.offline, share, "give a share of the time from 0 to below 1"),
  rateLimit: values["rate-limit"],
};

function runPart(part: Part): Promise<Measurements> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), {
      workerData: part,
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MIB },
    });
    worker.once("message", resolve).once("error", reject);
  });
}

async function run(shard: ShardOptions): Promise<Measurements> {
  const start = performance.now();
  const parts = Array.from({ length: THREADS }, (_, part) => runPart({ options: shard, part, parts: THREADS }));
  const measured = merge(await Promise.all(parts));
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  const memory = (process.resourceUsage().maxRSS / 1024).toFixed(0);
  console.error(`${shard.users} users simulated in ${seconds} s, at most ${memory} MiB of memory so far`);
  return measured;
}

const percent = (value: number): string => `${Number((value * 100).toFixed(2))}%`;

/** Mbps of several populations, the last of which is the one asked for. */
async function runAll(): Promise<Measurements> {
  const points: Point[] = [];
  for (const users of POPULATIONS.filter((population) => population < options.users)) {
    const { traffic } = await run({ ...options, users });
    points.push({ users, mbps: shardMbps(traffic.bytesPerUserMessage, users) });
  }
  const measured = await run(options);
  points.push({ users: options.users, mbps: shardMbps(measured.traffic.bytesPerUserMessage, options.users) });
  const { minutes, loss, offline } = options;
  const conditions = `${percent(loss)} loss, ${percent(offline)} offline, ${minutes} minutes`;
  writeFileSync(
    SVG,
    plot(points, `100 characters, 4 messages a minute for each user, delivery confirmed; ${conditions}`),
  );
  console.log(`${points.map(({ users, mbps }) => `${users} users: ${mbps.toFixed(3)} Mbps`).join("\n")}\n`);
  return measured;
}

const measured = values.plot ? await runAll() : await run(options);
console.log(report(options, measured));
