import { Priority } from "@chatsdk/abi/host_pb";
import { SessionState } from "@chatsdk/abi/api_pb";
import { EMPTY } from "../bytes.ts";
import { encodeEnvelope } from "../envelope/envelope.ts";
import { pad } from "../envelope/padding.ts";
import { jumpToBeacon, ratchetEncrypt } from "../ratchet/double-ratchet.ts";
import { BEACON_INTERVAL, FAR_BEACON_INTERVAL } from "../ratchet/hints.ts";
import { encodeSds, type SdsOptions } from "../reliability/sds.ts";
import type { Conversation } from "./conversation.ts";
import type { Step } from "./step.ts";

/**
 * A sync message: no content, but all that SDS says about both streams. Not kept: the next one says more. Beyond the rate limit an
 * acknowledgement in the next epoch takes its place. One that no node took goes again in the place of a new one, which follows: new numbers
 * for what nobody hears would lead beyond those that the peer awaits.
 */
export function sendSync(
  step: Step,
  conversation: Conversation,
  options: Omit<SdsOptions, "message">,
  priority: Priority,
): void {
  const { stream } = conversation;
  if (!step.allowance.allows(priority)) {
    stream.ackDueMs = BigInt(step.allowance.postpone());
    return;
  }
  const { session } = conversation;
  // The peer has heard of our chain since: nodes took what they said they had not.
  const refused = session.ratchetBeforeSending ? EMPTY : stream.refusedSync;
  const envelope = refused.length > 0 ? refused : sealSync(step, conversation, options);
  step.publish(`s/${conversation.id}/${conversation.sessionName}`, conversation.record.peerAddress, envelope, priority);
  stream.refusedSync = EMPTY;
  stream.ackDueMs = 0n;
  stream.ackPostponed = false;
  stream.lastAckMs = BigInt(step.nowMs);
  if (refused.length > 0) scheduleAcknowledgement(step, conversation, false);
}

function sealSync(step: Step, conversation: Conversation, options: Omit<SdsOptions, "message">): Uint8Array {
  const plaintext = pad(encodeSds(conversation.ids(step), conversation.stream, step.nowMs, options));
  const { session, stream } = conversation;
  if (session.ratchetBeforeSending) stream.lastResort = EMPTY;
  const sealed = ratchetEncrypt(step.crypto, session, plaintext, step.entropy);
  const envelope = encodeEnvelope(sealed.hint, sealed.payload);
  if (session.sending!.next - 1 === LAST_RESORT) stream.lastResort = envelope;
  return envelope;
}

/** Message numbers up to this one are awaited by a peer that has heard nothing of a chain: `awaitedNumbers`. */
const SURELY_AWAITED = 7;
/** The last number that a sync message jumps to. Farther beacons are left for messages that expire. */
const LAST_RESORT = FAR_BEACON_INTERVAL;

/**
 * The peer asks for an acknowledgement in a chain that it began before it heard of ours, and what ours carried has had its time: it was lost,
 * and the next number may be beyond those that the peer awaits. So the next beacon, and beyond the last one the same envelope again.
 */
export function reachOut(step: Step, { session, stream }: Conversation): void {
  const number = session.sending?.next ?? 0;
  const agoMs = step.nowMs - Number(stream.lastAckMs);
  // In the future: the clock was put back.
  const lately = agoMs >= 0 && agoMs <= step.settings.ackIntervalMs;
  if (session.ratchetBeforeSending || number <= SURELY_AWAITED || lately) return;
  if (number <= LAST_RESORT) jumpToBeacon(step.crypto, session, BEACON_INTERVAL);
  else if (stream.lastResort.length > 0) stream.refusedSync = stream.lastResort;
}

/** No node took it. `envelope` is empty if it was released before the process started. */
export function noteSyncRefused(step: Step, conversation: Conversation, envelope: Uint8Array): void {
  if (envelope.length > 0) conversation.stream.refusedSync = envelope;
  scheduleAcknowledgement(step, conversation, false);
}

/** What a peer asks for may come so many times as often: an honest one asks seldom, another shall not command our traffic. */
const URGENT = 4;

/**
 * An acknowledgement waits for a message to ride on: briefly after a quiet time, so that ticks appear quickly, else up to
 * the interval, so that a chat does not double its traffic.
 */
export function scheduleAcknowledgement(step: Step, conversation: Conversation, urgent: boolean): void {
  const { stream } = conversation;
  // It keeps its turn.
  if (stream.ackDueMs !== 0n && !step.allowance.allows(Priority.ACKNOWLEDGEMENT)) return;
  const { ackDelayMs, ackIntervalMs } = step.settings;
  const soon = step.nowMs + Math.round(ackDelayMs * (1 + 0.5 * step.entropy.fraction()));
  const pause = urgent ? Math.round(ackIntervalMs / URGENT) : ackIntervalMs;
  const due = Math.max(soon, Math.min(Number(stream.lastAckMs), step.nowMs) + pause);
  if (stream.ackDueMs === 0n || BigInt(due) < stream.ackDueMs) stream.ackDueMs = BigInt(due);
}

export function acknowledgeIfDue(step: Step, conversation: Conversation): void {
  const { stream, record } = conversation;
  if (stream.ackDueMs === 0n || Number(stream.ackDueMs) > step.nowMs) return;
  stream.ackDueMs = 0n;
  if (record.session && record.sessionState !== SessionState.REPAIR_SENT)
    sendSync(step, conversation, {}, Priority.ACKNOWLEDGEMENT);
}
