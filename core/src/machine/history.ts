import { bytesToHex } from "../bytes.ts";
import { type AccountRecord, AccountRecordSchema } from "@chatsdk/abi/records_pb";
import { Keys, lastPart } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** Senders' clocks differ, stores lag and messages overtake others: each query begins this much earlier than what it is for. */
const OVERLAP_MS = 2 * 60 * 1000;

/** Pushes of some ten minutes in a bucket with 46 a second. */
const MOST_PASSED = 32_768;

interface OpenQuery {
  id: string;
  /** What it may have read before it was awaited counts as unread. */
  endMs: number;
  missedOnly: boolean;
}

/**
 * Which history queries are under way. Not stored: a restart asks again from where the account's record says. One query
 * an account at a time; what is asked meanwhile follows when it ends.
 */
export class History {
  #open = new Map<string, OpenQuery>();
  /** Whether what was pushed is left out, by account. */
  #asked = new Map<string, boolean>();
  /** When pushes came that nobody awaited, by their hints, oldest first. */
  readonly #passed = new Map<string, number>();
  /** Accounts that have read all of it since the last push that may have been lost in this process. */
  readonly #read = new Set<string>();
  /** Accounts of which no query has ended since the start, well or not. */
  readonly #catchingUp = new Set<string>();

  isCatchingUp(accountId: string): boolean {
    return this.#catchingUp.has(accountId);
  }

  /** Asks for all of the history since the account last looked. */
  ask(accountId: string): void {
    this.#asked.set(accountId, false);
  }

  /** Asks again for what came from `fromMs` on: some of it is awaited only from this step on. Its commit keeps that. */
  *askAgain(step: Step, accountId: string, fromMs: number): Steps<void> {
    this.ask(accountId);
    const query = this.#open.get(accountId);
    if (query) query.endMs = Math.min(query.endMs, fromMs);
    const account = yield* step.get(AccountRecordSchema, Keys.account(accountId));
    if (!account || Number(account.historyUntilMs) <= fromMs) return;
    account.historyUntilMs = BigInt(fromMs);
    step.put(AccountRecordSchema, Keys.account(accountId), account);
  }

  /** Asks for each account's history, as `ask` does. */
  *askForAccounts(step: Step, starting: boolean): Steps<void> {
    for (const accountId of yield* accountIds(step)) {
      this.ask(accountId);
      if (starting) this.#catchingUp.add(accountId);
    }
  }

  /** Asks for what each account's subscription may have missed. */
  *askForMissedByAccounts(step: Step): Steps<void> {
    for (const accountId of yield* accountIds(step)) this.askForMissed(accountId);
  }

  /** Asks for what the subscription may have missed since the account last looked. */
  askForMissed(accountId: string): void {
    this.#asked.set(accountId, this.#asked.get(accountId) ?? true);
  }

  /** A push that nobody awaits. It may have overtaken others. */
  notePassed(hint: Uint8Array, nowMs: number): void {
    this.#passed.set(bytesToHex(hint), nowMs);
    if (this.#passed.size > MOST_PASSED) this.#passed.delete(this.#passed.keys().next().value!);
  }

  /** Asks for the pushes that nobody awaited when they came, and that are awaited from this step on. */
  *askForPassed(step: Step): Steps<void> {
    let firstMs = Number.POSITIVE_INFINITY;
    for (const hint of step.addedHints()) firstMs = Math.min(firstMs, this.#passed.get(bytesToHex(hint)) ?? firstMs);
    if (firstMs === Number.POSITIVE_INFINITY) return;
    for (const accountId of yield* accountIds(step)) yield* this.askAgain(step, accountId, firstMs);
  }

  /** Releases what was asked for in this step, as effects. */
  *release(step: Step): Steps<void> {
    for (const [accountId, missedOnly] of this.#asked) {
      if (this.#open.has(accountId)) continue;
      const account = yield* step.get(AccountRecordSchema, Keys.account(accountId));
      this.#asked.delete(accountId);
      if (account) this.#query(step, accountId, account, missedOnly && this.#read.has(accountId));
    }
  }

  #query(step: Step, accountId: string, account: AccountRecord, missedOnly: boolean): void {
    // A clock that was ahead may have left a time in the future.
    const startMs = Math.max(0, Math.min(Number(account.historyUntilMs), step.nowMs) - OVERLAP_MS);
    // Not a number: the answer to a query of a core that broke down must not end one of its successor.
    const id = `h/${accountId}/${bytesToHex(step.entropy.bytes(8))}`;
    this.#open.set(accountId, { id, endMs: step.nowMs, missedOnly });
    const topics = [account.deliveryAddress];
    step.effect({
      case: "queryHistory",
      value: { queryId: id, topics, startMs: BigInt(startMs), endMs: BigInt(step.nowMs), missedOnly },
    });
  }

  /** A query ended. If it was complete, its account has seen everything up to its end. */
  *ended(step: Step, queryId: string, failed: boolean): Steps<void> {
    const accountId = queryId.split("/")[1] ?? "";
    const query = this.#open.get(accountId);
    if (query?.id !== queryId) return;
    this.#open.delete(accountId);
    this.#catchingUp.delete(accountId);
    if (failed) {
      // The next one asks for all: perhaps no node can leave out what was pushed.
      this.#read.delete(accountId);
      return;
    }
    if (!query.missedOnly) this.#read.add(accountId);
    const account = yield* step.get(AccountRecordSchema, Keys.account(accountId));
    if (!account) return;
    const until = Number(account.historyUntilMs);
    // In the future it was set by a clock that was ahead, and the query began at the present.
    if (until <= step.nowMs && query.endMs <= until) return;
    account.historyUntilMs = BigInt(query.endMs);
    step.put(AccountRecordSchema, Keys.account(accountId), account);
  }

  /** A step came to nothing: its effects never left, so no answer will come; and what was pushed with it only the store has. */
  forget(): void {
    this.#open.clear();
    this.#asked.clear();
    this.#read.clear();
  }
}

function* accountIds(step: Step): Steps<string[]> {
  return (yield* step.scan(AccountRecordSchema, Keys.accounts)).map(({ key }) => lastPart(key));
}
