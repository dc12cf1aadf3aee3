import { create } from "@bufbuild/protobuf";
import { Priority, type RateSlot, RateSlotSchema } from "@chatsdk/abi/host_pb";
import { EpochUseSchema, type RateRecord } from "@chatsdk/abi/records_pb";
import type { Settings } from "../settings.ts";

/** Epochs remembered: a clock may go back so far (five hours at the network's default) and publishing goes on. */
const MAX_EPOCHS = 32;
/** More than any limit. */
const ALL = 2 ** 32 - 1;
/** Acknowledgements may use at most this part of an epoch, and so may repairs: the rest is for messages. */
const MINOR_PART = 0.2;

/**
 * What the rate limit (RLN) leaves to publish. A slot is the right to publish once: its use is stored in the commit that releases the
 * publication, and it is never given out again, whatever happens to the clock or the process: two proofs with one slot
 * reveal the membership's secret.
 */
export class Allowance {
  #changed = false;
  readonly #limit: Settings["rateLimit"];
  #record: RateRecord;
  readonly #nowMs: number;
  /** The present one. */
  readonly epoch: bigint;

  constructor(limit: Settings["rateLimit"], record: RateRecord, nowMs: number) {
    this.#limit = limit;
    this.#record = record;
    this.#nowMs = nowMs;
    this.epoch = limit ? BigInt(Math.floor(nowMs / limit.epochMs)) : 0n;
  }

  /** For a part of a step that may be dropped. */
  copy(): Allowance {
    const { epochs, ...rest } = this.#record;
    return new Allowance(this.#limit, { ...rest, epochs: epochs.map((use) => ({ ...use })) }, this.#nowMs);
  }

  /** The part of the step counts. */
  adopt(other: Allowance): void {
    if (!other.#changed) return;
    this.#record = other.#record;
    this.#changed = true;
  }

  /** The right to publish once, with its slot if there is a limit; `undefined`: not in this epoch. */
  take(priority: Priority): { slot?: RateSlot } | undefined {
    if (!this.#limit) return {};
    if (!this.allows(priority)) return undefined;
    const use = this.#use() ?? this.#open();
    this.#changed = true;
    if (priority === Priority.ACKNOWLEDGEMENT) use.acknowledgements++;
    else if (priority === Priority.REPAIR) use.repairs++;
    return { slot: create(RateSlotSchema, { epoch: this.epoch, messageId: use.used++ }) };
  }

  allows(priority: Priority): boolean {
    if (!this.#limit) return true;
    if (this.remaining === 0) return false;
    const minor = Math.ceil(this.#limit.messages * MINOR_PART);
    const use = this.#use();
    if (priority === Priority.ACKNOWLEDGEMENT) return (use?.acknowledgements ?? 0) < minor;
    return priority !== Priority.REPAIR || (use?.repairs ?? 0) < minor;
  }

  /** How many of its messages a conversation may publish when its turn comes: the others that wait get as many. */
  get share(): number {
    return this.#limit ? Math.max(1, Math.floor(this.remaining / (this.#record.waiting + 1))) : Infinity;
  }

  /** Slots left in this epoch. */
  get remaining(): number {
    if (!this.#limit) return 0;
    const use = this.#use();
    if (!use && this.epoch <= this.#record.closedEpoch) return 0;
    return Math.max(0, this.#limit.messages - (use?.used ?? 0));
  }

  /** Unix time in milliseconds at which the next epoch begins that may be published in. */
  get renewsMs(): number {
    if (!this.#limit) return 0;
    const { closedEpoch } = this.#record;
    return (Number(this.epoch > closedEpoch ? this.epoch : closedEpoch) + 1) * this.#limit.epochMs;
  }

  /**
   * An acknowledgement or a repair has to wait. Returns when its turn comes, Unix time in milliseconds: first come, first served, so that those
   * of busy conversations do not keep others from theirs.
   */
  postpone(): number {
    const use = this.#use();
    if (!use) return this.renewsMs;
    this.#changed = true;
    return this.renewsMs + use.postponed++;
  }

  /** A conversation's messages have to wait. Returns when its turn comes, Unix time in milliseconds: first come, first served. */
  enqueue(): number {
    this.#changed = true;
    this.#record.waiting++;
    return (this.remaining > 0 ? this.#nowMs : this.renewsMs) + this.#record.turns++;
  }

  /** They wait no longer. */
  dequeue(): void {
    if (!this.#limit) return;
    // A conversation may still think it waits from before a start (`emptyQueue`): nobody counts it.
    if (this.#record.waiting === 0) return;
    this.#changed = true;
    this.#record.waiting--;
    if (this.#record.waiting === 0) this.#record.turns = 0;
  }

  /** After a start every conversation that has something to publish comes forward again. */
  emptyQueue(): void {
    if (!this.#limit || this.#record.turns === 0) return;
    this.#changed = true;
    this.#record.waiting = 0;
    this.#record.turns = 0;
  }

  /** The database is an old copy: slots it does not know of may have been used. */
  close(): void {
    if (!this.#limit) return;
    this.#changed = true;
    for (const use of this.#record.epochs) use.used = ALL;
    if (this.epoch > this.#record.closedEpoch) this.#record.closedEpoch = this.epoch;
  }

  /** What must be stored before anything leaves; `undefined`: nothing was used. */
  get used(): RateRecord | undefined {
    return this.#changed ? this.#record : undefined;
  }

  #use() {
    return this.#record.epochs.find(({ epoch }) => epoch === this.epoch);
  }

  /** Begins to count in this epoch; of too many, the oldest is closed for good. */
  #open() {
    const use = create(EpochUseSchema, { epoch: this.epoch });
    const { epochs } = this.#record;
    epochs.push(use);
    epochs.sort((a, b) => (a.epoch < b.epoch ? -1 : 1));
    if (epochs.length > MAX_EPOCHS) {
      const [oldest] = epochs.splice(0, 1);
      if (oldest!.epoch > this.#record.closedEpoch) this.#record.closedEpoch = oldest!.epoch;
    }
    return use;
  }
}
