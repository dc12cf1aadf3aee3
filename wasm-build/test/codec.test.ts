import { create, type DescMessage, type DescFile, fromBinary, toBinary } from "@bufbuild/protobuf";
import { file_api } from "@chatsdk/abi/api_pb";
import { file_content } from "@chatsdk/abi/content_pb";
import { file_host } from "@chatsdk/abi/host_pb";
import { file_module } from "@chatsdk/abi/module_pb";
import { file_records } from "@chatsdk/abi/records_pb";
import { file_wire } from "@chatsdk/abi/wire_pb";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readSchema } from "../schema.mjs";
import { messageInit } from "./support/arbitrary-message.ts";
import { fromJson, toJson } from "./support/plain.ts";
import { Probe } from "./support/probe.ts";

const files: DescFile[] = [file_api, file_content, file_host, file_module, file_records, file_wire];
const messages = files.flatMap((file) => file.messages);
const indexes = new Map(readSchema().table.map(([typeName], index) => [typeName, index]));
const probe = await Probe.load();
const slow = 120_000;

function indexOf({ typeName }: DescMessage): number {
  const index = indexes.get(typeName);
  if (index === undefined) throw new Error(`${typeName}: not in the bundle's schema`);
  return index;
}

/** What protobuf-es makes of the bytes; "refused" if it throws. */
function outcome(decode: () => unknown): unknown {
  try {
    return fromJson(toJson(decode()));
  } catch {
    return "refused";
  }
}

function expectSameDecoding(desc: DescMessage, bytes: Uint8Array): void {
  for (const keep of [true, false]) {
    const native = outcome(() => probe.ask("decode", indexOf(desc), bytes, keep));
    expect(native).toStrictEqual(outcome(() => fromBinary(desc, bytes, { readUnknownFields: keep })));
  }
  const encoded = outcome(() => probe.ask("encode", indexOf(desc), bytes));
  expect(encoded).toStrictEqual(outcome(() => toBinary(desc, fromBinary(desc, bytes))));
}

test("S3 the schema of the bundle is the generated code's", () => {
  expect([...indexes.keys()].sort()).toStrictEqual(messages.map(({ typeName }) => typeName).sort());
});

test.each(messages.map((desc) => [desc.typeName, desc] as const))(
  "S3 the native codec creates, writes and reads %s as protobuf-es does",
  { timeout: slow },
  (_, desc) => {
    fc.assert(
      fc.property(messageInit(desc), (init) => {
        const bytes = toBinary(desc, create(desc, init));
        expect(probe.ask("create", indexOf(desc), init)).toStrictEqual(bytes);
        expectSameDecoding(desc, bytes);
      }),
      { numRuns: 15 },
    );
  },
);

test("S3 the native codec refuses what protobuf-es refuses, and takes what it takes", { timeout: slow }, () => {
  const damaged = fc.constantFrom(...messages).chain((desc) =>
    fc.record({
      desc: fc.constant(desc),
      bytes: messageInit(desc).map((init) => toBinary(desc, create(desc, init))),
      other: fc.constantFrom(...messages),
      cut: fc.nat(),
      places: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      inserted: fc.uint8Array({ maxLength: 12 }),
    }),
  );
  fc.assert(
    fc.property(damaged, ({ desc, bytes, other, cut, places, inserted }) => {
      const changed = bytes.slice();
      if (changed.length > 0) for (const [place, value] of places) changed[place % changed.length] = value;
      const at = cut % (bytes.length + 1);
      expectSameDecoding(desc, changed);
      expectSameDecoding(desc, bytes.slice(0, at));
      expectSameDecoding(desc, Uint8Array.from([...bytes.slice(0, at), ...inserted, ...bytes.slice(at)]));
      expectSameDecoding(other, bytes);
      expectSameDecoding(desc, Uint8Array.from([...bytes, ...changed]));
    }),
    { numRuns: 400 },
  );
});

test("S3 the native codec reads varints of any length, groups and deep nesting as protobuf-es does", () => {
  const { desc } = { desc: file_host.messages.find(({ name }) => name === "Config")! };
  const input = file_host.messages.find(({ name }) => name === "Input")!;
  const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
  for (const last of [0x00, 0x01, 0x02, 0x7f, 0x80])
    for (const length of [1, 4, 5, 9, 10, 11]) {
      const varint = [...Array.from({ length: length - 1 }, () => 0xff), last];
      expectSameDecoding(desc, bytes(0x08, ...varint));
      expectSameDecoding(desc, bytes(0x58, ...varint));
      expectSameDecoding(desc, bytes(...varint, 0x01));
    }
  const group = (depth: number): number[] =>
    [...Array(depth).fill(0xf3), ...Array(depth).fill(0xf4)].flatMap((tag) => [tag, 0x07]);
  for (const depth of [1, 2, 98, 99, 100, 101]) expectSameDecoding(input, bytes(...group(depth)));
  expectSameDecoding(input, bytes(0xf3, 0x07, 0xec, 0x07));
});
