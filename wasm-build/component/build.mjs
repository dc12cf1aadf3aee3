// Wraps the core module as a component; see README.md. Runs on Node 20 and later.
// node wasm-build/component/build.mjs [--output FILE] [--core FILE]
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installPackages } from "./packages.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

const { values: options } = parseArgs({
  options: {
    core: { type: "string", default: path("../../bindings-rust/chatsdk/module/chatsdk.wasm") },
    output: { type: "string", default: path("../../.cache/component/chatsdk.component.wasm") },
  },
});

installPackages();
const { makeComponent } = await import("./component.mjs");
const component = await makeComponent(readFileSync(options.core));
const output = resolve(options.output);
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, component);
console.log(`written: ${output}, ${component.length} bytes`);
