import { readFileSync } from "node:fs";
import { getOption } from "@bufbuild/protobuf";
import { CONTRACT_HASH, CONTRACT_VERSION } from "@chatsdk/abi/contract";
import { ChatError } from "@chatsdk/abi/errors";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { CoreModule } from "@chatsdk/abi/module_pb";
import { number$ } from "@chatsdk/abi/options_pb";
import { beforeAll, expect, test } from "vitest";
import { text } from "../../conformance/src/people.ts";
import { type Reader, replay, type TraceEngine } from "../../conformance/src/trace-replayer.ts";
import { readTrace } from "../../conformance/traces/recordings.ts";
import { Component, type ComponentInstance, serve } from "../component/node-host.ts";
import { build, Person } from "./support/component.ts";

const CORE = new URL("../../bindings-rust/chatsdk/module/chatsdk.wasm", import.meta.url);
const NOW = Date.UTC(2026, 0, 1);

let bytes: Uint8Array;
let component: Component;
beforeAll(async () => {
  bytes = build();
  component = await Component.load(bytes);
});

const empty = serve({ read: () => ({}) });

/** The code of the failure that a call ends with. */
function codeOf(call: () => unknown): string | undefined {
  try {
    call();
  } catch (error) {
    if (error instanceof ChatError) return error.codeName;
    throw error;
  }
  return undefined;
}

test("S3 the component holds the core module unchanged, and is built to the same bytes", () => {
  expect(Buffer.from(bytes).includes(readFileSync(CORE))).toBe(true);
  expect(Buffer.from(build()).equals(bytes)).toBe(true);
});

test("S3 the component imports nothing but the host's answers", () => {
  expect(component.imports).toEqual(["chatsdk:abi/module-host"]);
});

test("S3 the component is of this contract", () => {
  const { contractVersion, contractHash } = component.instantiate(empty).client.describe({});
  expect([contractVersion, contractHash]).toEqual([CONTRACT_VERSION, CONTRACT_HASH]);
});

test("F4 two instances have a conversation", () => {
  const [alice, bob] = [new Person(component, "alice"), new Person(component, "bob")];
  const [{ accountId }] = alice.call(NOW, { case: "createAccount", value: {} }, "account");
  const [{ accountId: bobs }] = bob.call(NOW, { case: "createAccount", value: {} }, "account");
  const [{ link }] = bob.call(NOW, { case: "createInvite", value: { accountId: bobs } }, "invite");
  const [{ conversation }, envelopes] = alice.call(
    NOW,
    { case: "acceptInvite", value: { accountId, link, content: text("Grüße, Bob 👋") } },
    "sentMessage",
  );
  const { conversationId } = conversation!;
  const deliver = (to: Person, payloads: Uint8Array[]) =>
    payloads.forEach((payload) => void to.step(NOW, { case: "envelopeReceived", value: { topic: "", payload } }));
  deliver(bob, envelopes);
  const say = (from: Person, to: Person, words: string) =>
    deliver(
      to,
      from.call(NOW, { case: "sendMessage", value: { conversationId, content: text(words) } }, "sentMessage")[1],
    );
  say(bob, alice, "hello Alice");
  say(alice, bob, "x".repeat(50_000));
  expect(alice.texts).toEqual(["hello Alice"]);
  expect(bob.texts).toEqual(["Grüße, Bob 👋", "x".repeat(50_000)]);
});

test("S1 a wrong key arrives as the error case and opens nothing; the right one does afterwards", () => {
  const { header, hostKey, disk } = new Person(component, "alice");
  const { client } = component.instantiate(serve({ read: (read) => ({ records: [...disk.answer(read)] }) }));
  const config = { clusterId: 42 };
  expect(codeOf(() => client.openCore({ config, header, hostKey: new Uint8Array(32) }))).toBe("WRONG_KEY");
  expect(
    codeOf(() => client.step({ nowMs: 1n, entropy: new Uint8Array(32), input: { case: "start", value: {} } })),
  ).toBe("INVALID_ARGUMENT");
  expect(client.openCore({ config, header, hostKey }).sealsMessages).toBe(true);
});

