import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import fc from "fast-check";

const text = fc.oneof(fc.string({ unit: "binary", maxLength: 12 }), fc.string({ maxLength: 300 }));
const bytes = fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.uint8Array({ maxLength: 300 }));
const uint32 = fc.oneof(fc.nat(200), fc.integer({ min: 0, max: 0xffff_ffff }));
const uint64 = fc.oneof(fc.bigInt({ min: 0n, max: 300n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
const scalars: Partial<Record<ScalarType, fc.Arbitrary<unknown>>> = {
  [ScalarType.STRING]: text,
  [ScalarType.BYTES]: bytes,
  [ScalarType.BOOL]: fc.boolean(),
  [ScalarType.UINT32]: uint32,
  [ScalarType.UINT64]: uint64,
};

/** What `create` takes for a message of this type. Messages within it end at `depth`. */
export function messageInit(desc: DescMessage, depth = 3): fc.Arbitrary<Record<string, unknown>> {
  const members = desc.members.map((member): [string, fc.Arbitrary<unknown>] => {
    if (member.kind === "field") return [member.localName, valuesOf(member, depth)];
    const cases = member.fields.map((field) =>
      valuesOf(field, depth).map((value) => ({ case: field.localName, value })),
    );
    return [member.localName, fc.oneof(fc.constant({ case: undefined }), ...cases)];
  });
  return fc.record(Object.fromEntries(members), { requiredKeys: [] });
}

function valuesOf(field: DescField, depth: number): fc.Arbitrary<unknown> {
  if (field.fieldKind === "list") return fc.array(singleOf(field, depth), { maxLength: 4 });
  return singleOf(field, depth);
}

function singleOf(field: DescField, depth: number): fc.Arbitrary<unknown> {
  if (field.message) return depth > 0 ? messageInit(field.message, depth - 1) : fc.constant({});
  if (field.enum) return fc.oneof(fc.constantFrom(...field.enum.values.map(({ number }) => number)), fc.integer());
  const scalar = scalars[field.scalar!];
  if (!scalar) throw new Error(`${field}: no values for it`);
  return scalar;
}
