// A WebAssembly module as its sections: enough to replace a memory's size and content and to cut off exports.
const [CUSTOM, MEMORY, GLOBAL, EXPORT, DATA_COUNT, DATA] = [0, 5, 6, 7, 12, 11];
export const SectionId = { CUSTOM, MEMORY, GLOBAL, EXPORT, DATA_COUNT, DATA };
const HEADER = 8;

/** @returns {{ id: number, body: Uint8Array }[]} */
export function readSections(module) {
  const sections = [];
  const reader = new Reader(module, HEADER);
  while (!reader.atEnd) {
    const id = reader.byte();
    sections.push({ id, body: reader.bytes(reader.unsigned()) });
  }
  return sections;
}

export function writeSections(sections) {
  const header = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  return Buffer.concat([header, ...sections.map(({ id, body }) => Buffer.concat([Uint8Array.of(id), sized(body)]))]);
}

/** Reads the encodings of the binary format (WebAssembly specification, chapter 5). */
export class Reader {
  #bytes;
  #position;

  constructor(bytes, position = 0) {
    this.#bytes = bytes;
    this.#position = position;
  }

  get atEnd() {
    return this.#position === this.#bytes.length;
  }

  byte() {
    return this.bytes(1)[0];
  }

  bytes(length) {
    const end = this.#position + length;
    if (end > this.#bytes.length) throw new Error("the module ends early");
    const part = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return part;
  }

  /** LEB128. */
  unsigned() {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  name() {
    return Buffer.from(this.bytes(this.unsigned())).toString();
  }
}

/** LEB128. */
export function unsigned(value) {
  const bytes = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Uint8Array.of(...bytes, rest);
}

/** LEB128, two's complement; for 32-bit addresses. */
export function signed(value) {
  const bytes = [];
  let rest = value | 0;
  while (rest < -64 || rest > 63) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>= 7;
  }
  return Uint8Array.of(...bytes, rest & 0x7f);
}

/** Preceded by its length. */
export function sized(bytes) {
  return Buffer.concat([unsigned(bytes.length), bytes]);
}

/** A list, preceded by its number of elements. */
export function vector(elements) {
  return Buffer.concat([unsigned(elements.length), ...elements]);
}
