import type { Chance } from "./chance.ts";

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 0x80);
  return Uint8Array.of(...bytes, Number(rest));
}

/** Numbers at which decoders and counters break. */
const EDGES = [
  ...[0n, 1n, 127n, 128n, 1023n, 1024n, 1025n, 2n ** 15n, 2n ** 16n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n],
  ...[2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 69n],
];

interface Field {
  start: number;
  valueStart: number;
  end: number;
  wireType: number;
}

/** Where the fields of a protobuf message lie, as far as it is one. */
function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35 && at < bytes.length; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    return Number.NaN;
  };
  while (at < bytes.length) {
    const start = at;
    const wireType = number() & 7;
    let valueStart = at;
    if (wireType === 0) number();
    else if (wireType === 2) {
      const length = number();
      valueStart = at;
      at += length;
    } else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else break;
    if (!(at <= bytes.length)) break;
    fields.push({ start, valueStart, end: at, wireType });
  }
  return fields;
}

const noise = (chance: Chance): Uint8Array => chance.bytes(1 + chance.below(20));

function tag(chance: Chance, wireType: number): Uint8Array {
  const number = chance.once(4) ? chance.pick(EDGES.slice(1, 12)) : BigInt(1 + chance.below(40));
  return varint(((number << 3n) | BigInt(wireType)) & 0xffffffffn);
}

function field(chance: Chance): Uint8Array {
  switch (chance.below(5)) {
    case 0:
      return concat(tag(chance, 0), varint(chance.pick(EDGES)));
    case 1:
      return concat(tag(chance, 2), varint(chance.pick(EDGES)), noise(chance));
    case 2:
      return concat(tag(chance, 2), Uint8Array.of(3), chance.bytes(3));
    case 3:
      return concat(tag(chance, 1 + 4 * chance.below(2)), chance.bytes(8));
    default: {
      const depth = 1 + chance.below(200);
      const number = 1 + chance.below(15);
      return concat(new Uint8Array(depth).fill((number << 3) | 3), new Uint8Array(depth).fill((number << 3) | 4));
    }
  }
}

/** One damage, blind or with an eye for fields, in place of a field's value also one inside it. */
function damage(bytes: Uint8Array, chance: Chance, depth: number): Uint8Array {
  const at = chance.below(bytes.length + 1);
  const fields = fieldsOf(bytes);
  const chosen = fields.length > 0 ? chance.pick(fields) : undefined;
  const { start, valueStart, end, wireType } = chosen ?? { start: at, valueStart: at, end: at, wireType: 0 };
  const before = bytes.subarray(0, start);
  const after = bytes.subarray(end);
  switch (chance.below(11)) {
    case 0:
      return chance.flip(bytes, 1 + chance.below(4));
    case 1:
      return bytes.slice(0, at);
    case 2:
      return concat(bytes.subarray(0, at), noise(chance), bytes.subarray(at));
    case 3:
      return concat(bytes.subarray(0, at), bytes.subarray(at + 1 + chance.below(8)));
    case 4:
      return concat(bytes, bytes.subarray(start, end));
    case 5:
      return concat(before, field(chance), bytes.subarray(start));
    case 6:
      return concat(before, after);
    case 7: {
      const value = varint(chance.pick(EDGES));
      return concat(
        bytes.subarray(0, wireType === 2 ? start + 1 : valueStart),
        value,
        wireType === 2 ? bytes.subarray(valueStart) : after,
      );
    }
    case 8:
      return concat(before, bytes.subarray(start, end), bytes.subarray(start, end), after);
    default: {
      if (wireType !== 2 || depth > 4 || end === valueStart) return chance.flip(bytes, 1);
      const inner = damage(bytes.subarray(valueStart, end), chance, depth + 1);
      const head = bytes.subarray(start, start + tagLength(bytes, start));
      return concat(before, head, varint(BigInt(inner.length)), inner, after);
    }
  }
}

function tagLength(bytes: Uint8Array, start: number): number {
  let length = 1;
  while ((bytes[start + length - 1] ?? 0) >= 128) length++;
  return length;
}

/** A sample with one to four damages. */
export function mutate(samples: readonly Uint8Array[], chance: Chance): Uint8Array {
  let bytes = chance.pick(samples);
  for (let left = 1 + chance.below(4); left > 0; left--) bytes = damage(bytes, chance, 0);
  return bytes;
}

/** Nested length-delimited fields, as a message in a message in a message. */
function nested(number: number, levels: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (let level = 0; level < levels && length < 150 * 1024; level++) {
    const head = concat(Uint8Array.of((number << 3) | 2), varint(BigInt(length)));
    parts.push(head);
    length += head.length;
  }
  return concat(...parts.reverse());
}

const LARGEST = 150 * 1024;

/** Inputs as large, deep and repetitive as an envelope can be, by name. */
export function monsters(samples: readonly Uint8Array[]): [string, Uint8Array][] {
  const repeat = (unit: Uint8Array): Uint8Array => concat(...Array.from({ length: LARGEST / unit.length }, () => unit));
  const list: [string, Uint8Array][] = [
    ["nothing", new Uint8Array(0)],
    ["zeros", new Uint8Array(LARGEST)],
    ["ones", new Uint8Array(LARGEST).fill(0xff)],
    ["one endless varint", new Uint8Array(LARGEST).fill(0x80)],
    ["marks", new Uint8Array(2 ** 17).fill(0x80, 0, 2 ** 16)],
  ];
  for (const number of [1, 2, 3, 10, 11, 15]) {
    const groups = (levels: number, closed: boolean): Uint8Array =>
      concat(
        new Uint8Array(levels).fill((number << 3) | 3),
        new Uint8Array(closed ? levels : 0).fill((number << 3) | 4),
      );
    list.push([`10,000 groups of field ${number}`, groups(10_000, true)]);
    list.push([`150,000 open groups of field ${number}`, groups(LARGEST, false)]);
    list.push([`10,000 messages in field ${number}`, nested(number, 10_000)]);
    list.push([`field ${number} 50,000 times`, repeat(Uint8Array.of((number << 3) | 2, 1, 0x08))]);
    list.push([`field ${number} empty`, repeat(Uint8Array.of((number << 3) | 2, 0))]);
    list.push([`field ${number} as numbers`, repeat(Uint8Array.of(number << 3, 0x7f))]);
    list.push([`field ${number} longer than all`, concat(Uint8Array.of((number << 3) | 2), varint(2n ** 32n - 1n))]);
    list.push([`field ${number} a number too long`, concat(Uint8Array.of(number << 3), new Uint8Array(40).fill(0xff))]);
  }
  for (const number of [32n, 33n]) {
    const packed = new Uint8Array(LARGEST - 8).fill(1);
    list.push([
      `${packed.length} numbers in field ${number}`,
      concat(varint((number << 3n) | 2n), varint(BigInt(packed.length)), packed),
    ]);
  }
  for (const [index, sample] of samples.slice(0, 3).entries()) {
    if (sample.length > 0) list.push([`sample ${index} again and again`, repeat(sample)]);
    list.push([`sample ${index} and zeros`, concat(sample, new Uint8Array(LARGEST - sample.length))]);
  }
  return list;
}
