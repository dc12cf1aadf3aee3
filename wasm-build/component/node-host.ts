import { transpileBytes } from "@bytecodealliance/jco-transpile";
import { CoreModuleClient } from "@chatsdk/abi/core-module";
import { ChatError } from "@chatsdk/abi/errors";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { dispatchModuleHost, type ModuleHost } from "@chatsdk/abi/module-host";
import { decodeResult, type ModuleCaller } from "@chatsdk/abi/results";
import { TrapError } from "../host/errors.ts";

/** `failure` of abi/wit/chatsdk.wit as jco gives and takes it. */
interface FailureRecord {
  code: string;
  message: string;
  retryable: boolean;
}

/** A method's number and its encoded request to the encoded response. It throws `ChatError` to fail. */
export type HostCall = (method: number, request: Uint8Array) => Uint8Array;

/** What jco makes of the component. */
interface Transpiled {
  instantiate(
    coreModule: (path: string) => WebAssembly.Module,
    imports: { "chatsdk:abi/module-host": { hostCall: HostCall } },
    instantiateCore: (module: WebAssembly.Module, imports: WebAssembly.Imports) => WebAssembly.Instance,
  ): { coreModule: { call: HostCall } };
}

/** The component in Node, through jco: transpiled once, instantiated for each database. */
export class Component {
  /** The interfaces with functions that it imports. */
  readonly imports: readonly string[];
  readonly #code: Transpiled;
  readonly #coreModules: ReadonlyMap<string, WebAssembly.Module>;

  private constructor(code: Transpiled, coreModules: ReadonlyMap<string, WebAssembly.Module>, imports: string[]) {
    this.#code = code;
    this.#coreModules = coreModules;
    this.imports = imports;
  }

  static async load(component: Uint8Array): Promise<Component> {
    const { files, imports } = await transpileBytes(component, {
      name: "chatsdk",
      instantiation: "sync",
      noComponentErrorWrapping: true,
      emitTypescriptDeclarations: false,
    });
    const coreModules = new Map<string, WebAssembly.Module>();
    for (const [name, content] of Object.entries(files))
      if (name.endsWith(".wasm")) coreModules.set(name, new WebAssembly.Module(content as Uint8Array<ArrayBuffer>));
    const source = `data:text/javascript;base64,${Buffer.from(files["chatsdk.js"]!).toString("base64")}`;
    return new Component((await import(source)) as Transpiled, coreModules, imports);
  }

  instantiate(hostCall: HostCall): ComponentInstance {
    let memory: WebAssembly.Memory | undefined;
    const { coreModule } = this.#code.instantiate(
      (path) => this.#coreModules.get(path)!,
      { "chatsdk:abi/module-host": { hostCall: (method, request) => throwingRecords(hostCall, method, request) } },
      (module, imports) => {
        const instance = new WebAssembly.Instance(module, imports);
        // Only the core has one.
        memory ??= instance.exports["memory"] as WebAssembly.Memory | undefined;
        return instance;
      },
    );
    return new ComponentInstance(coreModule.call, memory!);
  }
}

/** One instance: one call at a time, until the first trap. */
export class ComponentInstance implements ModuleCaller {
  readonly client = new CoreModuleClient(this);
  readonly #call: HostCall;
  readonly #memory: WebAssembly.Memory;
  #trap: TrapError | undefined;

  constructor(call: HostCall, memory: WebAssembly.Memory) {
    this.#call = call;
    this.#memory = memory;
  }

  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** Throws `ChatError` if the call failed, and `TrapError` if the instance did, now or before. */
  callModule(method: number, request: Uint8Array): Uint8Array {
    if (this.#trap) throw this.#trap;
    try {
      return this.#call(method, request);
    } catch (error) {
      if (isFailure(error)) throw errorOf(error);
      this.#trap = new TrapError("the component trapped", { cause: error });
      throw this.#trap;
    }
  }
}

/** What a component calls, served by a host of the contract. */
export function serve(host: ModuleHost): HostCall {
  return (method, request) => decodeResult(dispatchModuleHost(host, method, request));
}

function throwingRecords(hostCall: HostCall, method: number, request: Uint8Array): Uint8Array {
  try {
    return hostCall(method, request);
  } catch (error) {
    if (!(error instanceof ChatError)) throw error;
    const { code, message, retryable } = error;
    // jco takes what is thrown as the error case, if it is no Error.
    throw { code: caseOf(code), message, retryable } satisfies FailureRecord;
  }
}

function isFailure(error: unknown): error is FailureRecord {
  return typeof error === "object" && error !== null && !(error instanceof Error) && "code" in error;
}

function errorOf({ code, message, retryable }: FailureRecord): ChatError {
  const name = code.toUpperCase().replaceAll("-", "_") as keyof typeof ErrorCode;
  return new ChatError(ErrorCode[name] ?? ErrorCode.ERROR_CODE_UNSPECIFIED, message, { retryable });
}

/** WRONG_KEY to wrong-key. */
function caseOf(code: ErrorCode): string {
  return ErrorCode[code]!.toLowerCase().replaceAll("_", "-");
}
