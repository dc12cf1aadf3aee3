import { parentPort, workerData } from "node:worker_threads";
import { type ShardOptions, simulate } from "./shard.ts";

export interface Part {
  options: ShardOptions;
  part: number;
  parts: number;
}

const { options, part, parts } = workerData as Part;
parentPort!.postMessage(simulate(options, part, parts));
