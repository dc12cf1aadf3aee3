import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The circuit's files, which `node waku-node/rln/circuit/extract.mjs .cache/rln/circuit` brings. */
export function circuitFiles(): { provingKey: string; witnessProgram: string } {
  const folder = fileURLToPath(new URL("../../../.cache/rln/circuit", import.meta.url));
  const files = { provingKey: join(folder, "rln_final.zkey"), witnessProgram: join(folder, "rln.wasm") };
  for (const file of Object.values(files))
    if (!existsSync(file))
      throw new Error(`${file} is missing: run node waku-node/rln/circuit/extract.mjs .cache/rln/circuit`);
  return files;
}
