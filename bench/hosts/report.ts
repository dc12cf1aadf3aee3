import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { table } from "../src/measure.ts";
import { MODULES } from "./builds.ts";
import type { ColdStart } from "./cold-start.ts";
import type { Took } from "./program.ts";
import type { Result } from "./result.ts";

export interface EngineRow {
  engine: "V8, no module" | "V8" | "wazero" | "wasmtime";
  crypto: "node" | "noble" | "intrinsics";
  /** `loadMs`: compiling with a filled cache. */
  result: Result & { loadMs: number };
  /** Where there is a module. */
  start?: ColdStart;
}

const CRYPTO = { node: "node:crypto", noble: "noble", intrinsics: "intrinsics" };
const NOTHING = "–";

/** Ping-pong/s of other libraries in V8 and natively, measured earlier: see "Operations per second" in README.md. */
const REFERENCES = [
  ["libsignal-client (native, bare ratchet)", 2788],
  ["matrix-sdk-crypto-wasm (V8, whole stack)", 164],
] as const;

export function engineTable(rows: readonly EngineRow[]): string {
  const base = rows.find(({ engine, crypto }) => engine === "wasmtime" && crypto === "intrinsics")!.result;
  const ratio = (value: number) => (value / base.pingPongPerSecond).toPrecision(2);
  const head = [
    "engine",
    "primitives",
    "ping-pong/s",
    "ratio",
    "with acknowledgements/s",
    "compile, ms",
    "load, ms",
    "instantiate, ms",
  ];
  const lines = rows.map(({ engine, crypto, result }) => [
    engine,
    CRYPTO[crypto],
    rounded(result.pingPongPerSecond),
    ratio(result.pingPongPerSecond),
    rounded(result.messagesPerSecond),
    result.compileMs === 0 ? NOTHING : rounded(result.compileMs),
    engine.startsWith("V8") ? NOTHING : rounded(result.loadMs),
    result.instantiateMs === 0 ? NOTHING : rounded(result.instantiateMs),
  ]);
  const references = REFERENCES.map(([name, value]) => [name, NOTHING, value, ratio(value), ...Array(4).fill(NOTHING)]);
  return table(head, [...lines, ...references]);
}

export function coldStarts(rows: readonly EngineRow[]): string {
  return table(
    ["first message, module alone", "primitives", "cache empty", "cache filled"],
    rows.flatMap(({ engine, crypto, start }) => (start ? [[engine, CRYPTO[crypto], ...startCells(start)]] : [])),
  );
}

export function wholeStarts(agents: readonly { language: string; start: ColdStart }[]): string {
  return table(
    ["first message, whole SDK", "cache empty", "cache filled"],
    agents.map(({ language, start }) => [language, ...startCells(start)]),
  );
}

export function memoryTable(rows: readonly EngineRow[]): string {
  const measured = rows.filter(({ start, crypto }) => start && crypto === "intrinsics");
  const counts = measured[0]!.result.memory.map(([count]) => count);
  return table(
    ["linear memory, MiB", ...counts.map((count) => `${count.toLocaleString("en")} messages`)],
    measured.map(({ engine, result }) => [engine, ...result.memory.map(([, bytes]) => (bytes / 2 ** 20).toFixed(2))]),
  );
}

export function moduleSizes(): string {
  return table(
    ["module", "bytes", "gzip"],
    Object.entries(MODULES).map(([name, path]) => {
      const bytes = readFileSync(path);
      return [name, bytes.length, gzipSync(bytes, { level: 9 }).length];
    }),
  );
}

function startCells({ empty, filled }: ColdStart): string[] {
  const cell = ({ wallMs, cpuMs }: Took) =>
    `${Math.round(wallMs)} ms${cpuMs === undefined ? "" : ` (processor ${cpuMs} ms)`}`;
  return [cell(empty), cell(filled)];
}

function rounded(value: number): string {
  return value < 10 ? value.toPrecision(2) : String(Math.round(value));
}
