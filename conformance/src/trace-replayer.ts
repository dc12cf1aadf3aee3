import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ConfigSchema, InputSchema, type Read, ReadSchema, VaultHeaderSchema } from "@chatsdk/abi/host_pb";
import { CoreOpenedSchema, OpenCoreRequestSchema, ReadAnswerSchema, StepResultSchema } from "@chatsdk/abi/module_pb";
import { Core, type Crypto, type Steps, Vault } from "@chatsdk/core";
import {
  decodeResult,
  digestOf,
  firstDifference,
  fromHex,
  partsOf,
  toHex,
  type Trace,
  type TraceRead,
  type TraceStep,
} from "./trace.ts";

/** Answers an encoded `Read` with an encoded `ReadAnswer`. */
export type Reader = (read: Uint8Array) => Uint8Array;

/** An instance of the core, whatever runs it. Messages are encoded. */
export interface TraceEngine {
  openCore(request: Uint8Array, reader: Reader): Uint8Array;
  step(input: Uint8Array, reader: Reader): Uint8Array;
  commitFailed(): void;
}

/** A difference between a trace and its replay. */
export class TraceDifference extends Error {
  override readonly name = "TraceDifference";
  constructor(
    readonly trace: string,
    readonly place: string,
    readonly what: string,
  ) {
    super(`${trace}, ${place}: ${what}`);
  }
}

/** Replays a whole trace; throws at the first difference. Returns the number of steps. */
export function replay(trace: Trace, newEngine: () => TraceEngine): number {
  const steps = new Replay(trace, newEngine);
  while (steps.next() !== undefined);
  return steps.count;
}

/** A replay that can be followed step by step. */
export class Replay {
  readonly #trace: Trace;
  readonly #newEngine: () => TraceEngine;
  readonly #puts: Map<string, Uint8Array>[] = [];
  #engine: TraceEngine | undefined;
  #life = 0;
  #position = 0;

  constructor(trace: Trace, newEngine: () => TraceEngine) {
    this.#trace = trace;
    this.#newEngine = newEngine;
  }

  get count(): number {
    return this.#puts.length;
  }

  /** One step: its result's bytes; `undefined` at the end. */
  next(): Uint8Array | undefined {
    const life = this.#trace.lives[this.#life];
    if (!life) return undefined;
    this.#engine ??= this.#open(life.open, `life ${this.#life}, opening`);
    const step = life.steps[this.#position++];
    if (step) return this.#step(this.#engine, step);
    this.#life++;
    this.#position = 0;
    this.#engine = undefined;
    return this.next();
  }

  #open({ reads, result }: Trace["lives"][number]["open"], place: string): TraceEngine {
    const { config, header, hostKey } = this.#trace;
    const request = create(OpenCoreRequestSchema, {
      config: fromBinary(ConfigSchema, fromHex(config)),
      header: fromBinary(VaultHeaderSchema, fromHex(header)),
      hostKey: fromHex(hostKey),
    });
    const engine = this.#newEngine();
    const opened = this.#reading(reads, place, (reader) =>
      engine.openCore(toBinary(OpenCoreRequestSchema, request), reader),
    );
    if (toHex(opened) !== result) this.#differ(place, `CoreOpened ${toHex(opened)} instead of ${result}`);
    return engine;
  }

  #step(engine: TraceEngine, step: TraceStep): Uint8Array {
    const place = `step ${this.count}`;
    const put = new Map<string, Uint8Array>();
    const result = this.#reading(step.reads, place, (reader) => engine.step(fromHex(step.input), reader));
    this.#compare(step, result, place);
    for (const { change } of decodeResult(result).outcome?.changes ?? [])
      if (change.case === "put") put.set(change.value.key, change.value.value);
    this.#puts.push(put);
    if (step.then === "commitFailed") engine.commitFailed();
    return result;
  }

  #compare({ result, parts, input }: TraceStep, actual: Uint8Array, place: string): void {
    const digest = digestOf(actual);
    if (digest.bytes !== result.bytes || digest.sha256 !== result.sha256)
      this.#differ(place, `${kindOf(input)}: ${firstDifference(parts, partsOf(actual))}`);
  }

  /** Serves the recorded answers; the reads must be the recorded ones, all of them. */
  #reading<Result>(reads: readonly TraceRead[], place: string, work: (reader: Reader) => Result): Result {
    let served = 0;
    let wrong: TraceDifference | undefined;
    const reader: Reader = (bytes) => {
      const expected = reads[served];
      if (toHex(bytes) !== expected?.read) {
        const wanted = expected ? describeRead(fromHex(expected.read)) : "nothing";
        wrong ??= new TraceDifference(
          this.#trace.name,
          place,
          `read ${served}: ${describeRead(bytes)} instead of ${wanted}`,
        );
        throw wrong;
      }
      served++;
      const records = expected.answer.map(([key, value]) => ({ key, value: this.#valueOf(key, value) }));
      return toBinary(ReadAnswerSchema, create(ReadAnswerSchema, { records }));
    };
    let result: Result;
    try {
      result = work(reader);
    } catch (error) {
      // Not what the engine made of the failed read.
      throw wrong ?? error;
    }
    if (served < reads.length) this.#differ(place, `${served} reads instead of ${reads.length}`);
    return result;
  }

  #valueOf(key: string, value: number | string): Uint8Array {
    if (typeof value === "string") return fromHex(value);
    const found = this.#puts[value]?.get(key);
    if (!found) throw new Error(`${this.#trace.name}: step ${value} has put no ${key}; the trace is damaged`);
    return found;
  }

  #differ(place: string, what: string): never {
    throw new TraceDifference(this.#trace.name, place, what);
  }
}

function kindOf(input: string): string {
  return String(fromBinary(InputSchema, fromHex(input)).input.case);
}

function describeRead(bytes: Uint8Array): string {
  const { read } = fromBinary(ReadSchema, bytes);
  if (read.case === "get") return `get ${read.value}`;
  if (read.case === "findTag") return `find tag ${toHex(read.value)}`;
  return read.case === "scan" ? `scan ${read.value.prefix} ${read.value.limit}` : "an empty read";
}

/** The core as it runs in this process, through its encoded messages. */
export class NativeEngine implements TraceEngine {
  readonly #crypto: Crypto;
  #core: Core | undefined;

  constructor(crypto: Crypto) {
    this.#crypto = crypto;
  }

  openCore(request: Uint8Array, reader: Reader): Uint8Array {
    const { config, header, hostKey } = fromBinary(OpenCoreRequestSchema, request);
    const vault = Vault.open(this.#crypto, header!, hostKey);
    this.#core = new Core(this.#crypto, config!, vault);
    const found = drive(this.#core.open(), reader);
    return toBinary(CoreOpenedSchema, create(CoreOpenedSchema, { ...found, sealsMessages: vault.sealsMessages }));
  }

  step(input: Uint8Array, reader: Reader): Uint8Array {
    const core = this.#core!;
    const outcome = drive(core.step(fromBinary(InputSchema, input)), reader);
    return toBinary(StepResultSchema, create(StepResultSchema, { outcome, generation: core.generation }));
  }

  commitFailed(): void {
    this.#core!.commitFailed();
  }
}

function drive<Result>(steps: Steps<Result>, reader: Reader): Result {
  const answer = (read: Read) => fromBinary(ReadAnswerSchema, reader(toBinary(ReadSchema, read))).records;
  let next = steps.next();
  while (!next.done) next = steps.next(answer(next.value));
  return next.value;
}
