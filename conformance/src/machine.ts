import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Event } from "@chatsdk/abi/api_pb";
import {
  type Change,
  type Config,
  ConfigSchema,
  type Effect,
  InputSchema,
  KeyDerivationSchema,
  type Outcome,
  type VaultHeader,
} from "@chatsdk/abi/host_pb";
import { ChatError, Core, type Crypto, Entropy, type Steps, Vault } from "@chatsdk/core";
import { Disk } from "./disk.ts";

export type InputValue = NonNullable<MessageInitShape<typeof InputSchema>["input"]>;
export type ConfigValue = MessageInitShape<typeof ConfigSchema>;

/** Opens the vault of every machine. */
export const HOST_KEY = new Uint8Array(32);

/**
 * A core with a disk in memory and nothing else: no clock, no network. Entropy comes from a seeded generator, so that a
 * run can be repeated.
 */
export class Machine {
  readonly events: Event[] = [];
  core: Core;
  /** The rollback anchor: the number of the newest commit. */
  seenGeneration = 0n;
  readonly header: VaultHeader;
  readonly vault: Vault;
  /** Sees every step, after its commit. */
  watch: (outcome: Outcome, input: InputValue) => void = () => {};
  #drawn = 0;

  constructor(
    readonly name: string,
    readonly crypto: Crypto,
    readonly config: ConfigValue = {},
    public disk: Disk = new Disk(),
    readonly seed = name,
    protection: "rawKey" | "unprotected" = "rawKey",
  ) {
    const derivation = create(KeyDerivationSchema, { derivation: { case: protection, value: {} } });
    this.header = Vault.create(
      crypto,
      derivation,
      HOST_KEY,
      new Entropy(crypto, crypto.sha256(Buffer.from(`vault/${name}`))),
    );
    this.vault = Vault.open(crypto, this.header, HOST_KEY);
    this.core = this.newCore();
  }

  /** Another machine with a copy of this one's disk and its vault key: a backup, or what a thief has taken. */
  clone(seed: string, disk = this.disk): Machine {
    return new Machine(this.name, this.crypto, this.config, disk.copy(), seed);
  }

  protected newCore(): Core {
    return new Core(this.crypto, create(ConfigSchema, this.config) as Config, this.vault);
  }

  /** The process ends and starts again: only the disk remains. */
  restart(): void {
    this.core = this.newCore();
  }

  entropy(): Uint8Array {
    return this.crypto.sha256(Buffer.from(`${this.seed}/${this.#drawn++}`));
  }

  /** The last step is to be run again, with the same entropy. */
  rewind(): void {
    this.#drawn--;
  }

  /** One step without committing: what a crash before the commit leaves behind. */
  prepare(nowMs: number, input: InputValue, entropy = this.entropy()): Outcome {
    return this.answer(this.core.step(create(InputSchema, { nowMs: BigInt(nowMs), entropy, input })));
  }

  /** One step, committed. Effects are for the caller. */
  step(nowMs: number, input: InputValue): Outcome {
    const outcome = this.prepare(nowMs, input);
    this.settle(outcome, input);
    return outcome;
  }

  /** A call without a world: its reply's value. Effects go to `effects`. */
  call<Case extends ReplyCase>(nowMs: number, input: InputValue, expected: Case, effects: Effect[] = []) {
    const outcome = this.step(nowMs, input);
    effects.push(...outcome.effects);
    return replyValue(outcome, expected);
  }

  /** Commits a step and shows its events. */
  settle(outcome: Outcome, input: InputValue): void {
    this.commit(outcome.changes);
    this.events.push(...outcome.events);
    this.watch(outcome, input);
  }

  answer<Result>(steps: Steps<Result>): Result {
    let next = steps.next();
    while (!next.done) next = steps.next(this.disk.answer(next.value));
    return next.value;
  }

  commit(changes: readonly Change[]): void {
    for (const change of changes) this.disk.apply(change);
    if (this.core.generation > this.seenGeneration) this.seenGeneration = this.core.generation;
  }
}

type Reply = NonNullable<Outcome["reply"]>["reply"];
export type ReplyCase = NonNullable<Reply["case"]>;
export type ReplyValue<Case extends ReplyCase> = Extract<Reply, { case: Case }>["value"];

/** The value of a reply; a failure is thrown. */
export function replyValue<Case extends ReplyCase>(outcome: Outcome, expected: Case): ReplyValue<Case> {
  const reply = outcome.reply?.reply;
  if (reply?.case === "failure")
    throw new ChatError(reply.value.code, reply.value.message, { retryable: reply.value.retryable });
  if (reply?.case !== expected) throw new Error(`reply ${reply?.case}, not ${expected}`);
  return reply.value as ReplyValue<Case>;
}
