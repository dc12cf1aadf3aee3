// From the plugin and the guest's sources to the module.
import { fileURLToPath } from "node:url";
import { bundle, requireNoPrimitives } from "./bundle.mjs";
import { constants } from "./contract.mjs";
import { snapshot } from "./snapshot.mjs";

/** @param crypto - "intrinsics" or "noble". */
export async function buildModule(plugin, crypto) {
  const entry = fileURLToPath(new URL("guest/main.ts", import.meta.url));
  const { source, sizes } = await bundle(entry, { crypto, define: constants() });
  if (crypto === "intrinsics") requireNoPrimitives(sizes);
  return snapshot(plugin, source);
}
