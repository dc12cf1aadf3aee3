import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { DATA, record, type Summary, summarize } from "./recordings.ts";
import { SCENES } from "./scenes/index.ts";

/** Records all traces again and says what has changed. */
const before = readIndex();
rmSync(DATA, { recursive: true, force: true });
mkdirSync(DATA);
const index: Record<string, Summary> = {};
let bytes = 0;
for (const name of Object.keys(SCENES)) {
  for (const trace of record(name)) {
    const packed = gzipSync(JSON.stringify(trace), { level: 9 });
    writeFileSync(new URL(`${trace.name}.json.gz`, DATA), packed);
    index[trace.name] = summarize(trace);
    bytes += packed.length;
    const { steps } = index[trace.name]!;
    const note = before[trace.name] === undefined ? "new" : `${before[trace.name]!.steps} before`;
    console.log(`${trace.name}: ${steps} steps (${note}), ${packed.length} bytes`);
  }
}
writeFileSync(new URL("index.json", DATA), `${JSON.stringify(index, undefined, 2)}\n`);
const steps = Object.values(index).reduce((sum, summary) => sum + summary.steps, 0);
console.log(`${Object.keys(index).length} traces, ${steps} steps, ${bytes} bytes`);

function readIndex(): Record<string, Summary> {
  try {
    return JSON.parse(readFileSync(new URL("index.json", DATA), "utf8")) as Record<string, Summary>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
}
