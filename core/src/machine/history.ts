import { type AccountRecord, AccountRecordSchema } from "@chatsdk/abi/records_pb";
import { Keys, lastPart } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** Senders' clocks differ and stores lag: each query begins this much before the last one ended. */
const OVERLAP_MS = 2 * 60 * 1000;

interface OpenQuery {
  id: string;
  startMs: number;
  endMs: number;
}

/**
 * Which history queries are under way. Not stored: a restart asks again from where the account's record says. One query
 * an account at a time; what is asked meanwhile follows when it ends.
 */
export class History {
  #open = new Map<string, OpenQuery>();
  #asked = new Map<string, number | undefined>();
  #count = 0;

  /** Asks for the history since the account last looked, or since `fromMs` if that is earlier. */
  ask(accountId: string, fromMs?: number): void {
    const earlier = this.#asked.get(accountId);
    const from = earlier === undefined ? fromMs : Math.min(earlier, fromMs ?? earlier);
    this.#asked.set(accountId, from);
  }

  /** Releases what was asked for in this step, as effects. */
  *release(step: Step): Steps<void> {
    for (const [accountId, fromMs] of this.#asked) {
      if (this.#open.has(accountId)) continue;
      const account = yield* step.get(AccountRecordSchema, Keys.account(accountId));
      this.#asked.delete(accountId);
      if (account) this.#query(step, accountId, account, fromMs);
    }
  }

  #query(step: Step, accountId: string, account: AccountRecord, fromMs: number | undefined): void {
    // A clock that was ahead may have left a time in the future.
    const since = Math.min(Number(account.historyUntilMs), step.nowMs) - OVERLAP_MS;
    const startMs = Math.max(0, fromMs === undefined ? since : Math.min(since, fromMs));
    const id = `h/${accountId}/${++this.#count}`;
    this.#open.set(accountId, { id, startMs, endMs: step.nowMs });
    const topics = [account.deliveryAddress];
    step.effect({
      case: "queryHistory",
      value: { queryId: id, topics, startMs: BigInt(startMs), endMs: BigInt(step.nowMs) },
    });
  }

  /** A query ended. If it was complete, its account has seen everything up to its end. */
  *ended(step: Step, queryId: string, failed: boolean): Steps<void> {
    const accountId = queryId.split("/")[1] ?? "";
    const query = this.#open.get(accountId);
    if (query?.id !== queryId) return;
    this.#open.delete(accountId);
    if (failed) return;
    const account = yield* step.get(AccountRecordSchema, Keys.account(accountId));
    if (!account) return;
    const until = Number(account.historyUntilMs);
    // In the future it was set by a clock that was ahead, and the query began at the present.
    if (until <= step.nowMs && (query.startMs > until || query.endMs <= until)) return;
    account.historyUntilMs = BigInt(query.endMs);
    step.put(AccountRecordSchema, Keys.account(accountId), account);
  }

  /** A commit failed: its effects never left, so no answer will come. */
  forget(): void {
    this.#open.clear();
    this.#asked.clear();
  }
}

export function* askForAll(step: Step, history: History): Steps<void> {
  for (const { key } of yield* step.scan(AccountRecordSchema, Keys.accounts)) history.ask(lastPart(key));
}
