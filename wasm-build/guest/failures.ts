import { DoneSchema } from "@chatsdk/abi/api_pb";
import type { CoreModule } from "@chatsdk/abi/core-module";
import { serveMethod } from "@chatsdk/abi/results";
import { ChatError } from "@chatsdk/core";

/** The methods, whose errors the generated dispatcher then tells of. A defect is reported on standard error, too. */
export function reporting(served: CoreModule): CoreModule {
  const wrapped = Object.entries(served).map(([name, method]: [string, (request: never) => unknown]) => [
    name,
    (request: never) => {
      try {
        return method(request);
      } catch (error) {
        if (!(error instanceof ChatError)) report(error);
        throw error;
      }
    },
  ]);
  return Object.fromEntries(wrapped) as CoreModule;
}

/** The result of a call that ends with an error. */
export function failureResult(error: ChatError): Uint8Array {
  return serveMethod([DoneSchema, DoneSchema], new Uint8Array(), () => {
    throw error;
  });
}

/** An exception's text may hold what the application wrote, or a key: only its kind and its place are written. */
function report(error: unknown): void {
  const { name, stack } = error instanceof Error ? error : { name: typeof error, stack: "" };
  console.error(`a defect of the core: ${name}\n${stack}`);
}
