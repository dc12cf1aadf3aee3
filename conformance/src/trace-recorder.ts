import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  type Config,
  ConfigSchema,
  type Input,
  InputSchema,
  type Outcome,
  ReadSchema,
  VaultHeaderSchema,
} from "@chatsdk/abi/host_pb";
import { CoreOpenedSchema, StepResultSchema } from "@chatsdk/abi/module_pb";
import { type Answer, Core, type Crypto, type Opened, type Steps, type Vault } from "@chatsdk/core";
import { Disk } from "./disk.ts";
import { type ConfigValue, HOST_KEY, Machine } from "./machine.ts";
import { digestOf, type Found, partsOf, toHex, type Trace, type TraceRead } from "./trace.ts";

/** What one core is fed and what comes out, as a trace. */
class TraceRecorder {
  readonly trace: Trace;
  /** The number of the step that put a value under a key. */
  readonly #putBy = new Map<string, number>();
  #count = 0;

  constructor(name: string, machine: Machine) {
    this.trace = {
      name,
      config: toHex(toBinary(ConfigSchema, create(ConfigSchema, machine.config))),
      header: toHex(toBinary(VaultHeaderSchema, machine.header)),
      hostKey: toHex(HOST_KEY),
      lives: [],
    };
  }

  *open(opening: Steps<Opened>, sealsMessages: boolean): Steps<Opened> {
    const reads: TraceRead[] = [];
    const found = yield* this.#noting(opening, reads);
    const result = encoded(CoreOpenedSchema, create(CoreOpenedSchema, { ...found, sealsMessages }));
    this.trace.lives.push({ open: { reads, result }, steps: [] });
    return found;
  }

  *step(input: Input, stepping: Steps<Outcome>, generation: () => bigint): Steps<Outcome> {
    const reads: TraceRead[] = [];
    const outcome = yield* this.#noting(stepping, reads);
    const result = toBinary(StepResultSchema, create(StepResultSchema, { outcome, generation: generation() }));
    this.trace.lives.at(-1)!.steps.push({
      input: encoded(InputSchema, input),
      reads,
      result: digestOf(result),
      // biome-ignore lint/suspicious/noThenProperty: a word, not a function
      then: "commit",
      parts: partsOf(result),
    });
    for (const { change } of outcome.changes)
      if (change.case === "put") this.#putBy.set(nameOf(change.value.key, change.value.value), this.#count);
    this.#count++;
    return outcome;
  }

  commitFailed(): void {
    const step = this.trace.lives.at(-1)?.steps.at(-1);
    // biome-ignore lint/suspicious/noThenProperty: a word, not a function
    if (step) step.then = "commitFailed";
  }

  *#noting<Result>(steps: Steps<Result>, reads: TraceRead[]): Steps<Result> {
    let next = steps.next();
    while (!next.done) {
      const answer: Answer = yield next.value;
      const found = answer.map(({ key, value }): Found => [key, this.#putBy.get(nameOf(key, value)) ?? toHex(value)]);
      reads.push({ read: encoded(ReadSchema, next.value), answer: found });
      next = steps.next(answer);
    }
    return next.value;
  }
}

function encoded<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): string {
  return toHex(toBinary(schema, message));
}

function nameOf(key: string, value: Uint8Array): string {
  return `${key}\0${Buffer.from(value).toString("latin1")}`;
}

class RecordedCore extends Core {
  readonly #recorder: TraceRecorder;
  readonly #sealsMessages: boolean;
  #opened = false;

  constructor(crypto: Crypto, config: Config, vault: Vault, recorder: TraceRecorder) {
    super(crypto, config, vault);
    this.#recorder = recorder;
    this.#sealsMessages = vault.sealsMessages;
  }

  override *open(): Steps<Opened> {
    this.#opened = true;
    return yield* this.#recorder.open(super.open(), this.#sealsMessages);
  }

  override *step(input: Input): Steps<Outcome> {
    // As a module does in OpenCore, before the first step.
    if (!this.#opened) yield* this.open();
    return yield* this.#recorder.step(input, super.step(input), () => this.generation);
  }

  override commitFailed(): void {
    this.#recorder.commitFailed();
    super.commitFailed();
  }
}

/** A machine whose core's doings become a trace. */
export class RecordedMachine extends Machine {
  readonly #recorder: TraceRecorder;

  constructor(
    name: string,
    crypto: Crypto,
    config: ConfigValue,
    traceName: string,
    protection: "rawKey" | "unprotected" = "rawKey",
  ) {
    super(name, crypto, config, new Disk(), name, protection);
    this.#recorder = new TraceRecorder(traceName, this);
    this.core = this.newCore();
  }

  get trace(): Trace {
    return this.#recorder.trace;
  }

  protected override newCore(): Core {
    // The base class makes one before there is a recorder.
    if (!(#recorder in this)) return super.newCore();
    return new RecordedCore(this.crypto, create(ConfigSchema, this.config) as Config, this.vault, this.#recorder);
  }
}
