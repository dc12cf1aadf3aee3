import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FailureSchema } from "@chatsdk/abi/api_pb";
import { CONTRACT_HASH, CONTRACT_VERSION, MAXIMUM_LENGTH } from "@chatsdk/abi/contract";
import { ChatError } from "@chatsdk/abi/errors";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { describe, expect, test } from "vitest";
import { OpenCoreRequestSchema } from "@chatsdk/abi/module_pb";
import core from "../../core/package.json" with { type: "json" };
import { ModuleInstance, TrapError } from "../host/index.ts";
import { entropyOf, Host, HOST_KEY, module } from "./support/module.ts";

interface Exports {
  memory: WebAssembly.Memory;
  chatsdk_alloc(length: number): number;
  chatsdk_free(pointer: number, length: number): void;
  chatsdk_call(method: number, pointer: number, length: number): bigint;
}

/** The exports without a host that checks anything. */
function bare(hostCall: (exports: Exports) => bigint = () => 0n): Exports {
  const wasi = new Proxy({}, { get: () => () => 52 });
  const chatsdk = { host_call: () => hostCall(exports) };
  const instance = new WebAssembly.Instance(module, { chatsdk, wasi_snapshot_preview1: wasi } as WebAssembly.Imports);
  const exports = instance.exports as unknown as Exports;
  return exports;
}

function placed({ memory, chatsdk_alloc }: Exports, bytes: Uint8Array): [pointer: number, length: number] {
  const pointer = chatsdk_alloc(bytes.length);
  new Uint8Array(memory.buffer, pointer, bytes.length).set(bytes);
  return [pointer, bytes.length];
}

/** Status and message of a result. */
function taken({ memory }: Exports, result: bigint): { status: number; message: Uint8Array } {
  const [pointer, length] = [Number(BigInt.asUintN(64, result) >> 32n), Number(result & 0xffff_ffffn)];
  const bytes = new Uint8Array(memory.buffer, pointer, length).slice();
  return { status: bytes[0]!, message: bytes.subarray(1) };
}

function failureOf(exports: Exports, result: bigint): { code: string | undefined; message: string } {
  const { status, message } = taken(exports, result);
  expect(status).toBe(1);
  const { code, message: text } = fromBinary(FailureSchema, message);
  return { code: ErrorCode[code], message: text };
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof ChatError) return error.codeName;
    throw error;
  }
  return "no error";
}

describe("the module's shape", () => {
  test("S3 the exports are those of the ABI, and the only import of its own is host_call", () => {
    expect(
      WebAssembly.Module.exports(module)
        .map(({ name, kind }) => `${kind} ${name}`)
        .sort(),
    ).toStrictEqual(["function chatsdk_alloc", "function chatsdk_call", "function chatsdk_free", "memory memory"]);
    const imports = WebAssembly.Module.imports(module).filter((each) => each.module !== "wasi_snapshot_preview1");
    expect(imports.map(({ module: from, name }) => `${from}.${name}`)).toStrictEqual(["chatsdk.host_call"]);
  });

  test("S3 Describe tells contract, core and primitives", () => {
    expect(new Host().client.describe({})).toMatchObject({
      contractVersion: CONTRACT_VERSION,
      contractHash: CONTRACT_HASH,
      coreVersion: core.version,
      crypto: "intrinsics",
    });
  });
});

describe("calls that are refused change nothing", () => {
  test("S3 a method that does not exist, and a request that does not decode, are INVALID_ARGUMENT", () => {
    const exports = bare();
    for (const method of [0, 9, -1, 2 ** 31 - 1])
      expect(failureOf(exports, exports.chatsdk_call(method, ...placed(exports, new Uint8Array(3)))).code).toBe(
        "INVALID_ARGUMENT",
      );
    for (const bytes of [[0x0a], [0x00], [0x0a, 0x7f, 0x01], [0xff, 0xff, 0xff, 0xff, 0xff]])
      expect(failureOf(exports, exports.chatsdk_call(4, ...placed(exports, Uint8Array.from(bytes)))).code).toBe(
        "INVALID_ARGUMENT",
      );
  });

  test("S3 what comes before OpenCore, and a second OpenCore, are INVALID_ARGUMENT", () => {
    const host = new Host();
    const { client } = host;
    const early = [
      () => host.step({ case: "start", value: {} }, entropyOf(1)),
      () => client.commitFailed({}),
      () => client.openMessages({}),
      () => client.openConversations({}),
    ];
    for (const call of early) expect(codeOf(call)).toBe("INVALID_ARGUMENT");
    const header = host.newHeader();
    host.openCore(header);
    expect(codeOf(() => host.openCore(header))).toBe("INVALID_ARGUMENT");
    expect(host.step({ case: "createAccount", value: {} }, entropyOf(2)).reply?.reply.case).toBe("account");
  });

  test("S3 a wrong key opens nothing, and the right one still does", () => {
    const host = new Host();
    const header = host.newHeader();
    expect(codeOf(() => host.openCore(header, new Uint8Array(32)))).toBe("WRONG_KEY");
    expect(codeOf(() => host.client.commitFailed({}))).toBe("INVALID_ARGUMENT");
    host.openCore(header);
  });

  test("S3 keys and entropy of another length, and a missing header, are INVALID_ARGUMENT that names the field", () => {
    const host = new Host();
    const { client } = host;
    const header = host.newHeader();
    const short = new Uint8Array(31);
    const [hostKey, entropy] = [HOST_KEY, entropyOf(1)];
    const rekey = { header, oldHostKey: hostKey, newHostKey: hostKey, entropy };
    const calls: [string, () => unknown][] = [
      ["host_key", () => client.createVault({ hostKey: short, entropy })],
      ["entropy", () => client.createVault({ hostKey, entropy: short })],
      ["old_host_key", () => client.rekeyVault({ ...rekey, oldHostKey: short })],
      ["new_host_key", () => client.rekeyVault({ ...rekey, newHostKey: short })],
      ["entropy", () => client.rekeyVault({ ...rekey, entropy: short })],
      ["header", () => client.rekeyVault({ oldHostKey: hostKey, newHostKey: hostKey, entropy })],
      ["header", () => client.openCore({ hostKey })],
      ["host_key", () => client.openCore({ header, hostKey: short })],
      ["entropy", () => Host.open().prepare({ case: "start", value: {} }, short)],
    ];
    for (const [field, call] of calls)
      expect(call, field).toThrow(
        expect.objectContaining({ code: ErrorCode.INVALID_ARGUMENT, message: expect.stringContaining(`${field}:`) }),
      );
  });

  test("S3 a request beyond the limit is INVALID_ARGUMENT and is not read", () => {
    const exports = bare();
    const length = MAXIMUM_LENGTH + 1;
    // Outside the memory: reading it would trap.
    expect(failureOf(exports, exports.chatsdk_call(1, 0x7fff_0000, length)).code).toBe("INVALID_ARGUMENT");
  });
});

