// Builds the core module from registries alone; see README.md. Runs on Node 20 and later.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { sha256 } from "./hash.mjs";
import { run } from "./toolchain/toolchain.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const here = fileURLToPath(new URL(".", import.meta.url));
const MAXIMUM_SIZE = 2_000_000;
/** Where the module is committed: inside the packages that carry it. */
const targets = ["bindings-go/internal/module/chatsdk.wasm", "bindings-rust/chatsdk/module/chatsdk.wasm"];

const { values: options } = parseArgs({
  options: {
    check: { type: "boolean", default: false },
    plugin: { type: "boolean", default: false },
    crypto: { type: "string", default: "intrinsics" },
  },
});
if (options.crypto !== "intrinsics" && options.crypto !== "noble") throw new Error("--crypto: intrinsics or noble");

installPackages();
const { plugin } = await import("./plugin.mjs");
const { buildModule } = await import("./module.mjs");
const module = await buildModule(plugin({ force: options.plugin, check: options.check }), options.crypto);
const hash = sha256(module);
console.log(`${hash} ${module.length} bytes`);

if (options.crypto === "noble") write(".cache/wasm-build/chatsdk-noble.wasm");
else {
  if (module.length > MAXIMUM_SIZE) throw new Error(`the module has ${module.length} bytes, more than ${MAXIMUM_SIZE}`);
  for (const target of targets) options.check ? compare(target) : write(target);
}

/** esbuild and binaryen, as locked. */
function installPackages() {
  const { devDependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  const require = createRequire(import.meta.url);
  const isInstalled = Object.entries(devDependencies).every(([name, version]) => {
    const folder = require.resolve
      .paths(name)
      .map((path) => join(path, name))
      .find((path) => existsSync(path));
    return folder && JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version === version;
  });
  if (!isInstalled) run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: here });
}

function write(target) {
  const path = join(root, target);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, module);
  console.log(`written: ${target}`);
}

function compare(target) {
  const committed = sha256(readFileSync(join(root, target)));
  if (committed !== hash) throw new Error(`${target}: committed ${committed}, built ${hash}; run wasm-build/build.mjs`);
  console.log(`the same: ${target}`);
}
