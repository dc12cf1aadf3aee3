// Binaryen over a whole module: what the exports do not reach goes, the rest gets smaller and faster. The result is kept by the hash of its
// input, since this is the slowest step of a build.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sha256 } from "./hash.mjs";
import { run } from "./toolchain/toolchain.mjs";

const FEATURES = ["simd", "bulk-memory", "sign-ext", "nontrapping-float-to-int", "mutable-globals"];
const OPTIONS = ["-O3", "--strip-debug", "--strip-producers", ...FEATURES.map((feature) => `--enable-${feature}`)];
const cache = fileURLToPath(new URL("../.cache/wasm-build/optimized", import.meta.url));
const require = createRequire(import.meta.url);

/** @param {Uint8Array} module */
export function optimize(module) {
  const { version } = require("binaryen/package.json");
  const kept = join(cache, `${sha256(Buffer.concat([module, Buffer.from([version, ...OPTIONS].join())]))}.wasm`);
  if (existsSync(kept)) return readFileSync(kept);
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "making-"));
  const [input, output] = ["input.wasm", "output.wasm"].map((name) => join(folder, name));
  writeFileSync(input, module);
  run(process.execPath, [require.resolve("binaryen/bin/wasm-opt"), ...OPTIONS, input, "-o", output]);
  renameSync(output, kept);
  rmSync(folder, { recursive: true });
  return readFileSync(kept);
}
