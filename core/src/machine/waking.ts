import { create } from "@bufbuild/protobuf";
import { Priority } from "@chatsdk/abi/host_pb";
import { SessionState } from "@chatsdk/abi/api_pb";
import { ConversationRecordSchema, StateRecordSchema } from "@chatsdk/abi/records_pb";
import { Conversation } from "./conversation.ts";
import { pursueGap } from "./gaps.ts";
import { askForAll, type History } from "./history.ts";
import { expireOutgoing, publishUnsent, resendUnacknowledged } from "./outgoing.ts";
import { expirePrekeys } from "./prekeys.ts";
import { Keys } from "./records.ts";
import { publishRepair } from "./repair.ts";
import { expireSegments } from "./showing.ts";
import type { Step, Steps } from "./step.ts";
import { acknowledgeIfDue, sendSync } from "./synchronizing.ts";

const MAINTENANCE = "maintenance";
/** After a failed history query. */
const HISTORY_RETRY_MS = 15 * 1000;
/** Timers served in one step; more follow in the next, at once. */
const BATCH = 64;

/** Serves the timers that are due. */
export function* wake(step: Step, history: History): Steps<void> {
  step.rearm();
  for (const { key } of yield* step.scan(StateRecordSchema, Keys.timers, BATCH)) {
    const [, due, name] = key.split("/") as [string, string, string];
    if (Number(due) > step.nowMs) return;
    if (name === MAINTENANCE) yield* maintain(step, key, history);
    else yield* serve(step, key, name, history);
  }
}

function* serve(step: Step, key: string, conversationId: string, history: History): Steps<void> {
  const record = yield* step.get(ConversationRecordSchema, Keys.conversation(conversationId));
  if (!record) return step.delete(key);
  const conversation = Conversation.fromRecord(conversationId, record);
  const { stream } = conversation;
  const isDue = (time: bigint): boolean => time !== 0n && Number(time) <= step.nowMs;
  if (isDue(stream.expiryMs)) yield* expireOutgoing(step, conversation);
  if (isDue(stream.segmentsMs)) yield* expireSegments(step, conversation);
  if (isDue(stream.retryMs)) yield* publishUnsent(step, conversation);
  if (isDue(stream.resendMs)) {
    if ((record.sessionState as SessionState) === SessionState.REPAIR_SENT) publishRepair(step, conversation);
    else {
      const ask = (): void => sendSync(step, conversation, { requestAcknowledgement: true }, Priority.REPAIR);
      yield* resendUnacknowledged(step, conversation, ask);
    }
  }
  if (isDue(stream.gapMs)) yield* pursueGap(step, conversation, (accountId) => history.ask(accountId));
  acknowledgeIfDue(step, conversation);
  conversation.save(step);
}

/** Every few minutes: what a subscription may have missed, and keys whose time is over. */
function* maintain(step: Step, key: string, history: History): Steps<void> {
  step.delete(key);
  yield* expirePrekeys(step);
  yield* askForAll(step, history);
  scheduleMaintenance(step, step.settings.historyIntervalMs);
}

export function scheduleMaintenance(step: Step, delayMs: number): void {
  step.put(StateRecordSchema, Keys.timer(step.nowMs + delayMs, MAINTENANCE), create(StateRecordSchema));
}

/** Puts the maintenance at one time, whatever was scheduled before. */
export function* rescheduleMaintenance(step: Step, delayMs: number): Steps<void> {
  for (const { key } of yield* step.scan(StateRecordSchema, Keys.timers)) {
    if (key.endsWith(`/${MAINTENANCE}`)) step.delete(key);
  }
  scheduleMaintenance(step, delayMs);
}

export function* retryHistory(step: Step): Steps<void> {
  yield* rescheduleMaintenance(step, HISTORY_RETRY_MS);
}
