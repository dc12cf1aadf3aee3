import { Priority } from "@chatsdk/abi/host_pb";
import type { Reliability } from "@chatsdk/abi/records_pb";
import { absent, giveUpMissing } from "../reliability/incoming-stream.ts";
import { peerId } from "../reliability/sds.ts";
import { insertSorted } from "../reliability/sequence-set.ts";
import type { Conversation } from "./conversation.ts";
import { showHeld } from "./showing.ts";
import type { Step, Steps } from "./step.ts";
import { sendSync } from "./synchronizing.ts";

const FIRST_REPAIR_INTERVAL_MS = 20 * 1000;
/** Whatever a peer leaves out, it is not asked, nor is all history, more often. */
const LEAST_REPAIR_INTERVAL_MS = 15 * 1000;
export const MAX_REPAIR_INTERVAL_MS = 3600 * 1000;

/** Asks the store for the history since the account last looked, or for what its subscription may have missed of it. */
export type AskHistory = (accountId: string) => void;

/** Known to exist, not arrived, not given up. */
export function wanted(conversation: Conversation): number[] {
  const lost = new Set(conversation.stream.lost);
  return absent(conversation.stream).filter((sequence) => !lost.has(sequence));
}

/** After an arrival: starts or ends the watch over a gap. The store is asked first, the sender later. */
export function watchGap(step: Step, conversation: Conversation, askHistory: AskHistory): void {
  const { stream } = conversation;
  const missing = wanted(conversation);
  const soon = BigInt(step.nowMs + step.settings.gapDelayMs);
  if (missing.length === 0) {
    stream.gapMs = 0n;
    stream.holdMs = 0n;
    stream.gapRound = 0;
  } else if (stream.gapMs === 0n) {
    stream.gapMs = soon;
    stream.gapRound = 0;
    askHistory(conversation.record.accountId);
  } else if (stream.holdMs === 0n && soon < stream.gapMs && unreported(stream, missing).length > 0) {
    stream.holdMs = soon;
    askHistory(conversation.record.accountId);
  }
}

function unreported(stream: Reliability, missing: readonly number[]): number[] {
  const known = new Set(stream.missing);
  return missing.filter((sequence) => !known.has(sequence));
}

/** What is held behind messages newly missing has waited long enough. If they came meanwhile, the others' turn does not change. */
export function* endHold(step: Step, conversation: Conversation, askHistory: AskHistory): Steps<void> {
  const { stream } = conversation;
  stream.holdMs = 0n;
  if (unreported(stream, wanted(conversation)).length > 0) yield* pursueGap(step, conversation, askHistory);
}

/** The gap has lasted: reports it, shows what waits behind it, asks the sender; in the end reports the loss. */
export function* pursueGap(step: Step, conversation: Conversation, askHistory: AskHistory): Steps<void> {
  const { stream } = conversation;
  const missing = wanted(conversation);
  stream.holdMs = 0n;
  if (missing.length === 0) {
    stream.gapMs = 0n;
    stream.gapRound = 0;
    return;
  }
  // Others came to be missed: they get all their rounds. Who cannot supply them says so, hence this ends.
  if (yield* reportMissing(step, conversation, missing)) stream.gapRound = 0;
  yield* showHeld(step, conversation, stream.highestKnown);
  if (!step.allowance.allows(Priority.REPAIR)) {
    // It keeps its turn.
    if (Number(stream.gapMs) <= step.nowMs) stream.gapMs = BigInt(step.allowance.postpone());
    return;
  }
  const askedAgoMs = step.nowMs - Number(stream.askedMs);
  // In the future: the clock was put back.
  if (askedAgoMs >= 0 && askedAgoMs < LEAST_REPAIR_INTERVAL_MS) {
    stream.gapMs = stream.askedMs + BigInt(LEAST_REPAIR_INTERVAL_MS);
    return;
  }
  stream.askedMs = BigInt(step.nowMs);
  stream.gapRound++;
  if (stream.gapRound > step.settings.repairAttempts) {
    stream.gapMs = 0n;
    stream.gapRound = 0;
    yield* reportLost(step, conversation, giveUpMissing(stream));
    return;
  }
  askHistory(conversation.record.accountId);
  if (conversation.record.session) sendSync(step, conversation, { missing }, Priority.REPAIR);
  const delay = Math.min(FIRST_REPAIR_INTERVAL_MS * 2 ** (stream.gapRound - 1), MAX_REPAIR_INTERVAL_MS);
  stream.gapMs = BigInt(step.nowMs + Math.round(delay * (1 + 0.25 * step.entropy.fraction())));
}

/** What was missing has arrived: the peer answers, so it is asked on, and soon: it sends only so many at once. */
export function noteRecovery(step: Step, conversation: Conversation): void {
  conversation.stream.gapRound = 0;
  conversation.stream.gapMs = BigInt(step.nowMs + FIRST_REPAIR_INTERVAL_MS);
}

/** True if any was not reported before. */
function* reportMissing(step: Step, conversation: Conversation, missing: readonly number[]): Steps<boolean> {
  const { stream } = conversation;
  const fresh = unreported(stream, missing);
  if (fresh.length === 0) return false;
  for (const sequence of fresh) insertSorted(stream.missing, sequence);
  const ids = conversation.ids(step);
  const value = {
    $typeName: "chatsdk.v1.MessagesMissing" as const,
    messageIds: fresh.map((sequence) => peerId(ids, sequence)),
  };
  yield* step.event(conversation.record.accountId, conversation.id, { case: "messagesMissing", value });
  return true;
}

export function* reportLost(step: Step, conversation: Conversation, lost: readonly number[]): Steps<void> {
  if (lost.length === 0) return;
  const ids = conversation.ids(step);
  const value = {
    $typeName: "chatsdk.v1.MessagesLost" as const,
    messageIds: lost.map((sequence) => peerId(ids, sequence)),
  };
  yield* step.event(conversation.record.accountId, conversation.id, { case: "messagesLost", value });
}
