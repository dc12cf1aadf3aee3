import { toBinary } from "@bufbuild/protobuf";
import { OutcomeSchema } from "@chatsdk/abi/host_pb";
import { describe, expect, test } from "vitest";
import type { WasiFunctions } from "../host/wasi.ts";
import { entropyOf, Host, HOST_KEY, type InputValue, moduleBytes } from "./support/module.ts";
import { Probe } from "./support/probe.ts";

const INPUTS: InputValue[] = [
  { case: "start", value: {} },
  { case: "createAccount", value: {} },
  { case: "listAccounts", value: {} },
  { case: "envelopeReceived", value: { topic: "t", payload: Uint8Array.from({ length: 300 }, (_, index) => index) } },
];

/** All that a host's instance gave out. */
function run(firstEntropy: number, host = new Host()): { outcomes: string[]; host: Host } {
  const header = host.newHeader(entropyOf(firstEntropy));
  host.openCore(header);
  const outcomes = INPUTS.map((input, index) =>
    Buffer.from(toBinary(OutcomeSchema, host.step(input, entropyOf(firstEntropy + 1 + index)))).toString("hex"),
  );
  return { outcomes: [Buffer.from(header.sealedDataKey).toString("hex"), header.databaseId, ...outcomes], host };
}

function withRandom(byte: number, timeNs: bigint): WasiFunctions {
  let memory: WebAssembly.Memory | undefined;
  return {
    random_get: (pointer, length) => {
      if (memory) new Uint8Array(memory.buffer, Number(pointer), Number(length)).fill(byte);
      return 0;
    },
    clock_time_get: (_, __, pointer) => {
      if (memory) new DataView(memory.buffer).setBigUint64(Number(pointer), timeNs, true);
      return 0;
    },
  };
}

function countOf(haystack: Uint8Array, needle: Uint8Array): number {
  const [memory, text] = [Buffer.from(haystack.buffer, haystack.byteOffset, haystack.byteLength), Buffer.from(needle)];
  let count = 0;
  for (let at = memory.indexOf(text); at >= 0; at = memory.indexOf(text, at + 1)) count++;
  return count;
}

describe("the same in, the same out", () => {
  test("S3 two instances with the same entropy give the same bytes", () => {
    expect(run(100).outcomes).toStrictEqual(run(100).outcomes);
  });

  test("F3 two instances with different entropy share no key, no id and no ciphertext", () => {
    const [one, other] = [run(100).host, run(200).host];
    const values = (host: Host) => [...host.disk.records.values()].map((value) => Buffer.from(value).toString("hex"));
    expect(values(one).length).toBeGreaterThan(2);
    for (const value of values(one)) expect(values(other)).not.toContain(value);
    expect(run(100).outcomes[1]).not.toBe(run(200).outcomes[1]);
  });

  test("S3 what WASI answers changes nothing", () => {
    const usual = run(100).outcomes;
    for (const wasi of [withRandom(0x00, 0n), withRandom(0xff, 1_900_000_000_000_000_000n)])
      expect(run(100, new Host({ wasi })).outcomes).toStrictEqual(usual);
  });

  test("S3 the module asks WASI for no time and no randomness", () => {
    const asked: string[] = [];
    const note = (name: string) => () => {
      asked.push(name);
      return 0;
    };
    run(100, new Host({ wasi: { random_get: note("random_get"), clock_time_get: note("clock_time_get") } }));
    expect(asked).toStrictEqual([]);
  });
});

describe("the guest has no source of its own", () => {
  test("F3 randomness and time throw", async () => {
    const probe = await Probe.load();
    for (const expression of ["Math.random()", "crypto.getRandomValues(new Uint8Array(4))"])
      expect(() => probe.ask("evaluate", expression), expression).toThrow("no randomness here");
    for (const expression of ["new Date()", "Date.now()", "performance.now()"])
      expect(() => probe.ask("evaluate", expression), expression).toThrow("is not defined");
  });
});

describe("secrets", () => {
  test("F3 the module holds no key, and an instance keeps none that a host gave it", () => {
    expect(countOf(moduleBytes, HOST_KEY)).toBe(0);
    const { host } = run(100);
    const memory = new Uint8Array(host.instance.memory.buffer);
    expect(memory.length).toBeGreaterThan(1_000_000);
    expect(countOf(memory, HOST_KEY)).toBe(0);
    for (let number = 100; number < 105; number++) expect(countOf(memory, entropyOf(number))).toBe(0);
  });
});