test("S4 a malformed request fails typed, and the instance lives", () => {
  const instance = component.instantiate(empty);
  const garbage = [new Uint8Array(40).fill(0xff), Uint8Array.of(0x0a, 0x7f), Buffer.from("no message")];
  for (const method of [2, 3, 4, 5, 6, 7, 8])
    for (const request of garbage) expect(codeOf(() => instance.callModule(method, request))).toBe("INVALID_ARGUMENT");
  for (const method of [0, 9, 2 ** 31, 2 ** 32 - 1])
    expect(codeOf(() => instance.callModule(method, new Uint8Array()))).toBe("INVALID_ARGUMENT");
  expect(instance.client.describe({}).contractHash).toBe(CONTRACT_HASH);
});

/** Opens a core whose reads end with an error. */
function failingOpen(): { open(error: ChatError): unknown; instance: ComponentInstance } {
  const { header, hostKey } = new Person(component, "alice");
  let failure: ChatError;
  const read = () => {
    throw failure;
  };
  const instance = component.instantiate(serve({ read }));
  const open = (error: ChatError) => {
    failure = error;
    return instance.client.openCore({ config: { clusterId: 42 }, header, hostKey });
  };
  return { open, instance };
}

const codes = Object.values(ErrorCode).filter((code) => typeof code === "number" && code > 0) as ErrorCode[];

test("S4 every error of the host passes through the core with all that it says", () => {
  const { open } = failingOpen();
  expect(codes).toHaveLength(28);
  for (const code of codes)
    for (const message of ["", "größer 👋", "y".repeat(127), "z".repeat(300)])
      for (const retryable of [false, true])
        expect(() => open(new ChatError(code, message, { retryable }))).toThrow(
          expect.objectContaining({ code, message, retryable }),
        );
});

test("S4 memory is given back, whether calls succeed or fail", () => {
  const { open, instance } = failingOpen();
  const error = new ChatError(ErrorCode.STORAGE_FAILED, "w".repeat(1_000_000));
  const garbage = new Uint8Array(1_000_000).fill(0xff);
  const round = () => {
    expect(codeOf(() => open(error))).toBe("STORAGE_FAILED");
    expect(codeOf(() => instance.callModule(4, garbage))).toBe("INVALID_ARGUMENT");
    instance.client.describe({});
  };
  for (let count = 0; count < 5; count++) round();
  const { memoryBytes } = instance;
  for (let count = 0; count < 40; count++) round();
  expect(instance.memoryBytes).toBe(memoryBytes);
});

const { openCore, step, commitFailed } = CoreModule.method;

class ComponentEngine implements TraceEngine {
  #reader: Reader = () => new Uint8Array();
  readonly #instance = component.instantiate((_, request) => this.#reader(request));

  openCore(request: Uint8Array, reader: Reader): Uint8Array {
    return this.#call(openCore, request, reader);
  }

  step(input: Uint8Array, reader: Reader): Uint8Array {
    return this.#call(step, input, reader);
  }

  commitFailed(): void {
    this.#instance.callModule(getOption(commitFailed, number$), new Uint8Array());
  }

  #call(method: typeof openCore | typeof step, request: Uint8Array, reader: Reader): Uint8Array {
    this.#reader = reader;
    return this.#instance.callModule(getOption(method, number$), request);
  }
}

test.each(["calls-alice", "failures-bob", "chat-suite-2-alice"])("S3 the component replays %s to the byte", (name) => {
  const trace = readTrace(name);
  const steps = trace.lives.reduce((sum, life) => sum + life.steps.length, 0);
  expect(replay(trace, () => new ComponentEngine())).toBe(steps);
});
