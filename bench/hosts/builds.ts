import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const MODULES = {
  intrinsics: `${ROOT}bindings-go/internal/module/chatsdk.wasm`,
  noble: `${ROOT}.cache/wasm-build/chatsdk-noble.wasm`,
};
export type ModuleName = keyof typeof MODULES;

const BUILT = `${ROOT}.cache/hosts`;
const RUST_TARGET = process.env["CARGO_TARGET_DIR"] ?? `${ROOT}bindings-rust/target`;

/** What is measured, as a command and its first arguments. */
export const PROGRAMS = {
  v8: [process.execPath, ...typescript("bench/hosts/v8.ts", "--conditions=source")],
  wazero: [`${BUILT}/bench-go`],
  wasmtime: [`${RUST_TARGET}/release/chatsdk-bench`],
} satisfies Record<string, string[]>;

/** Agents of the whole SDK; that of TypeScript over the compiled packages, as applications have them. */
export const AGENTS = {
  TypeScript: [process.execPath, ...typescript("conformance/agent/agent.ts")],
  Go: [`${BUILT}/agent-go`],
  Rust: [`${RUST_TARGET}/release/chatsdk-agent`],
} satisfies Record<string, string[]>;

function typescript(path: string, ...flags: string[]): string[] {
  return ["--disable-warning=ExperimentalWarning", "--experimental-transform-types", ...flags, `${ROOT}${path}`];
}

/** Builds what is missing or old. The compilers know what has changed; the module of noble is as old as the committed one. */
export function buildAll(): void {
  mkdirSync(BUILT, { recursive: true });
  if (!isNewer(MODULES.noble, MODULES.intrinsics))
    run(process.execPath, ["wasm-build/build.mjs", "--crypto", "noble"], ROOT);
  const go = { CGO_ENABLED: "0" };
  run("go", ["build", "-trimpath", "-o", `${BUILT}/bench-go`, "./internal/bench"], `${ROOT}bindings-go`, go);
  run("go", ["build", "-trimpath", "-o", `${BUILT}/agent-go`, "./internal/agent"], `${ROOT}bindings-go`, go);
  const packages = ["-p", "chatsdk-bench", "-p", "chatsdk-agent"];
  run("cargo", ["build", "--release", "--locked", ...packages], `${ROOT}bindings-rust`, {
    CARGO_TARGET_DIR: RUST_TARGET,
  });
}

function isNewer(path: string, than: string): boolean {
  return existsSync(path) && statSync(path).mtimeMs >= statSync(than).mtimeMs;
}

function run(command: string, args: string[], cwd: string, env: Record<string, string> = {}): void {
  process.stderr.write(`${command} ${args.join(" ")}\n`);
  const { error, status } = spawnSync(command, args, { cwd, stdio: ["ignore", 2, 2], env: { ...process.env, ...env } });
  if (error) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: exit status ${status}`);
}
