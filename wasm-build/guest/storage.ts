import { getOption, toBinary } from "@bufbuild/protobuf";
import { type Read, ReadSchema } from "@chatsdk/abi/host_pb";
import { ModuleHost, ReadAnswerSchema } from "@chatsdk/abi/module_pb";
import { number$ } from "@chatsdk/abi/options_pb";
import type { Answer, Steps } from "@chatsdk/core";
import { plugin } from "./plugin.ts";
import { responseOf } from "./result.ts";

const READ = getOption(ModuleHost.method.read, number$);

/** Runs a part of the core. A read that fails ends it: the failure is thrown here, not into the core, which is not asked again. */
export function run<Result>(steps: Steps<Result>): Result {
  let next = steps.next();
  while (!next.done) next = steps.next(answer(next.value));
  return next.value;
}

function answer(read: Read): Answer {
  return responseOf(ReadAnswerSchema, plugin.hostCall(READ, toBinary(ReadSchema, read))).records;
}
