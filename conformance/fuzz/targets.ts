import { Stage } from "./stage.ts";
import { storageTargets } from "./storage-targets.ts";
import type { Target } from "./target.ts";
import { wireTargets } from "./wire-targets.ts";

/** Every decoder of the core. */
export function allTargets(): Target[] {
  const stage = new Stage();
  return [...wireTargets(stage), ...storageTargets(stage)];
}
