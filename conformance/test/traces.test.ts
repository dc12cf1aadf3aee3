import { nodeCrypto } from "@chatsdk/client";
import { nobleCrypto } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ReplySchema } from "@chatsdk/abi/host_pb";
import { InputSchema } from "@chatsdk/abi/host_pb";
import { EventSchema } from "@chatsdk/abi/api_pb";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compareTraces } from "../src/trace-compare.ts";
import { NativeEngine, replay, TraceDifference } from "../src/trace-replayer.ts";
import type { Trace, TraceStep } from "../src/trace.ts";
import { DATA, readTrace, record, recordedNames, type Summary, summarize } from "../traces/recordings.ts";
import { SCENES } from "../traces/scenes/index.ts";

const index = JSON.parse(readFileSync(new URL("index.json", DATA), "utf8")) as Record<string, Summary>;
const names = Object.keys(index);

describe("recording", () => {
  test.each(Object.keys(SCENES))("S3 %s gives the same bytes again", (scene) => {
    for (const again of record(scene)) {
      const recorded = readTrace(again.name);
      expect(
        compareTraces(recorded, again),
        `${again.name}; after a change that is meant, record again`,
      ).toBeUndefined();
      expect(summarize(recorded)).toEqual(index[again.name]);
    }
  });

  test("S3 holds every input, reply and event, and every error a call can have without special means", () => {
    expect(recordedNames().toSorted()).toEqual(names.toSorted());
    const held = (kind: "inputs" | "replies" | "events" | "errors") =>
      new Set(Object.values(index).flatMap((summary) => Object.keys(summary[kind])));
    const cases = (schema: typeof InputSchema | typeof ReplySchema | typeof EventSchema): string[] =>
      schema.oneofs[0]!.fields.map(({ localName }) => localName);
    expect(held("inputs")).toEqual(new Set(cases(InputSchema)));
    expect(held("replies")).toEqual(new Set(cases(ReplySchema)));
    expect(held("events")).toEqual(new Set(cases(EventSchema)));
    // What the storage, the transport and the client around the core say is not the core's.
    const hosts = [
      ...["ERROR_CODE_UNSPECIFIED", "DATABASE_LOCKED", "STORAGE_FULL", "STORAGE_FAILED", "STATE_ROLLED_BACK", "CLOSED"],
      ...["ABORTED", "TRANSPORT_FAILED", "KEYRING_UNAVAILABLE", "INTERNAL", "WRONG_KEY"],
    ];
    const ofTheCore = Object.values(ErrorCode).filter((code) => typeof code === "string" && !hosts.includes(code));
    expect(held("errors")).toEqual(new Set(ofTheCore));
  });
});

describe.each([
  ["node:crypto", nodeCrypto],
  ["noble", nobleCrypto],
])("replaying with %s", (_, crypto) => {
  test.each(names)("S3 %s: every read and every result to the byte", (name) => {
    expect(replay(readTrace(name), () => new NativeEngine(crypto))).toBe(index[name]!.steps);
  });
});

describe("a replay notices", () => {
  const replayed = (change: (steps: TraceStep[], trace: Trace) => void) => () => {
    const trace = readTrace("contents-alice");
    change(
      trace.lives.flatMap(({ steps }) => steps),
      trace,
    );
    replay(trace, () => new NativeEngine(nodeCrypto));
  };
  const flip = (hex: string, digit: number): string =>
    hex.slice(0, digit) + (Number.parseInt(hex[digit]!, 16) ^ 1).toString(16) + hex.slice(digit + 1);

  test(
    "S3 nothing in a trace as it is",
    replayed(() => {}),
  );

  test("S3 a changed byte of an input", () => {
    // The last byte of the entropy, before the input's kind.
    for (const number of [3, 10, 20])
      expect(
        replayed((steps) => {
          const step = steps[number]!;
          step.input = flip(step.input, 2 * (7 + 2 + 31) + 1);
        }),
      ).toThrow(TraceDifference);
  });

  test("S3 a changed digit of a result, and says which step", () => {
    expect(
      replayed((steps) => {
        const { result } = steps[12]!;
        result.sha256 = flip(result.sha256, 63);
      }),
    ).toThrow(/^contents-alice, step 12: /);
  });

  test("S3 another part of a result, and names it", () => {
    expect(
      replayed((steps) => {
        const step = steps[12]!;
        step.result.sha256 = flip(step.result.sha256, 0);
        const part = step.parts[0]!;
        part[1] = flip(part[1], 0);
      }),
    ).toThrow(/step 12: \w+: changes\[0\]\..*: other bytes/);
  });

  test("S3 a changed, a missing and a needless read, and another answer", () => {
    const withReads = (steps: TraceStep[]) =>
      steps.findIndex(({ reads }) => reads.length > 1 && reads[0]!.answer.length > 0);
    expect(
      replayed((steps) => {
        const [read] = steps[withReads(steps)]!.reads;
        read!.read = flip(read!.read, read!.read.length - 1);
      }),
    ).toThrow(/read 0: /);
    expect(replayed((steps) => steps[withReads(steps)]!.reads.shift())).toThrow(/read 0: /);
    expect(
      replayed((steps) => {
        const { reads } = steps[withReads(steps)]!;
        reads.push(reads[0]!);
      }),
    ).toThrow(/reads instead of/);
    expect(
      replayed((steps) => {
        const { reads } = steps[withReads(steps)]!;
        reads[0]!.answer[0]![1] = "00".repeat(64);
      }),
    ).toThrow(TraceDifference);
  });

  test("S3 another generation, and a key that does not open", () => {
    expect(
      replayed((_, trace) => {
        trace.lives[0]!.open.result = flip(trace.lives[0]!.open.result, 1);
      }),
    ).toThrow(/life 0, opening/);
    expect(
      replayed((_, trace) => {
        trace.hostKey = flip(trace.hostKey, 5);
      }),
    ).toThrow(/storage key|host_key|key/);
  });
});
