import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type Change, ChangeSchema, OutcomeSchema, type VaultHeader } from "@chatsdk/abi/host_pb";
import type { MessageStore, SecretStore, Storage } from "./storage.ts";
import { checkChanges } from "./validation.ts";

/**
 * A message store of the application's own, in Postgres for instance. It reads like any `MessageStore` and takes changes by the batch.
 * In a protected database the rows arrive with their contents sealed.
 */
export interface MessageSink extends MessageStore {
  /**
   * Applies one batch: the changes of `Change` that concern the message store, in order, atomically and durably. Batches are
   * numbered from 1 without gaps and come one at a time, in order. IDEMPOTENT: after a crash a batch may come again, so the
   * sink writes `batchNumber` in the same transaction and does nothing for a number not above the one it wrote last.
   * Rejects if nothing was applied; it must not hang.
   */
  apply(batchNumber: bigint, changes: readonly Change[]): Promise<void>;
  close?(): Promise<void>;
}

export interface SplitStorageOptions {
  /**
   * The sink refused a batch. Nothing is lost: the batch is in the journal and is tried again at the next commit and the next start;
   * until then the message store lags behind. Call the storage from here only asynchronously.
   */
  onSinkError?: (error: unknown) => void;
}

/** Keys of the journal in the secrets store; the core uses none that starts so. */
const JOURNAL = "journal/";
const MAXIMUM_PENDING = 1000;

interface Batch {
  number: bigint;
  changes: readonly Change[];
  encoded: Uint8Array;
}

/**
 * Secrets in one storage, messages in another, which no transaction can span. What a commit changes in the message store is
 * written to a journal in the secrets store, in the same transaction as the secrets, and then handed to the sink. A crash
 * between the two is made good at the next start: the commit either happened in both stores or in none.
 *
 * Journal records are not sealed again: in a protected database the core has sealed the contents of message rows before they get here,
 * and the journal holds nothing the message store does not. The last batch stays in the journal until the next one replaces it.
 */
export class SplitStorage implements Storage {
  readonly #secretsStorage: Storage;
  readonly #sink: MessageSink;
  readonly #onSinkError: (error: unknown) => void;
  /** In the journal, oldest first. The last stays when it is applied, for its number. */
  #journal: Batch[];
  /** The sink has all batches up to this. */
  #applied = 0n;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;
  readonly secrets: SecretStore;

  private constructor(secretsStorage: Storage, sink: MessageSink, options: SplitStorageOptions, journal: Batch[]) {
    this.#secretsStorage = secretsStorage;
    this.#sink = sink;
    this.#onSinkError = options.onSinkError ?? (() => {});
    this.#journal = journal;
    this.secrets = new SecretsWithoutJournal(secretsStorage.secrets);
  }

  /**
   * Takes over both stores; `secretsStorage` must be used by nothing else. Hands the sink what a crash or an outage kept from it. Rejects with
   * ChatError STORAGE_FAILED (retryable) if the sink refuses, DATABASE_CORRUPT if the journal is unreadable; both stores stay open then.
   */
  static async open(
    secretsStorage: Storage,
    sink: MessageSink,
    options: SplitStorageOptions = {},
  ): Promise<SplitStorage> {
    const records = await secretsStorage.secrets.scan(JOURNAL, 0);
    const storage = new SplitStorage(secretsStorage, sink, options, records.map(decodeBatch));
    try {
      await storage.#applyPending();
    } catch (error) {
      throw new ChatError(
        ErrorCode.STORAGE_FAILED,
        "messageSink: refused a batch from the journal; see the cause and open again",
        { retryable: true, cause: error },
      );
    }
    return storage;
  }

  get messages(): MessageStore {
    return this.#sink;
  }

  async header(): Promise<VaultHeader | undefined> {
    return await this.#secretsStorage.header();
  }

  async setHeader(header: VaultHeader): Promise<void> {
    await this.#secretsStorage.setHeader(header);
  }

  /**
   * As `Storage.commit`. Resolves when the secrets store has it all and the sink has either applied its part or refused it (see
   * `SplitStorageOptions.onSinkError`). Rejects with STORAGE_FAILED (retryable) while the sink is 1,000 batches behind.
   */
  async commit(changes: readonly Change[]): Promise<void> {
    checkChanges(changes);
    // Copied now: with commits in line the caller may have moved on before it is this one's turn.
    const own = fromBinary(OutcomeSchema, encodeChanges(changes)).changes;
    await this.#inTurn(() => this.#commit(own));
  }

