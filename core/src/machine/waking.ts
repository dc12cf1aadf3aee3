import { Priority } from "@chatsdk/abi/host_pb";
import { SessionState } from "@chatsdk/abi/api_pb";
import { ConversationRecordSchema, type Reliability, StateRecordSchema } from "@chatsdk/abi/records_pb";
import { MAX_RESEND_INTERVAL_MS } from "../settings.ts";
import { Conversation } from "./conversation.ts";
import { endHold, MAX_REPAIR_INTERVAL_MS, pursueGap } from "./gaps.ts";
import type { History } from "./history.ts";
import { expireOutgoing, isSetUpWaiting, MAX_RETRY_MS, publishUnsent, resendUnacknowledged } from "./outgoing.ts";
import { expirePrekeys } from "./prekeys.ts";
import { Keys } from "./records.ts";
import { markLost, publishRepair } from "./repair.ts";
import { expireSegments, showHeld } from "./showing.ts";
import type { Step, Steps } from "./step.ts";
import { acknowledgeIfDue, scheduleAcknowledgement, sendSync } from "./synchronizing.ts";

const MAINTENANCE = "maintenance";
/** After a failed history query, and after a new topic was subscribed: what came before the nodes knew of it is in the store. */
const HISTORY_SOON_MS = 15 * 1000;
/** Timers served in one step; more follow in the next, at once. */
const BATCH = 64;
/** A timer that could not be served. */
const POSTPONED_MS = 3600 * 1000;

/** Serves the timers that are due. */
export function* wake(step: Step, history: History): Steps<void> {
  step.rearm();
  for (const { key } of yield* step.scan(StateRecordSchema, Keys.timers, BATCH)) {
    const [, due, name] = key.split("/") as [string, string, string];
    if (Number(due) > step.nowMs) return;
    if (name === MAINTENANCE) yield* maintain(step, key, history);
    else yield* serveOrPostpone(step, key, name, history);
  }
}

/** One conversation that cannot be served must not hold up all others. */
function* serveOrPostpone(step: Step, key: string, conversationId: string, history: History): Steps<void> {
  const reason = yield* step.attempt((attempt) => serve(attempt, key, conversationId, history));
  if (reason === undefined) return;
  step.log(`timer of a conversation postponed: ${reason}`);
  step.delete(key);
  step.setTimer(conversationId, step.nowMs + POSTPONED_MS);
}

function* serve(step: Step, key: string, conversationId: string, history: History): Steps<void> {
  const record = yield* step.get(ConversationRecordSchema, Keys.conversation(conversationId));
  if (!record) return step.delete(key);
  // It was postponed after a failure, or recalled.
  const recalled = key !== Keys.timer(Number(record.timerMs), conversationId);
  if (recalled) {
    step.delete(key);
    step.delete(Keys.timer(Number(record.timerMs), conversationId));
    record.timerMs = 0n;
  }
  const conversation = Conversation.fromRecord(conversationId, record);
  const { stream } = conversation;
  for (const timer of farAhead(step, stream)) stream[timer] = BigInt(step.nowMs);
  const isDue = (time: bigint): boolean => time !== 0n && Number(time) <= step.nowMs;
  if (isDue(stream.expiryMs)) {
    yield* expireOutgoing(step, conversation);
    if (conversation.isUnanswered && !(yield* isSetUpWaiting(step, conversation))) {
      return yield* markLost(step, conversation);
    }
  }
  if (stream.showUntil !== 0) yield* showHeld(step, conversation, stream.showUntil);
  if (isDue(stream.segmentsMs)) yield* expireSegments(step, conversation);
  if (recalled || isDue(stream.retryMs)) yield* publishUnsent(step, conversation);
  if (isDue(stream.resendMs)) {
    if ((record.sessionState as SessionState) === SessionState.REPAIR_SENT) publishRepair(step, conversation);
    else {
      const ask = (): void => sendSync(step, conversation, { requestAcknowledgement: true }, Priority.REPAIR);
      yield* resendUnacknowledged(step, conversation, ask);
    }
  }
  const askHistory = (accountId: string): void => history.ask(accountId);
  if (isDue(stream.gapMs)) yield* pursueGap(step, conversation, askHistory);
  if (isDue(stream.holdMs)) yield* endHold(step, conversation, askHistory);
  if (isDue(stream.ackDueMs) && history.isCatchingUp(record.accountId)) postponeAcknowledgement(step, conversation);
  acknowledgeIfDue(step, conversation);
  conversation.save(step);
}

/** Every few minutes: what a subscription may have missed, and keys whose time is over. */
function* maintain(step: Step, key: string, history: History): Steps<void> {
  step.delete(key);
  yield* expirePrekeys(step);
  yield* history.askForMissedByAccounts(step);
  scheduleMaintenance(step, step.settings.historyIntervalMs);
}

export function scheduleMaintenance(step: Step, delayMs: number): void {
  step.setTimer(MAINTENANCE, step.nowMs + delayMs);
}

/** Puts the maintenance at one time, whatever was scheduled before. */
export function* rescheduleMaintenance(step: Step, delayMs: number): Steps<void> {
  for (const { key } of yield* step.scan(StateRecordSchema, Keys.timers)) {
    if (key.endsWith(`/${MAINTENANCE}`)) step.delete(key);
  }
  scheduleMaintenance(step, delayMs);
}

/** History comes first: an acknowledgement sent before it would ask for all that came meanwhile. */
function postponeAcknowledgement(step: Step, conversation: Conversation): void {
  const { stream } = conversation;
  // A process that ends soon after each start would never send it.
  if (stream.ackPostponed) return;
  stream.ackPostponed = true;
  stream.ackDueMs = 0n;
  scheduleAcknowledgement(step, conversation, false);
}

/** What is put off further than the protocol, or the rate limit, ever puts it: the clock was ahead then. */
function farAhead(step: Step, stream: Reliability) {
  const { ackDelayMs, ackIntervalMs, resendAfterMs, gapDelayMs } = step.settings;
  const longestMs = {
    ackDueMs: Math.max(ackDelayMs, ackIntervalMs),
    resendMs: Math.max(resendAfterMs, MAX_RESEND_INTERVAL_MS),
    gapMs: Math.max(gapDelayMs, MAX_REPAIR_INTERVAL_MS),
    holdMs: gapDelayMs,
    retryMs: MAX_RETRY_MS,
  };
  const renewsMs = step.allowance.renewsMs + MAX_RETRY_MS;
  return (Object.keys(longestMs) as (keyof typeof longestMs)[]).filter(
    (timer) => Number(stream[timer]) > Math.max(step.nowMs + 1.5 * longestMs[timer], renewsMs),
  );
}

/** After a start, or when the clock was put back: what a clock that was ahead has put off is due now. */
export function* recallTimers(step: Step, history: History): Steps<void> {
  for (const { key } of yield* step.scan(StateRecordSchema, Keys.timers)) {
    const [, due, name] = key.split("/") as [string, string, string];
    if (name === MAINTENANCE || Number(due) <= step.nowMs) continue;
    const record = yield* step.get(ConversationRecordSchema, Keys.conversation(name));
    const stream = record?.reliability;
    if (!record || !stream) {
      step.delete(key);
      continue;
    }
    if (farAhead(step, stream).length === 0) continue;
    // The timer alone: all conversations may be more than a step can write.
    step.setTimer(name, step.nowMs);
    history.ask(record.accountId);
  }
}

export function* askHistorySoon(step: Step): Steps<void> {
  yield* rescheduleMaintenance(step, HISTORY_SOON_MS);
}
