import { FailureError, TrapError } from "./errors.ts";
import { type WasiFunctions, wasiImports } from "./wasi.ts";

/** Of a request and of a result (abi/ABI.md). */
export const MAXIMUM_LENGTH = 64 * 1024 * 1024;

/** Answers the module: a method's number and its encoded request to the encoded response. It throws `FailureError` to fail. */
export type HostCall = (method: number, request: Uint8Array) => Uint8Array;

export interface ModuleOptions {
  hostCall: HostCall;
  /** Stand in for functions of WASI: for tests which show that their answers change nothing. */
  wasi?: WasiFunctions;
  /** Gets what the module writes to standard error: the last words of a panic. */
  onStderr?: (text: string) => void;
}

const [SUCCESS, FAILURE] = [0, 1];

interface Exports {
  memory: WebAssembly.Memory;
  chatsdk_alloc(length: number): number;
  chatsdk_free(pointer: number, length: number): void;
  chatsdk_call(method: number, pointer: number, length: number): bigint;
}

/** One instance of the core module: abi/ABI.md for a host in JavaScript. One call at a time. */
export class ModuleInstance {
  readonly #exports: Exports;
  readonly #hostCall: HostCall;
  #inCall = false;
  #trap: TrapError | undefined;

  /** Compiles and instantiates. */
  static async load(bytes: Uint8Array<ArrayBuffer>, options: ModuleOptions): Promise<ModuleInstance> {
    return new ModuleInstance(await WebAssembly.compile(bytes), options);
  }

  constructor(module: WebAssembly.Module, { hostCall, wasi = {}, onStderr = () => {} }: ModuleOptions) {
    this.#hostCall = hostCall;
    const wasiNames = WebAssembly.Module.imports(module)
      .filter((each) => each.module === "wasi_snapshot_preview1")
      .map(({ name }) => name);
    const { exports } = new WebAssembly.Instance(module, {
      chatsdk: { host_call: (...call: [number, number, number]) => this.#answer(...call) },
      wasi_snapshot_preview1: { ...wasiImports(wasiNames, () => this.#exports.memory, onStderr), ...wasi },
    });
    this.#exports = exports as unknown as Exports;
  }

  get memory(): WebAssembly.Memory {
    return this.#exports.memory;
  }

  get memoryBytes(): number {
    return this.memory.buffer.byteLength;
  }

  /**
   * The encoded response of a method of `CoreModule`. Throws `FailureError` if the call failed, and `TrapError` if the instance did, now
   * or before; `RangeError` for a request beyond the limit, which is not passed on.
   */
  call(method: number, request: Uint8Array): Uint8Array {
    if (this.#trap) throw this.#trap;
    if (this.#inCall) throw new Error("a call during a call; finish the first");
    if (request.length > MAXIMUM_LENGTH) throw new RangeError(`request: more than ${MAXIMUM_LENGTH} bytes`);
    this.#inCall = true;
    try {
      return this.#exchange(method, request);
    } catch (error) {
      if (error instanceof FailureError) throw error;
      this.#trap = error instanceof TrapError ? error : new TrapError("the module trapped", { cause: error });
      throw this.#trap;
    } finally {
      this.#inCall = false;
    }
  }

  #exchange(method: number, request: Uint8Array): Uint8Array {
    const { chatsdk_call, chatsdk_free } = this.#exports;
    const pointer = this.#place(request);
    const packed = chatsdk_call(method, pointer, request.length);
    this.#view(pointer, request.length).fill(0);
    chatsdk_free(pointer, request.length);
    const [resultPointer, resultLength] = unpack(packed);
    if (resultLength === 0 || resultLength > MAXIMUM_LENGTH) throw new TrapError(`a result of ${resultLength} bytes`);
    const inside = this.#view(resultPointer, resultLength);
    const result = inside.slice();
    inside.fill(0);
    chatsdk_free(resultPointer, resultLength);
    if (result[0] === SUCCESS) return result.subarray(1);
    if (result[0] === FAILURE) throw new FailureError(result.subarray(1));
    throw new TrapError(`a result of unknown status ${result[0]}`);
  }

  /** An exception of the host's own passes through the module as a trap: it is no failure that the module should report. */
  #answer(method: number, pointer: number, length: number): bigint {
    const request = this.#view(pointer >>> 0, length >>> 0).slice();
    let [status, message] = [SUCCESS, new Uint8Array()];
    try {
      message = this.#hostCall(method, request).slice();
    } catch (error) {
      if (!(error instanceof FailureError)) throw error;
      [status, message] = [FAILURE, error.failure.slice()];
    }
    const result = new Uint8Array(1 + message.length);
    result[0] = status;
    result.set(message, 1);
    return pack(this.#place(result), result.length);
  }

  #place(bytes: Uint8Array): number {
    const pointer = this.#exports.chatsdk_alloc(bytes.length) >>> 0;
    if (pointer === 0) throw new TrapError(`no memory for ${bytes.length} bytes`);
    this.#view(pointer, bytes.length).set(bytes);
    return pointer;
  }

  /** Part of the module's memory; valid until the module runs again. */
  #view(pointer: number, length: number): Uint8Array {
    const { buffer } = this.#exports.memory;
    if (pointer + length > buffer.byteLength) throw new TrapError(`${length} bytes at ${pointer}: outside the memory`);
    return new Uint8Array(buffer, pointer, length);
  }
}

function unpack(result: bigint): [pointer: number, length: number] {
  const unsigned = BigInt.asUintN(64, result);
  return [Number(unsigned >> 32n), Number(unsigned & 0xffff_ffffn)];
}

function pack(pointer: number, length: number): bigint {
  return BigInt.asIntN(64, (BigInt(pointer) << 32n) | BigInt(length));
}
