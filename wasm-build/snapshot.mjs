// Takes the snapshot: runs the plugin with the bundle once, here, and writes its memory as it then is into the module.
// Deterministic: the plugin sees no clock, no randomness, no files and no environment, and JavaScript none of what it does see.
import { Reader, readSections, SectionId, signed, sized, unsigned, vector, writeSections } from "./wasm-sections.mjs";

const EXPORTS = new Set(["memory", "chatsdk_alloc", "chatsdk_free", "chatsdk_call"]);
const PAGE = 65_536;
/** 256 MiB: an instance runs out of memory at the same place in every engine. */
const MAXIMUM_PAGES = 4096;
const WITH_MAXIMUM = 1;
/** A run of zeros that costs more to store than a new segment. */
const GAP = 8;
const I32_CONST = 0x41;
const GLOBAL_GET = 0x23;
const END = 0x0b;

/** @returns the module: `plugin` as it is after it has evaluated `source`, with the exports of abi/ABI.md alone. */
export async function snapshot(plugin, source) {
  const sections = readSections(plugin);
  requireOneMutableGlobal(sections);
  const memory = await memoryAfterStart(await WebAssembly.compile(plugin), source);
  const segments = segmentsOf(memory);
  const replaced = {
    [SectionId.MEMORY]: () =>
      vector([Buffer.concat([Uint8Array.of(WITH_MAXIMUM), unsigned(memory.length / PAGE), unsigned(MAXIMUM_PAGES)])]),
    [SectionId.EXPORT]: (body) => vector(keptExports(body)),
    [SectionId.DATA_COUNT]: () => unsigned(segments.length),
    [SectionId.DATA]: () => vector(segments.map(encodeSegment)),
  };
  return writeSections(
    sections
      .filter(({ id }) => id !== SectionId.CUSTOM)
      .map(({ id, body }) => ({ id, body: replaced[id]?.(body) ?? body })),
  );
}

/**
 * Memory is all that a run changes: the stack pointer, the only global that can change, is back where it was, and the plugin writes to
 * no table.
 */
function requireOneMutableGlobal(sections) {
  const reader = new Reader(sections.find(({ id }) => id === SectionId.GLOBAL).body);
  const mutable = Array.from({ length: reader.unsigned() }, () => {
    reader.byte();
    const isMutable = reader.byte() === 1;
    const opcode = reader.byte();
    if (opcode !== I32_CONST && opcode !== GLOBAL_GET) throw new Error("a global of an unknown kind");
    reader.unsigned();
    if (reader.byte() !== END) throw new Error("a global of an unknown kind");
    return isMutable;
  }).filter(Boolean);
  if (mutable.length > 1) throw new Error(`${mutable.length} globals can change; only memory is kept`);
}

/** Compiled in an instance of its own, whose memory is not kept: it holds the source too. */
async function compile(plugin, source) {
  const exports = await start(plugin);
  const answer = exports["compile-src"](...place(exports, source));
  const [failed, pointer, length] = new Uint32Array(exports.memory.buffer, answer, 3);
  const result = new Uint8Array(exports.memory.buffer, pointer, length).slice();
  if (failed) throw new Error(`the bundle does not compile: ${Buffer.from(result)}`);
  return result;
}

async function memoryAfterStart(plugin, source) {
  const bytecode = await compile(plugin, source);
  const exports = await start(plugin);
  exports.start_guest(...place(exports, bytecode));
  return new Uint8Array(exports.memory.buffer);
}

/** An instance with an interpreter. */
async function start(plugin) {
  const imports = {};
  for (const { module, name } of WebAssembly.Module.imports(plugin)) {
    imports[module] ??= {};
    imports[module][name] = (...parameters) => answer(name, parameters, exports.memory);
  }
  const { exports } = await WebAssembly.instantiate(plugin, imports);
  exports._initialize();
  exports["initialize-runtime"]();
  return exports;
}

function place(exports, bytes) {
  const pointer = exports.chatsdk_alloc(bytes.length);
  new Uint8Array(exports.memory.buffer, pointer, bytes.length).set(bytes);
  return [pointer, bytes.length];
}

/** What the plugin may ask of its surroundings while it starts. */
function answer(name, parameters, memory) {
  const view = new DataView(memory.buffer);
  if (name === "random_get") {
    // Seeds of Rust's hash maps, none of which holds anything of a peer's. Zeros, whatever the memory held.
    const [pointer, length] = parameters;
    new Uint8Array(memory.buffer, pointer, length).fill(0);
  } else if (name === "clock_time_get") {
    // The seed of QuickJS's Math.random, which the plugin takes away.
    const [, , time] = parameters;
    view.setBigUint64(time, 0n, true);
  } else if (name === "fd_write") {
    const [, vectors, count, written] = parameters;
    let total = 0;
    for (let index = 0; index < count; index++) {
      const [pointer, length] = [0, 4].map((offset) => view.getUint32(vectors + index * 8 + offset, true));
      process.stderr.write(new Uint8Array(memory.buffer, pointer, length));
      total += length;
    }
    view.setUint32(written, total, true);
  } else throw new Error(`the plugin called ${name} while it started: its answer would be part of the module`);
  return 0;
}

function keptExports(body) {
  const reader = new Reader(body);
  return Array.from({ length: reader.unsigned() }, () => {
    const name = reader.name();
    return { name, encoded: Buffer.concat([sized(Buffer.from(name)), reader.bytes(1), unsigned(reader.unsigned())]) };
  })
    .filter(({ name }) => EXPORTS.has(name))
    .map(({ encoded }) => encoded);
}

/** The parts of a memory that are not zero. */
function segmentsOf(memory) {
  const segments = [];
  let start = 0;
  while (start < memory.length) {
    if (memory[start] === 0) {
      start++;
      continue;
    }
    let end = start;
    for (let next = start; next < memory.length && next - end <= GAP; next++) if (memory[next] !== 0) end = next + 1;
    segments.push({ offset: start, content: memory.subarray(start, end) });
    start = end;
  }
  return segments;
}

function encodeSegment({ offset, content }) {
  return Buffer.concat([Uint8Array.of(0, I32_CONST), signed(offset), Uint8Array.of(END), sized(content)]);
}
