// From the plugin and the guest's sources to the module.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundle, requireNoPrimitives } from "./bundle.mjs";
import { optimize } from "./optimize.mjs";
import { snapshot } from "./snapshot.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/** @param crypto - "intrinsics" or "noble". */
export async function buildModule(plugin, crypto) {
  const { version } = JSON.parse(readFileSync(path("../core/package.json"), "utf8"));
  const { source, sizes } = await bundle(path("guest/main.ts"), { crypto, define: { CORE_VERSION: version } });
  if (crypto === "intrinsics") requireNoPrimitives(sizes);
  return optimize(await snapshot(plugin, source));
}
