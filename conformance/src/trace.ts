import { createHash } from "node:crypto";
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { EventSchema } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type Change, ChangeSchema, EffectSchema, type Reply, ReplySchema } from "@chatsdk/abi/host_pb";
import { type StepResult, StepResultSchema } from "@chatsdk/abi/module_pb";

/** A recorded run of one core: conformance/traces/README.md says what each field means. Bytes are hexadecimal. */
export interface Trace {
  name: string;
  config: string;
  header: string;
  hostKey: string;
  lives: Life[];
}

/** One instance, from its start to its end. */
export interface Life {
  open: { reads: TraceRead[]; result: string };
  steps: TraceStep[];
}

export interface TraceStep {
  input: string;
  reads: TraceRead[];
  result: Digest;
  then: "commit" | "commitFailed";
  parts: Part[];
}

export interface Digest {
  bytes: number;
  sha256: string;
}

export interface TraceRead {
  read: string;
  answer: Found[];
}

/** A record's key, and the step that put its value or the value itself. */
export type Found = [key: string, value: number | string];

/** A part of a step's result: what it is, and the beginning of its hash. */
export type Part = [name: string, hash: string];

export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
export const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));

export function digestOf(result: Uint8Array): Digest {
  return { bytes: result.length, sha256: sha256(result) };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The parts of an encoded `StepResult`, in order. */
export function partsOf(result: Uint8Array): Part[] {
  const { outcome, generation } = decodeResult(result);
  const part = <Desc extends DescMessage>(name: string, schema: Desc, value: MessageShape<Desc>): Part => [
    name,
    sha256(toBinary(schema, value)).slice(0, 8),
  ];
  const { changes = [], effects = [], events = [], reply } = outcome ?? {};
  return [
    ...changes.map((value, i) => part(`changes[${i}].${changeName(value.change)}`, ChangeSchema, value)),
    ...effects.map((value, i) => part(`effects[${i}].${value.effect.case}`, EffectSchema, value)),
    ...events.map((value, i) => part(`events[${i}].${value.event.case}`, EventSchema, value)),
    ...(reply ? [part(`reply.${replyName(reply.reply)}`, ReplySchema, reply)] : []),
    [`generation ${generation}`, ""],
  ];
}

function changeName(change: Change["change"]): string {
  switch (change.case) {
    case "put":
    case "addTags":
      return `${change.case} ${change.value.key}`;
    case "delete":
    case "deletePrefix":
      return `${change.case} ${change.value}`;
    default:
      return String(change.case);
  }
}

function replyName(reply: Reply["reply"]): string {
  return reply.case === "failure" ? `failure ${ErrorCode[reply.value.code]}` : String(reply.case);
}

export function decodeResult(result: Uint8Array): StepResult {
  return fromBinary(StepResultSchema, result);
}

/** Names the first part that differs; the lengths if none does. */
export function firstDifference(expected: readonly Part[], actual: readonly Part[]): string {
  for (let i = 0; i < Math.max(expected.length, actual.length); i++) {
    const [wanted, came] = [expected[i], actual[i]];
    if (wanted?.[0] === came?.[0] && wanted?.[1] === came?.[1]) continue;
    if (wanted?.[0] === came?.[0]) return `${wanted?.[0]}: other bytes`;
    return `${came?.[0] ?? "nothing"} instead of ${wanted?.[0] ?? "nothing"}`;
  }
  return "no part differs: the encoding does";
}
