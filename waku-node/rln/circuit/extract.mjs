// Writes the circuit's files for JavaScript, rln.wasm and rln_final.zkey, into a folder: node extract.mjs FOLDER.
// They come out of the crate rln 0.8.0, which cargo fetches and checks against Cargo.lock; no npm package has them.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const digests = {
  "rln.wasm": "b4d2d17598d8ca8c7de34f2bdad067e7c0578b9175f7f95f753cbd39f128863f",
  "rln_final.zkey": "ae30d3d4b29d9dab8c65ff181644a3eb57c2c0fa9f687ea3baf8c7f711d7946a",
};

function cargo(...args) {
  const manifest = fileURLToPath(new URL("Cargo.toml", import.meta.url));
  const { error, status, stdout } = spawnSync("cargo", [...args, "--locked", "--manifest-path", manifest], {
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 64 * 1024 * 1024,
    encoding: "utf8",
  });
  if (error) throw new Error(`cargo: ${error.message}`);
  if (status !== 0) throw new Error(`cargo ${args[0]}: exit status ${status}`);
  return stdout;
}

const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: node extract.mjs FOLDER");
cargo("fetch", "--quiet");
const { packages } = JSON.parse(cargo("metadata", "--format-version", "1", "--offline"));
const crate = packages.find(({ name, version }) => name === "rln" && version === "0.8.0");
mkdirSync(folder, { recursive: true });
for (const [name, digest] of Object.entries(digests)) {
  const content = readFileSync(join(dirname(crate.manifest_path), "resources", "tree_height_20", name));
  if (createHash("sha256").update(content).digest("hex") !== digest)
    throw new Error(`${name} is not the file of rln 0.8.0`);
  writeFileSync(join(folder, name), content);
}
