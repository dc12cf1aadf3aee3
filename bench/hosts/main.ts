import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { AGENTS, buildAll, MODULES, type ModuleName, PROGRAMS } from "./builds.ts";
import { agentStart, engineStart } from "./cold-start.ts";
import { Program } from "./program.ts";
import { coldStarts, type EngineRow, engineTable, memoryTable, moduleSizes, wholeStarts } from "./report.ts";
import type { Result } from "./result.ts";

/**
 * The core in every engine, with noble in the guest and with the intrinsics: ping-pong, start, memory. Options: `--messages` of the memory's
 * last measurement, default 100000; `--noble-messages`, which are slow in a guest, default 40.
 */
const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "100000" },
    "noble-messages": { type: "string", default: "40" },
  },
});
const counts = [1000, 10_000, 100_000]
  .filter((count) => count < Number(values.messages))
  .concat(Number(values.messages));
const COUNTS: Record<ModuleName, string[]> = { intrinsics: counts.map(String), noble: [values["noble-messages"]] };

buildAll();
const rows: EngineRow[] = [];
for (const crypto of ["noble", "node"] as const)
  rows.push({ engine: "V8, no module", crypto, result: await measure([...PROGRAMS.v8, crypto], ["2000"]) });
for (const [engine, program] of [
  ["V8", PROGRAMS.v8],
  ["wazero", PROGRAMS.wazero],
  ["wasmtime", PROGRAMS.wasmtime],
] as const) {
  for (const crypto of ["noble", "intrinsics"] as const) {
    const start = await engineStart([...program, MODULES[crypto]]);
    rows.push({ engine, crypto, result: await measure([...program, MODULES[crypto]], COUNTS[crypto]), start });
  }
}

console.log(`${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}\n`);
console.log(`${engineTable(rows)}\n\n${coldStarts(rows)}\n\n${memoryTable(rows)}\n\n${moduleSizes()}`);
const agents = [];
for (const [language, command] of Object.entries(AGENTS)) agents.push({ language, start: await agentStart(command) });
console.log(`\n${wholeStarts(agents)}`);
requireSameBytes(rows);

/** The first run compiles the module and, where there is a cache, leaves it there; the second loads it. */
async function measure(program: readonly string[], counts: readonly string[]): Promise<EngineRow["result"]> {
  process.stderr.write(`${[...program, ...counts].join(" ")}\n`);
  const folder = mkdtempSync(join(tmpdir(), "chatsdk-bench-"));
  try {
    const { compileMs } = await run(program, folder);
    const result = await run([...program, ...counts], folder);
    return { ...result, compileMs, loadMs: result.compileMs };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function run(command: readonly string[], folder: string): Promise<Result> {
  const program = new Program(command, { XDG_CACHE_HOME: join(folder, "cache") });
  await program.line();
  const result = JSON.parse(await program.line()) as Result;
  await program.end();
  return result;
}

/** Otherwise they have not done the same work. */
function requireSameBytes(all: readonly EngineRow[]): void {
  const [{ result: first }] = all as [EngineRow];
  for (const { engine, crypto, result } of all)
    if (result.digest === "" || result.digest !== first.digest)
      throw new Error(`${engine}, ${crypto}: results differ from those of ${all[0]!.engine}`);
}
