import { readFileSync, readdirSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { InputSchema } from "@chatsdk/abi/host_pb";
import { fromHex, type Trace } from "../src/trace.ts";
import { SCENES } from "./scenes/index.ts";
import { Stage } from "./stage.ts";

export const DATA = new URL("data/", import.meta.url);

/** Plays a scene and returns what was recorded. */
export function record(name: string): Trace[] {
  const scene = SCENES[name];
  if (!scene) throw new Error(`no scene ${name}`);
  const stage = new Stage(name, Object.keys(SCENES).indexOf(name) + 1);
  scene(stage);
  return stage.traces;
}

/** One that is in the repository. */
export function readTrace(name: string): Trace {
  return JSON.parse(gunzipSync(readFileSync(new URL(`${name}.json.gz`, DATA))).toString()) as Trace;
}

export function recordedNames(): string[] {
  return readdirSync(DATA)
    .filter((file) => file.endsWith(".json.gz"))
    .map((file) => file.slice(0, -".json.gz".length));
}

/** What a trace holds, by the names of its messages and how often. */
export interface Summary {
  lives: number;
  steps: number;
  inputs: Record<string, number>;
  replies: Record<string, number>;
  events: Record<string, number>;
  errors: Record<string, number>;
}

export function summarize(trace: Trace): Summary {
  const steps = trace.lives.flatMap((life) => life.steps);
  const count = (names: readonly string[]): Record<string, number> => {
    const counts = new Map<string, number>();
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  const parts = (prefix: RegExp): string[] =>
    steps.flatMap((step) => step.parts.flatMap(([name]) => prefix.exec(name)?.[1] ?? []));
  return {
    lives: trace.lives.length,
    steps: steps.length,
    inputs: count(steps.map(({ input }) => String(fromBinary(InputSchema, fromHex(input)).input.case))),
    replies: count(parts(/^reply\.(\w+)/)),
    events: count(parts(/^events\[\d+\]\.(\w+)/)),
    errors: count(parts(/^reply\.failure (\w+)/)),
  };
}
