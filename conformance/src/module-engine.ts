import { readFileSync } from "node:fs";
import { getOption } from "@bufbuild/protobuf";
import { CoreModule } from "@chatsdk/abi/module_pb";
import { number$ } from "@chatsdk/abi/options_pb";
import { ModuleInstance } from "../../wasm-build/host/index.ts";
import type { Reader, TraceEngine } from "./trace-replayer.ts";

const COMMITTED = new URL("../../bindings-go/internal/module/chatsdk.wasm", import.meta.url);

const { openCore, step, commitFailed } = CoreModule.method;

/** The core module as the packages carry it, run by V8. */
export function committedModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(COMMITTED));
}

/** An instance of the core module. */
export class ModuleEngine implements TraceEngine {
  readonly #instance: ModuleInstance;
  #reader: Reader | undefined;

  constructor(module: WebAssembly.Module) {
    this.#instance = new ModuleInstance(module, { hostCall: (_, request) => this.#reader!(request) });
  }

  openCore(request: Uint8Array, reader: Reader): Uint8Array {
    return this.#call(openCore, request, reader);
  }

  step(input: Uint8Array, reader: Reader): Uint8Array {
    return this.#call(step, input, reader);
  }

  commitFailed(): void {
    this.#instance.call(getOption(commitFailed, number$), new Uint8Array());
  }

  #call(method: typeof openCore | typeof step, request: Uint8Array, reader: Reader): Uint8Array {
    this.#reader = reader;
    return this.#instance.call(getOption(method, number$), request);
  }
}