  /** Tries once more to hand over what the sink lacks, then closes both stores. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#closed) return;
      await this.#tryApplyPending();
      this.#closed = true;
      await Promise.all([this.#secretsStorage.close(), this.#sink.close?.()]);
    });
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    const secretChanges = changes.filter((change) => !isMessageChange(change));
    const messageChanges = changes.filter(isMessageChange);
    requireJournalUntouched(secretChanges);

    const pending = this.#journal.filter((batch) => batch.number > this.#applied);
    if (messageChanges.length === 0) {
      await this.#secretsStorage.commit([...secretChanges, ...restoreJournal(secretChanges, this.#journal)]);
      return;
    }
    if (pending.length >= MAXIMUM_PENDING) {
      throw new ChatError(
        ErrorCode.STORAGE_FAILED,
        `messageSink: is ${pending.length} batches behind, nothing was changed; repair it and try again`,
        { retryable: true },
      );
    }

    const batch = {
      number: (this.#journal.at(-1)?.number ?? 0n) + 1n,
      changes: messageChanges,
      encoded: encodeChanges(messageChanges),
    };
    const done = this.#journal.filter((other) => other.number <= this.#applied);
    await this.#secretsStorage.commit([
      ...secretChanges,
      ...restoreJournal(secretChanges, pending),
      putRecord(batch),
      ...done.map((other) => create(ChangeSchema, { change: { case: "delete", value: journalKey(other.number) } })),
    ]);
    this.#journal = [...pending, batch];
    await this.#tryApplyPending();
  }

  /** The commit is durable already: a sink's failure is no failure of the commit. */
  async #tryApplyPending(): Promise<void> {
    try {
      await this.#applyPending();
    } catch (error) {
      this.#onSinkError(error);
    }
  }

  async #applyPending(): Promise<void> {
    for (const batch of this.#journal) {
      if (batch.number <= this.#applied) continue;
      await this.#sink.apply(batch.number, batch.changes);
      this.#applied = batch.number;
    }
  }

  /** One at a time, in the order of the calls. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => {});
    return turn;
  }
}

/** What the core sees of the secrets store. */
class SecretsWithoutJournal implements SecretStore {
  readonly #store: SecretStore;

  constructor(store: SecretStore) {
    this.#store = store;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return key.startsWith(JOURNAL) ? undefined : await this.#store.get(key);
  }

  async findTag(tag: Uint8Array): Promise<{ key: string; value: Uint8Array } | undefined> {
    return await this.#store.findTag(tag);
  }

  async scan(prefix: string, limit: number): Promise<{ key: string; value: Uint8Array }[]> {
    if (!touchesJournal(prefix)) return await this.#store.scan(prefix, limit);
    const records = await this.#store.scan(prefix, 0);
    return records.filter(({ key }) => !key.startsWith(JOURNAL)).slice(0, limit || undefined);
  }
}

function isMessageChange({ change }: Change): boolean {
  switch (change.case) {
    case "putMessage":
    case "setStatus":
    case "peerRead":
    case "ownRead":
    case "putConversation":
    case "deleteConversation":
      return true;
    default:
      return false;
  }
}

function touchesJournal(prefix: string): boolean {
  return JOURNAL.startsWith(prefix) || prefix.startsWith(JOURNAL);
}

/** A change that removes all keys removes the journal's too: they are written again. */
function restoreJournal(secretChanges: readonly Change[], journal: readonly Batch[]): Change[] {
  const removed = secretChanges.some(({ change }) => change.case === "deletePrefix" && touchesJournal(change.value));
  return removed ? journal.map(putRecord) : [];
}

function requireJournalUntouched(secretChanges: readonly Change[]): void {
  for (const { change } of secretChanges) {
    const key = change.case === "put" ? change.value.key : change.case === "delete" ? change.value : "";
    if (key.startsWith(JOURNAL))
      throw new ChatError(
        ErrorCode.INTERNAL,
        `changes: keys that start with ${JOURNAL} belong to the storage; report this`,
      );
  }
}

function putRecord(batch: Batch): Change {
  return create(ChangeSchema, {
    change: { case: "put", value: { key: journalKey(batch.number), value: batch.encoded } },
  });
}

/** Padded, so that the order of keys is the order of numbers. */
function journalKey(number: bigint): string {
  return JOURNAL + number.toString().padStart(20, "0");
}

function decodeBatch({ key, value }: { key: string; value: Uint8Array }): Batch {
  try {
    return {
      number: BigInt(key.slice(JOURNAL.length)),
      changes: fromBinary(OutcomeSchema, value).changes,
      encoded: value,
    };
  } catch (error) {
    throw new ChatError(ErrorCode.DATABASE_CORRUPT, `record ${key}: is no batch of the journal; restore a backup`, {
      cause: error,
    });
  }
}

function encodeChanges(changes: readonly Change[]): Uint8Array {
  return toBinary(OutcomeSchema, create(OutcomeSchema, { changes: [...changes] }));
}