describe("what the host does wrong", () => {
  test("S3 a request outside the memory traps, and other instances go on", () => {
    const exports = bare();
    const size = exports.memory.buffer.byteLength;
    for (const [pointer, length] of [
      [size - 1, 2],
      [size, 1],
      [-1, 1],
      [-1, 67_108_864],
      [size + 1, 0],
    ] as const)
      expect(() => bare().chatsdk_call(1, pointer, length), `${length} bytes at ${pointer}`).toThrow(
        WebAssembly.RuntimeError,
      );
    expect(taken(exports, exports.chatsdk_call(1, ...placed(exports, new Uint8Array()))).status).toBe(0);
  });

  test("S3 an allocation that cannot be is 0", () => {
    const exports = bare();
    for (const length of [-1, 2 ** 31 - 1, MAXIMUM_LENGTH + 1]) expect(exports.chatsdk_alloc(length)).toBe(0);
    const pointers = Array.from({ length: 5 }, () => exports.chatsdk_alloc(MAXIMUM_LENGTH));
    expect(pointers.indexOf(0)).toBe(3);
    for (const pointer of pointers) if (pointer !== 0) exports.chatsdk_free(pointer, MAXIMUM_LENGTH);
    expect(exports.chatsdk_alloc(MAXIMUM_LENGTH)).not.toBe(0);
  });

  test("S3 a read that fails ends the call with the same failure, and the core goes on after CommitFailed", () => {
    const host = Host.open();
    const { answer } = host;
    host.answer = () => {
      throw new ChatError(ErrorCode.STORAGE_FULL, "no space", { retryable: true });
    };
    const failing = () => host.prepare({ case: "createAccount", value: {} }, entropyOf(1));
    expect(failing).toThrow(
      expect.objectContaining({ code: ErrorCode.STORAGE_FULL, message: "no space", retryable: true }),
    );
    host.client.commitFailed({});
    host.answer = answer;
    expect(host.step({ case: "createAccount", value: {} }, entropyOf(2)).reply?.reply.case).toBe("account");
  });

  test("S3 a host's result that is none is an INTERNAL failure, not a trap", () => {
    const results: ((exports: Exports) => bigint)[] = [
      () => 0n,
      () => -1n,
      ({ memory }) => (BigInt(memory.buffer.byteLength - 1) << 32n) | 2n,
      (exports) => (BigInt(placed(exports, Uint8Array.of(7, 0))[0]) << 32n) | 2n,
      (exports) => (BigInt(placed(exports, Uint8Array.of(0, 0xff))[0]) << 32n) | 2n,
      (exports) => (BigInt(placed(exports, Uint8Array.of(1, 0xff))[0]) << 32n) | 2n,
    ];
    for (const result of results) {
      const exports = bare(result);
      const header = new Host().newHeader();
      const request = toBinary(OpenCoreRequestSchema, create(OpenCoreRequestSchema, { header, hostKey: HOST_KEY }));
      expect(failureOf(exports, exports.chatsdk_call(4, ...placed(exports, request))).code).toBe("INTERNAL");
    }
  });

  test("S3 a call during a call is refused, and the first one goes on", () => {
    const host = Host.open();
    const exports = bare((inner) => {
      expect(failureOf(inner, inner.chatsdk_call(1, ...placed(inner, new Uint8Array()))).code).toBe("INVALID_ARGUMENT");
      return (BigInt(placed(inner, Uint8Array.of(0))[0]) << 32n) | 1n;
    });
    const request = create(OpenCoreRequestSchema, { header: host.newHeader(), hostKey: HOST_KEY });
    const opened = exports.chatsdk_call(4, ...placed(exports, toBinary(OpenCoreRequestSchema, request)));
    expect(taken(exports, opened).status).toBe(0);
  });

  test("S3 after a trap an instance of this host answers no more", () => {
    const host = Host.open();
    const cause = new WebAssembly.RuntimeError("as a trap inside of a read");
    const trapping = new ModuleInstance(module, {
      hostCall: () => {
        throw cause;
      },
    });
    const request = create(OpenCoreRequestSchema, { header: host.newHeader(), hostKey: HOST_KEY });
    const open = () => trapping.call(4, toBinary(OpenCoreRequestSchema, request));
    expect(open).toThrow(TrapError);
    expect(() => trapping.call(1, new Uint8Array())).toThrow(TrapError);
    expect(host.client.describe({}).crypto).toBe("intrinsics");
  });
});
