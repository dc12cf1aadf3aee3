import { decodeResult } from "@chatsdk/abi/results";
import { ModuleHostClient } from "@chatsdk/abi/module-host";
import type { Steps } from "@chatsdk/core";
import { plugin } from "./plugin.ts";

const host = new ModuleHostClient({
  callModule: (method, request) => decodeResult(plugin.hostCall(method, request)),
});

/** Runs a part of the core. A read that fails ends it: the failure is thrown here, not into the core, which is not asked again. */
export function run<Result>(steps: Steps<Result>): Result {
  let next = steps.next();
  while (!next.done) next = steps.next(host.read(next.value).records);
  return next.value;
}
