import { dispatchCoreModule } from "@chatsdk/abi/core-module";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError } from "@chatsdk/core";
import { crypto, cryptoName } from "#crypto";
import { coreModule } from "./core-module.ts";
import { failureResult, reporting } from "./failures.ts";
import { plugin } from "./plugin.ts";

const served = reporting(coreModule(crypto, cryptoName));

plugin.register((method, request) => dispatchCoreModule(served, method, request), {
  tooLarge: failureResult(new ChatError(ErrorCode.INVALID_ARGUMENT, "request: more than 67,108,864 bytes")),
  busy: failureResult(
    new ChatError(ErrorCode.INVALID_ARGUMENT, "a call during a call: finish the first, or make another instance"),
  ),
  exhausted: failureResult(new ChatError(ErrorCode.INTERNAL, "out of memory; use smaller requests")),
});
