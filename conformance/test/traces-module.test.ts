import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { committedModule, ModuleEngine } from "../src/module-engine.ts";
import { replay } from "../src/trace-replayer.ts";
import { DATA, readTrace, type Summary } from "../traces/recordings.ts";

const index = JSON.parse(readFileSync(new URL("index.json", DATA), "utf8")) as Record<string, Summary>;
const module = committedModule();

test.each(Object.keys(index))("S3 the committed module in V8 replays %s to the byte", (name) => {
  expect(replay(readTrace(name), () => new ModuleEngine(module))).toBe(index[name]!.steps);
});
