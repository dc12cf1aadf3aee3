import { ChatError } from "@chatsdk/abi/errors";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { expect, test } from "vitest";
import { makeComponent } from "../component/component.mjs";
import { Component, type ComponentInstance, type HostCall } from "../component/node-host.ts";
import { parse } from "../component/wasm-tools.ts";
import { TrapError } from "../host/errors.ts";

const REQUEST = Uint8Array.of(7, 8, 9);
const REFUSED = Uint8Array.of(1, 0x08, 1, 0x12, 2, 0x6e, 0x6f, 0x18, 1);

/** A core in which $m, $p and $n are the parameters of the call, and `results` lie at 16. */
function core(call: string, results: Uint8Array = new Uint8Array(1)): Promise<Uint8Array<ArrayBuffer>> {
  const data = [...results].map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
  return parse(`(module
    (import "chatsdk" "host_call" (func $host_call (param i32 i32 i32) (result i64)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "${data}")
    (data (i32.const 8) "\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\ff")
    (global $next (mut i32) (i32.const 1024))
    (func (export "chatsdk_alloc") (param i32) (result i32)
      global.get $next
      (global.set $next (i32.add (global.get $next) (local.get 0))))
    (func (export "chatsdk_free") (param i32 i32))
    (func (export "chatsdk_call") (param $m i32) (param $p i32) (param $n i32) (result i64) ${call}))`);
}

/** Code that returns a result. */
function packed(pointer: number, length: number): string {
  return `(i64.const ${BigInt.asIntN(64, (BigInt(pointer) << 32n) | BigInt(length))})`;
}

async function instance(
  call: string,
  results?: Uint8Array,
  host: HostCall = () => REQUEST,
): Promise<ComponentInstance> {
  return (await Component.load(await makeComponent(await core(call, results)))).instantiate(host);
}

const ECHO = "(call $host_call (local.get $m) (local.get $p) (local.get $n))";

test("S4 a result that is none is a trap, and the instance is not used again", async () => {
  const wrong: [string, Uint8Array?][] = [
    ["unreachable"],
    [packed(16, 0)],
    [packed(16, 4), Uint8Array.of(2, 0, 0, 0)],
    [packed(65_530, 100)],
    [packed(0, 64 * 1024 * 1024 + 1)],
    // Failures that do not decode: cut in a field, longer than the result, of an unknown field, with an endless number.
    [packed(16, 2), Uint8Array.of(1, 0x08)],
    [packed(16, 4), Uint8Array.of(1, 0x12, 9, 0x6e)],
    [packed(16, 3), Uint8Array.of(1, 0x20, 1)],
    [packed(16, 8), Uint8Array.of(1, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)],
    // Codes that the contract does not have.
    [packed(16, 3), Uint8Array.of(1, 0x08, 100)],
    [packed(16, 4), Uint8Array.of(1, 0x08, 0x81, 0x02)],
  ];
  for (const [call, results] of wrong) {
    const broken = await instance(call, results);
    expect(() => broken.callModule(1, REQUEST), `${call} ${results}`).toThrow(TrapError);
    expect(() => broken.callModule(1, REQUEST)).toThrow(TrapError);
  }
});

test("S4 results are lifted: a response, an empty one, a failure, one with defaults alone", async () => {
  const response = await instance(packed(16, 4), Uint8Array.of(0, 1, 2, 3));
  expect([...response.callModule(1, REQUEST)]).toEqual([1, 2, 3]);
  const nothing = await instance(packed(16, 1), Uint8Array.of(0));
  expect(nothing.callModule(1, new Uint8Array())).toHaveLength(0);
  const failure = await instance(packed(16, REFUSED.length), REFUSED);
  const refused = { code: ErrorCode.INVALID_ARGUMENT, message: "no", retryable: true };
  expect(() => failure.callModule(1, REQUEST)).toThrow(expect.objectContaining(refused));
  const defaults = await instance(packed(16, 1), Uint8Array.of(1));
  const unspecified = { code: ErrorCode.ERROR_CODE_UNSPECIFIED, message: "", retryable: false };
  expect(() => defaults.callModule(1, REQUEST)).toThrow(expect.objectContaining(unspecified));
});

test("S4 the host's answers are lowered to results, and a request reaches it whole", async () => {
  const asked: [number, number[]][] = [];
  const answers = [Uint8Array.of(5, 6), new Uint8Array(), new Uint8Array(40_000).fill(3)];
  const echo = await instance(ECHO, undefined, (method, request) => {
    asked.push([method, [...request]]);
    return answers[asked.length - 1]!;
  });
  for (const answer of answers) expect(Buffer.from(echo.callModule(3, REQUEST)).equals(answer)).toBe(true);
  expect(asked).toEqual(answers.map(() => [3, [...REQUEST]]));
  const failing = await instance(ECHO, undefined, () => {
    throw new ChatError(ErrorCode.STORAGE_FULL, "", { retryable: true });
  });
  const full = { code: ErrorCode.STORAGE_FULL, message: "", retryable: true };
  expect(() => failing.callModule(1, REQUEST)).toThrow(expect.objectContaining(full));
});

test("S4 an exception of the host's own ends the instance, not the process", async () => {
  const echo = await instance(ECHO, undefined, () => {
    throw new TypeError("a defect of the host");
  });
  expect(() => echo.callModule(1, REQUEST)).toThrow(TrapError);
});

test("S4 WASI has neither variables nor files nor randomness, and an exit is a trap", async () => {
  const wasi = await instance(
    `(if (call $environ_sizes_get (i32.const 8) (i32.const 12)) (then unreachable))
     (if (i64.ne (i64.load (i32.const 8)) (i64.const 0)) (then unreachable))
     (if (i32.ne (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 64)) (i32.const 8)) (then unreachable))
     (if (i32.ne (call $random_get (i32.const 64) (i32.const 8)) (i32.const 52)) (then unreachable))
     ${packed(16, 1)}`,
  );
  expect(wasi.callModule(1, REQUEST)).toHaveLength(0);
  const exit = await instance(`(call $proc_exit (i32.const 0)) ${packed(16, 1)}`);
  expect(() => exit.callModule(1, REQUEST)).toThrow(TrapError);
});

test("S4 a core that cannot be wrapped is refused when the component is built", async () => {
  const unknown = await parse(`(module (import "chatsdk" "clock" (func (result i64))))`);
  await expect(makeComponent(unknown)).rejects.toThrow("clock");
  await expect(makeComponent(Uint8Array.of(0, 0x61, 0x73, 0x6d))).rejects.toThrow();
  const noMemory = await parse(`(module (func (export "chatsdk_alloc") (param i32) (result i32) i32.const 1024))`);
  await expect(makeComponent(noMemory)).rejects.toThrow();
});
