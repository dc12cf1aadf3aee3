import { fromBinary } from "@bufbuild/protobuf";
import { FailureSchema } from "@chatsdk/abi/api_pb";
import { CoreModuleClient } from "@chatsdk/abi/core-module";
import { errorOf } from "@chatsdk/abi/errors";
import { dispatchModuleHost, type ModuleHost } from "@chatsdk/abi/module-host";
import { FailureError } from "./errors.ts";
import { ModuleInstance, type ModuleOptions } from "./module-instance.ts";

const FAILURE = 1;

/** The generated client over one instance. `host` answers its reads, and throws the contract's `ChatError` to fail. */
export function connect(
  module: WebAssembly.Module,
  host: ModuleHost,
  options: Omit<ModuleOptions, "hostCall"> = {},
): { client: CoreModuleClient; instance: ModuleInstance } {
  const instance = new ModuleInstance(module, {
    ...options,
    hostCall(method, request) {
      const result = dispatchModuleHost(host, method, request);
      if (result[0] === FAILURE) throw new FailureError(result.subarray(1));
      return result.subarray(1);
    },
  });
  const client = new CoreModuleClient({
    callModule(method, request) {
      try {
        return instance.call(method, request);
      } catch (error) {
        throw error instanceof FailureError ? errorOf(fromBinary(FailureSchema, error.failure)) : error;
      }
    },
  });
  return { client, instance };
}
