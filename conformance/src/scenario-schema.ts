import { readdirSync, readFileSync } from "node:fs";
import { z } from "zod";

/** What conformance/scenarios/README.md describes. Unknown fields are refused. */

const json = z.json();
const fields = z.record(z.string(), json);
const failure = z.strictObject({ code: z.string(), retryable: z.boolean() });
const saved = z.record(z.string(), z.string());
const withinMs = z.number().int().positive().optional();
const opening = z.strictObject({
  storageKey: fields.optional(),
  acceptRollback: z.boolean().optional(),
  protocol: fields.optional(),
  clusterId: z.number().optional(),
  events: z.boolean().optional(),
  offline: z.boolean().optional(),
  peers: z.array(z.string()).optional(),
});

const call = z.strictObject({
  as: z.string(),
  do: z.string(),
  with: fields.optional(),
  result: json.optional(),
  fails: failure.optional(),
  save: saved.optional(),
  eventually: z.literal(true).optional(),
  withinMs,
});
const expected = z.strictObject({
  as: z.string(),
  expect: z.string(),
  match: fields.optional(),
  save: saved.optional(),
  withinMs,
});
const never = z.strictObject({ as: z.string(), never: z.string(), match: fields.optional(), forMs: z.number() });
const received = z.strictObject({ as: z.string(), received: z.array(json), withinMs });
const start = z.strictObject({ as: z.string(), start: opening, fails: failure.optional() });
const end = z.strictObject({ as: z.string(), end: z.enum(["stop", "kill"]) });
const restart = z.strictObject({ as: z.string(), restart: z.enum(["stop", "kill"]) });
const saveFile = z.strictObject({ as: z.string(), saveFile: z.string() });
const restoreFile = z.strictObject({ as: z.string(), restoreFile: z.string() });
const writeFile = z.strictObject({ as: z.string(), writeFile: z.string() });
const pause = z.strictObject({ pauseMs: z.number().int().positive() });
const equal = z.strictObject({ equal: z.tuple([json, json]) });

const simple = z.union([
  call,
  expected,
  never,
  received,
  start,
  end,
  restart,
  saveFile,
  restoreFile,
  writeFile,
  pause,
  equal,
]);
const repeated = z.strictObject({ repeat: z.number().int().positive(), steps: z.array(simple) });
const step = z.union([simple, repeated]);

const person = opening.extend({ start: z.literal(false).optional() });

const scenario = z.strictObject({
  name: z.string(),
  shows: z.array(z.string().regex(/^[FUPRS]\d$/)).nonempty(),
  alone: z.literal(true).optional(),
  people: z.record(z.string(), person),
  steps: z.array(step).nonempty(),
});

export type Scenario = z.infer<typeof scenario>;
export type Step = z.infer<typeof step>;
export type Opening = z.infer<typeof opening>;
export type Failure = z.infer<typeof failure>;

const FOLDER = new URL("../scenarios/", import.meta.url);

/** Throws if it is not as the schema says, or names somebody who is not among its people. */
export function parseScenario(text: string, file: string): Scenario {
  const result = scenario.safeParse(JSON.parse(text));
  if (!result.success) throw new Error(`${file}: ${z.prettifyError(result.error)}`);
  const everyStep = result.data.steps.flatMap((one) => ("repeat" in one ? one.steps : [one]));
  for (const one of everyStep) {
    if ("as" in one && !(one.as in result.data.people)) throw new Error(`${file}: nobody is called ${one.as}`);
  }
  return result.data;
}

/** All scenarios of the repository, by the names of their files. */
export function readScenarios(): Scenario[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => parseScenario(readFileSync(new URL(file, FOLDER), "utf8"), file));
}
