import { noteAbandoned, noteArrival, noteExistence } from "../reliability/incoming-stream.ts";
import { decodeSds, witness } from "../reliability/sds.ts";
import type { Conversation } from "./conversation.ts";
import { type AskHistory, noteRecovery, reportLost, watchGap } from "./gaps.ts";
import { notePeerReport } from "./outgoing.ts";
import { checkPayload, dropDeadSegments, showInOrder, showSettled } from "./showing.ts";
import type { Step, Steps } from "./step.ts";
import { reachOut, scheduleAcknowledgement } from "./synchronizing.ts";

/** What came off the ratchet: both streams move on. The caller saves the conversation. */
export function* takeSds(
  step: Step,
  conversation: Conversation,
  bytes: Uint8Array,
  askHistory: AskHistory,
): Steps<void> {
  const { stream } = conversation;
  const { sds, payload } = decodeSds(conversation.ids(step), stream, bytes);
  if (payload) checkPayload(payload, sds.sequence);
  const lamport = witness(stream, sds.lamportTimestamp ?? 0n, step.nowMs);

  yield* notePeerReport(step, conversation, sds);
  yield* reportLost(step, conversation, noteAbandoned(stream, sds.abandoned));
  if (sds.nextSequence > 1) noteExistence(stream, sds.nextSequence - 1);
  if (payload) {
    const arrival = noteArrival(stream, sds.sequence);
    if (arrival !== "duplicate") {
      yield* showInOrder(step, conversation, {
        sequence: sds.sequence,
        lamport,
        payload,
        recovered: arrival === "recovered",
      });
    }
    if (arrival === "recovered") noteRecovery(step, conversation);
    scheduleAcknowledgement(step, conversation, arrival === "duplicate" || sds.acknowledgementRequested);
  } else if (sds.acknowledgementRequested) {
    reachOut(step, conversation);
    scheduleAcknowledgement(step, conversation, true);
  }
  yield* showSettled(step, conversation);
  dropDeadSegments(step, conversation);
  watchGap(step, conversation, askHistory);
}
