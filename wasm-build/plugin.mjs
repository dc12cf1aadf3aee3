// The plugin: committed as plugin.wasm with the hash of what it was made from, and compiled again only when that has changed.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sha256 } from "./hash.mjs";
import { prepareToolchain, run } from "./toolchain/toolchain.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const cache = fileURLToPath(new URL("../.cache/wasm-build", import.meta.url));
const file = join(here, "plugin.wasm");
const lockFile = join(here, "plugin.lock.json");

/** The plugin's bytes. Compiles it if its sources have changed, or always with `force`; with `check` only compares. */
export function plugin({ force = false, check = false } = {}) {
  const inputs = hashOfInputs();
  const lock = existsSync(lockFile) ? JSON.parse(readFileSync(lockFile, "utf8")) : {};
  const committed = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  const isCurrent = lock.inputs === inputs && lock.sha256 === sha256(committed);
  if (isCurrent && !force) return committed;
  const compiled = compile();
  const hash = sha256(compiled);
  if (check && hash !== sha256(committed))
    throw new Error(`plugin.wasm: committed ${sha256(committed)}, built ${hash}`);
  if (check && lock.inputs !== inputs) throw new Error("plugin.lock.json: not of these sources; run build.mjs");
  writeFileSync(file, compiled);
  writeFileSync(lockFile, `${JSON.stringify({ inputs, sha256: hash }, undefined, 2)}\n`);
  return compiled;
}

function compile() {
  mkdirSync(cache, { recursive: true });
  const source = join(here, "plugin");
  const target = join(cache, "target");
  // First, so that the toolchain can tell the compiler where the crates' sources lie.
  run("cargo", ["fetch", "--locked"], { cwd: source });
  const { arguments: options, env } = prepareToolchain(join(cache, "toolchain"));
  const [version, ...rest] = options;
  run("cargo", [version, "build", "--release", "--jobs", "2", "--target-dir", target, ...rest], { cwd: source, env });
  return readFileSync(join(target, "wasm32-wasip1/release/chatsdk_plugin.wasm"));
}

function hashOfInputs() {
  const hash = createHash("sha256");
  for (const path of ["plugin", "toolchain"].flatMap(filesUnder))
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(here, path)))
      .update("\0");
  return hash.digest("hex");
}

function filesUnder(path) {
  if (!statSync(join(here, path)).isDirectory()) return [path];
  return readdirSync(join(here, path))
    .filter((name) => name !== "target")
    .sort()
    .flatMap((name) => filesUnder(join(path, name)));
}
