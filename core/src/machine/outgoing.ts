import { create } from "@bufbuild/protobuf";
import {
  type Content,
  DeliveryStatus,
  FailureReason,
  type Message,
  MessageSchema,
  type Quota,
  QuotaSchema,
} from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { Priority } from "@chatsdk/abi/host_pb";
import { type OutgoingRecord, OutgoingRecordSchema, StateRecordSchema } from "@chatsdk/abi/records_pb";
import { ContentFrameSchema, FrameSchema, PayloadSchema, type SdsMessage } from "@chatsdk/abi/wire_pb";
import { EMPTY } from "../bytes.ts";
import { encode } from "../codec.ts";
import { basicDefect, summarize } from "../content/basic-types.ts";
import { encodeEnvelope } from "../envelope/envelope.ts";
import { pad } from "../envelope/padding.ts";
import { ChatError } from "../errors.ts";
import { jumpToBeacon, ratchetEncrypt } from "../ratchet/double-ratchet.ts";
import { FAR_BEACON_INTERVAL } from "../ratchet/hints.ts";
import { encodeSds, ourId, tick } from "../reliability/sds.ts";
import { fromBitmap, insertSorted } from "../reliability/sequence-set.ts";
import { MAX_FRAME_LENGTH, split } from "../segmentation/segmentation.ts";
import { MAX_RESEND_INTERVAL_MS } from "../settings.ts";
import { Conversation } from "./conversation.ts";
import { Keys, lastPart } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** More messages than this may not wait for an acknowledgement. */
export const MAX_OUTBOX = 1000;
/** A report that lacks more messages is answered with so many: the rest follows with the next. */
const RESEND_BATCH = 16;
/** After a failure at most so many messages of a conversation are offered to the nodes at a time. */
const OFFERED_AT_ONCE = 16;
/** After a connection was made so many conversations are served at once, the others a little later. */
const CONVERSATIONS_AT_ONCE = 64;
/**
 * A message that left this recently may still be under way: a report that lacks it is no reason to send it again. Doubled
 * with each repair: on a slow network many reports lack what one repair has already mended.
 */
const IN_FLIGHT_MS = 1000;
const MAX_IN_FLIGHT_MS = 10 * 60 * 1000;
/** A message asked for this often and still not read is given up, or it would hold back all acknowledgements. */
const MAX_REPAIRS = 16;
/** Questions to a peer that has been silent beyond the life of our messages: some weeks of them. */
const MAX_UNTOLD_ROUNDS = 100;
const FIRST_RETRY_MS = 1000;
export const MAX_RETRY_MS = 60 * 1000;

/** Turns the first plaintext of a session into its handshake; later ones travel as plain ratchet messages. */
export type Wrap = (plaintext: Uint8Array) => Uint8Array;

/** Stores, encrypts and publishes a message. The caller saves the conversation. */
export function sendContent(
  step: Step,
  conversation: Conversation,
  content: Content | undefined,
  wrapFirst?: Wrap,
): Message {
  const { stream } = conversation;
  const checked = checkContent(content);
  const frame = create(FrameSchema, { timestampMs: BigInt(step.nowMs), content: create(ContentFrameSchema, checked) });
  const payloads = split(frame);
  if (!hasRoom(conversation, payloads.length)) {
    throw new ChatError(
      ErrorCode.OUTBOX_FULL,
      `conversation_id: ${MAX_OUTBOX} messages wait for delivery; wait for delivered events`,
      { retryable: true },
    );
  }
  const firstSequence = stream.nextSequence;
  const lastSequence = firstSequence + payloads.length - 1;
  const id = ourId(conversation.ids(step), firstSequence);
  let firstLamport = 0n;
  if (firstOutdated(step, conversation) < firstSequence) holdBack(step, conversation);
  for (const payload of payloads) {
    const sequence = stream.nextSequence++;
    const lamport = tick(stream, step.nowMs);
    if (sequence === firstSequence) firstLamport = lamport;
    const record = create(OutgoingRecordSchema, {
      payload: encode(PayloadSchema, payload),
      messageId: id,
      firstSequence,
      lastSequence,
      expiresMs: BigInt(step.nowMs + step.settings.messageTtlMs),
      lamport,
    });
    record.envelope = sealEnvelope(step, conversation, sequence, record, sequence === 1 ? wrapFirst : undefined);
    // Not past those that wait.
    if (stream.waiting || stream.backlog)
      step.put(OutgoingRecordSchema, Keys.outgoing(conversation.id, sequence), record);
    else publishMessage(step, conversation, sequence, record);
  }
  stream.ackDueMs = 0n;
  stream.ackPostponed = false;
  // The message says more than a sync message that no node took.
  stream.refusedSync = EMPTY;
  if (stream.resendMs === 0n) stream.resendMs = BigInt(step.nowMs + step.settings.resendAfterMs);
  if (stream.expiryMs === 0n) stream.expiryMs = BigInt(step.nowMs + step.settings.messageTtlMs);
  conversation.noteActivity(step);
  return create(MessageSchema, {
    messageId: id,
    conversationId: conversation.id,
    outgoing: true,
    sequence: firstSequence,
    lamport: firstLamport,
    timestampMs: BigInt(step.nowMs),
    storedMs: BigInt(step.nowMs),
    ...checked,
    ...summarize(checked),
    status: DeliveryStatus.QUEUED,
  });
}

export function hasRoom({ stream }: Conversation, messages = 1): boolean {
  return stream.nextSequence - 1 - stream.peerAcknowledged + messages <= MAX_OUTBOX;
}

function checkContent(content: Content | undefined): Pick<Content, "domain" | "tag" | "version" | "payload"> {
  if (!content) throw new ChatError(ErrorCode.INVALID_ARGUMENT, "content: missing; give a content");
  const { domain, tag, version, payload } = content;
  const checked = { domain, tag, version: version || 1, payload };
  if (payload.length > MAX_FRAME_LENGTH - 64) {
    throw new ChatError(
      ErrorCode.CONTENT_TOO_LARGE,
      `content.payload: ${payload.length} bytes; send an attachment reference`,
    );
  }
  const defect = basicDefect(checked);
  if (defect !== undefined) throw new ChatError(ErrorCode.INVALID_ARGUMENT, defect);
  return checked;
}

function sealEnvelope(
  step: Step,
  conversation: Conversation,
  sequence: number,
  record: OutgoingRecord,
  wrapFirst?: Wrap,
): Uint8Array {
  const { lamport, payload } = record;
  const sds = encodeSds(conversation.ids(step), conversation.stream, step.nowMs, {
    message: { sequence, lamport, payload },
  });
  const plaintext = pad(sds);
  if (wrapFirst) return wrapFirst(plaintext);
  const sealed = ratchetEncrypt(step.crypto, conversation.session, plaintext, step.entropy);
  return encodeEnvelope(sealed.hint, sealed.payload);
}

/**
 * The record is stored in the same commit that releases the envelope: a crash sends the same bytes again, never new ones. False if the
 * rate limit forbids it now.
 */
function publishRecord(
  step: Step,
  conversation: Conversation,
  sequence: number,
  record: OutgoingRecord,
  priority: Priority,
): boolean {
  const id = publishId(conversation, sequence);
  const released = step.publish(id, conversation.record.peerAddress, record.envelope, priority);
  if (released) record.lastSentMs = BigInt(step.nowMs);
  step.put(OutgoingRecordSchema, Keys.outgoing(conversation.id, sequence), record);
  return released;
}

/** Beyond the rate limit this and what follows in the conversation wait for the next epoch. */
function publishMessage(step: Step, conversation: Conversation, sequence: number, record: OutgoingRecord): void {
  if (!publishRecord(step, conversation, sequence, record, Priority.MESSAGE)) enterQueue(step, conversation);
}

function enterQueue(step: Step, { stream }: Conversation): void {
  stream.waiting = true;
  stream.retryMs = BigInt(step.allowance.enqueue());
}

/** The rest follows when some of what is under way has ended. */
function holdBack(step: Step, { stream }: Conversation): void {
  stream.backlog = true;
  // Who is to go on may never hear of it: the process may end before the nodes' answers are stored. What left may have been of others.
  const delay = step.hasPublishedEnough ? FIRST_RETRY_MS : MAX_RETRY_MS;
  if (stream.retryMs === 0n) stream.retryMs = BigInt(step.nowMs + delay);
}

/** Of the messages under way the first with a slot of a former epoch. It is about to fail: what follows it would overtake it. */
function firstOutdated(step: Step, { id, sessionName }: Conversation): number {
  const sequences = step
    .outdatedUnder(`m/${id}/`)
    .map((publication) => publication.split("/"))
    .filter((parts) => parts[3] === sessionName)
    .map((parts) => Number(parts[2]));
  return Math.min(Infinity, ...sequences);
}

function publishId({ id, sessionName }: Conversation, sequence: number): string {
  return `m/${id}/${sequence}/${sessionName}`;
}

/** Publications of the conversation's messages that are under way. */
function underWay(step: Step, { id }: Conversation): number {
  return step.publishingUnder(`m/${id}/`);
}

/** Sequences of ours that may still wait. Their records are read one by one: all envelopes at once may be more than memory holds. */
function outstanding({ stream }: Conversation): number[] {
  const first = stream.peerAcknowledged + 1;
  return Array.from({ length: Math.max(0, stream.nextSequence - first) }, (_, index) => first + index);
}

function outgoing(step: Step, { id }: Conversation, sequence: number): Steps<OutgoingRecord | undefined> {
  return step.get(OutgoingRecordSchema, Keys.outgoing(id, sequence));
}

/** The first so many after `after` that no node has taken, and that none is being offered. */
function* unsentOf(step: Step, conversation: Conversation, limit = MAX_OUTBOX, after = 0): Steps<number[]> {
  const found: number[] = [];
  for (const sequence of outstanding(conversation)) {
    if (found.length === limit) break;
    if (sequence <= after || step.isPublishing(publishId(conversation, sequence))) continue;
    const record = yield* outgoing(step, conversation, sequence);
    if (record && !record.sent) found.push(sequence);
  }
  return found;
}

/** A publish of a message ended. `outdated`: its epoch is over. */
export function* notePublished(
  step: Step,
  conversation: Conversation,
  sequence: number,
  ok: boolean,
  outdated: boolean,
): Steps<void> {
  const { stream } = conversation;
  const key = Keys.outgoing(conversation.id, sequence);
  // Gone if the peer has acknowledged it meanwhile: what waits behind it is to go on all the same.
  const record = yield* step.get(OutgoingRecordSchema, key);
  if (!ok && outdated) {
    stream.offeredUntil = Math.min(stream.offeredUntil, sequence - 1);
    yield* publishUnsent(step, conversation);
    conversation.save(step);
    return;
  }
  if (!ok) {
    const soon = step.nowMs + FIRST_RETRY_MS * 2 ** Math.min(stream.retryRound, 5);
    const idle =
      stream.retryMs === 0n || (stream.backlog && !stream.waiting && Number(stream.retryMs) > soon + MAX_RETRY_MS / 2);
    if (idle && (record || stream.backlog)) {
      const delay = Math.min(FIRST_RETRY_MS * 2 ** Math.min(stream.retryRound++, 10), MAX_RETRY_MS);
      stream.retryMs = BigInt(step.nowMs + Math.round(delay * (1 + 0.25 * step.entropy.fraction())));
    }
    conversation.save(step);
    return;
  }
  if (record && !record.sent) yield* noteTaken(step, conversation, key, record);
  const troubled = stream.backlog || stream.retryRound > 0;
  if (!troubled || stream.waiting || underWay(step, conversation) > OFFERED_AT_ONCE / 2) return;
  // The nodes take messages again.
  stream.retryRound = 0;
  yield* publishUnsent(step, conversation);
  conversation.save(step);
}

function* noteTaken(step: Step, conversation: Conversation, key: string, record: OutgoingRecord): Steps<void> {
  record.sent = true;
  step.put(OutgoingRecordSchema, key, record);
  // From the last on: it mostly leaves last, so one look is enough until then.
  for (let part = record.lastSequence; part >= record.firstSequence; part--) {
    const other = yield* step.get(OutgoingRecordSchema, Keys.outgoing(conversation.id, part));
    if (other && !other.sent) return;
  }
  yield* changeStatus(step, conversation, record.messageId, DeliveryStatus.SENT);
}

function* changeStatus(
  step: Step,
  conversation: Conversation,
  messageId: string,
  status: DeliveryStatus,
  reason = FailureReason.FAILURE_REASON_UNSPECIFIED,
): Steps<void> {
  step.setStatus(conversation.id, messageId, status, reason);
  const value = { $typeName: "chatsdk.v1.MessageStatusChanged" as const, messageId, status, failureReason: reason };
  yield* step.event(conversation.record.accountId, conversation.id, { case: "messageStatusChanged", value });
}

/**
 * Publishes again what no node has taken and none is being offered: some at a time, oldest first, then on from there and round again, so that
 * some that fail each time do not hold up the others. False: there was nothing.
 */
export function* publishUnsent(step: Step, conversation: Conversation): Steps<boolean> {
  const { stream } = conversation;
  // It keeps its turn.
  if (stream.waiting && step.hasPublishedEnough) return true;
  stream.retryMs = 0n;
  stream.backlog = false;
  leaveQueue(step, conversation);
  const { share } = step.allowance;
  const room = OFFERED_AT_ONCE - underWay(step, conversation);
  const most = Math.max(0, Math.min(share, room));
  let unsent = yield* unsentOf(step, conversation, most + 1, stream.offeredUntil);
  if (unsent.length === 0 && stream.offeredUntil > 0) {
    stream.offeredUntil = 0;
    unsent = yield* unsentOf(step, conversation, most + 1);
  }
  const outdated = firstOutdated(step, conversation);
  for (const [offered, sequence] of unsent.entries()) {
    if (offered >= share || (share !== Infinity && step.hasPublishedEnough)) {
      enterQueue(step, conversation);
      break;
    }
    if (offered >= room || sequence > outdated || step.hasPublishedEnough) {
      holdBack(step, conversation);
      break;
    }
    publishMessage(step, conversation, sequence, (yield* outgoing(step, conversation, sequence))!);
    if (stream.waiting) break;
    stream.offeredUntil = sequence;
  }
  return unsent.length > 0;
}

/**
 * After a connection was made, from the oldest on: what the last one failed to take says nothing of this one. After a start nothing is under
 * way, and who waited comes forward again.
 */
export function* publishAllUnsent(step: Step, starting: boolean): Steps<void> {
  let begun = 0;
  for (const { key } of yield* step.scan(StateRecordSchema, Keys.outstandings)) {
    const conversation = yield* Conversation.load(step, lastPart(key));
    const { stream } = conversation;
    const { backlog, waiting } = stream;
    if (step.hasPublishedEnough || begun === CONVERSATIONS_AT_ONCE) {
      // The timer alone: all conversations may be more than a step can write.
      if ((yield* unsentOf(step, conversation, 1)).length > 0)
        step.setTimer(conversation.id, step.nowMs + FIRST_RETRY_MS);
      continue;
    }
    if (starting) stream.waiting = false;
    stream.offeredUntil = 0;
    if (!(yield* publishUnsent(step, conversation)) && !backlog && !waiting) continue;
    begun++;
    conversation.save(step);
  }
}

/** What waited was given up. */
function* leaveQueueIfEmpty(step: Step, conversation: Conversation): Steps<void> {
  if (!conversation.stream.waiting) return;
  if ((yield* unsentOf(step, conversation, 1)).length === 0) leaveQueue(step, conversation);
}

function leaveQueue(step: Step, { stream }: Conversation): void {
  if (!stream.waiting) return;
  stream.waiting = false;
  step.allowance.dequeue();
}

/** S1: what the rate limit leaves, and how many messages wait for it. */
export function* quota(step: Step): Steps<Quota> {
  const { rateLimit } = step.settings;
  if (!rateLimit) return create(QuotaSchema);
  const { remaining, renewsMs } = step.allowance;
  let waiting = 0;
  for (const { key } of yield* step.scan(StateRecordSchema, Keys.outstandings)) {
    waiting += (yield* unsentOf(step, yield* Conversation.load(step, lastPart(key)))).length;
  }
  return create(QuotaSchema, {
    limited: true,
    limit: rateLimit.messages,
    remaining,
    renewsMs: BigInt(renewsMs),
    waiting,
  });
}

/** Takes in what the peer says of our messages: what arrived is done with, what it lacks is sent again. */
export function* notePeerReport(step: Step, conversation: Conversation, sds: SdsMessage): Steps<void> {
  const { stream } = conversation;
  const received = fromBitmap(sds.acknowledged, sds.received).filter((sequence) => sequence < stream.nextSequence);
  let progress = false;
  for (let sequence = stream.peerAcknowledged + 1; sequence <= sds.acknowledged; sequence++) {
    progress = (yield* noteDelivered(step, conversation, sequence)) || progress;
  }
  for (const sequence of received) progress = (yield* noteDelivered(step, conversation, sequence)) || progress;
  stream.peerAcknowledged = Math.max(stream.peerAcknowledged, sds.acknowledged);
  stream.abandoned = stream.abandoned.filter((sequence) => sequence > stream.peerAcknowledged);

  // An old report (the acknowledged number has moved on since) asks for what has arrived meanwhile.
  const current = sds.acknowledged === stream.peerAcknowledged;
  const newest = stream.nextSequence - 1;
  const absent = { from: sds.acknowledged + 1, until: newest, received: new Set(received) };
  let room = RESEND_BATCH;
  if (current && (received.length > 0 || sds.repairRequest.length > 0)) {
    const until = received.length > 0 && sds.repairRequest.length === 0 ? received.at(-1)! : newest;
    room -= yield* resendAbsent(step, conversation, { ...absent, until }, room);
  }
  if (stream.peerAcknowledged >= newest) {
    stream.resendMs = 0n;
    stream.resendRound = 0;
    stream.expiryMs = 0n;
    stream.retryMs = 0n;
    stream.retryRound = 0;
    stream.backlog = false;
    leaveQueue(step, conversation);
  } else if (progress) {
    yield* leaveQueueIfEmpty(step, conversation);
    const { resendAfterMs } = step.settings;
    // What it lacks of older ones follows: a resend to a silent peer tries the oldest first.
    yield* resendAbsent(step, conversation, absent, room, resendAfterMs);
    stream.resendRound = 0;
    stream.resendMs = BigInt(step.nowMs + resendAfterMs);
  }
}

/** True if the message was waiting. */
function* noteDelivered(step: Step, conversation: Conversation, sequence: number): Steps<boolean> {
  const key = Keys.outgoing(conversation.id, sequence);
  const record = yield* step.get(OutgoingRecordSchema, key);
  if (!record) return false;
  step.delete(key);
  for (let part = record.firstSequence; part <= record.lastSequence; part++) {
    if (part !== sequence && (yield* step.get(OutgoingRecordSchema, Keys.outgoing(conversation.id, part)))) return true;
  }
  yield* changeStatus(step, conversation, record.messageId, DeliveryStatus.DELIVERED);
  return true;
}

/** Twice as long after each repair, up to the maximum. */
function inFlightMs(record: OutgoingRecord): number {
  return Math.min(IN_FLIGHT_MS * 2 ** record.repairs, MAX_IN_FLIGHT_MS);
}

/** Returns how many: at most `most`. */
function* resendAbsent(
  step: Step,
  conversation: Conversation,
  { from, until, received }: { from: number; until: number; received: ReadonlySet<number> },
  most: number,
  leastAgeMs = 0,
): Steps<number> {
  let count = 0;
  for (let sequence = from; sequence <= until && count < most; sequence++) {
    if (received.has(sequence)) continue;
    if (!step.allowance.allows(Priority.REPAIR) || step.hasPublishedEnough) break;
    const record = yield* step.get(OutgoingRecordSchema, Keys.outgoing(conversation.id, sequence));
    if (!record || record.lastSentMs === 0n) continue;
    const sentMs = Number(record.lastSentMs);
    // Not in the future: the clock was ahead then.
    if (sentMs <= step.nowMs && sentMs + Math.max(inFlightMs(record), leastAgeMs) > step.nowMs) continue;
    count++;
    record.repairs++;
    if (record.repairs > MAX_REPAIRS) {
      yield* abandon(step, conversation, record, FailureReason.EXPIRED);
      continue;
    }
    // The first repair is the same ciphertext. If that did not help, the peer has lost its key: encrypt again under a new one.
    if (record.repairs > 1 && conversation.canSend) {
      record.envelope = sealEnvelope(step, conversation, sequence, record);
    }
    publishRecord(step, conversation, sequence, record, Priority.REPAIR);
  }
  return count;
}

/**
 * Nothing heard for a while: sends the oldest again (a peer that comes back finds the others in its history, and one that answers is sent what it
 * lacks). From the second time on others with it, by turns the next oldest, whose keys it awaits, and those that left longest ago: what the peer has
 * had it does not know again, so only one that it lacks makes it answer. Asks for an acknowledgement as well: it may have all of it, and only its answer was lost.
 */
export function* resendUnacknowledged(
  step: Step,
  conversation: Conversation,
  askForAcknowledgement: () => void,
): Steps<void> {
  const { stream } = conversation;
  if (step.hasPublishedEnough) {
    stream.resendMs = BigInt(step.nowMs + FIRST_RETRY_MS);
    return;
  }
  const unanswered = conversation.isRepairUnanswered(step);
  let waits = false;
  const left: { sequence: number; lastSentMs: bigint }[] = [];
  for (const sequence of outstanding(conversation)) {
    const record = yield* outgoing(step, conversation, sequence);
    waits ||= record !== undefined;
    if (record && record.lastSentMs !== 0n) left.push({ sequence, lastSentMs: record.lastSentMs });
  }
  // What was given up is still to be told: until then a silent peer is asked for a sign of life.
  const untold = stream.abandoned.length > 0 && stream.resendRound < MAX_UNTOLD_ROUNDS;
  if (!waits && !unanswered && !untold) {
    stream.resendMs = 0n;
    stream.resendRound = 0;
    return;
  }
  if (!step.allowance.allows(Priority.REPAIR)) {
    stream.resendMs = BigInt(step.allowance.postpone());
    return;
  }
  stream.resendRound++;
  const [oldest, ...others] = left;
  if (stream.resendRound % 2 === 1) others.sort((a, b) => Number(a.lastSentMs - b.lastSentMs));
  const size = Math.min(4 ** (stream.resendRound - 1), RESEND_BATCH);
  const turn = oldest ? [oldest, ...others.slice(0, size - 1)] : [];
  // First: the messages may use up what the rate limit leaves.
  if ((stream.resendRound > 1 || unanswered) && conversation.canSend) askForAcknowledgement();
  for (const { sequence } of turn.sort((a, b) => a.sequence - b.sequence)) {
    const record = yield* outgoing(step, conversation, sequence);
    if (record && !publishRecord(step, conversation, sequence, record, Priority.REPAIR)) break;
  }
  const delay = Math.min(step.settings.resendAfterMs * 2 ** Math.min(stream.resendRound, 20), MAX_RESEND_INTERVAL_MS);
  stream.resendMs = BigInt(step.nowMs + Math.round(delay * (1 + 0.25 * step.entropy.fraction())));
}

/** Gives up what has waited too long. */
export function* expireOutgoing(step: Step, conversation: Conversation): Steps<void> {
  const { stream } = conversation;
  let earliest = 0n;
  for (const sequence of outstanding(conversation)) {
    const record = yield* outgoing(step, conversation, sequence);
    // Given up with the first part of its message.
    if (!record) continue;
    if (Number(record.expiresMs) <= step.nowMs) {
      yield* abandon(step, conversation, record, FailureReason.EXPIRED);
      jumpToBeacon(step.crypto, conversation.session, FAR_BEACON_INTERVAL);
      if (stream.resendMs === 0n) stream.resendMs = BigInt(step.nowMs + step.settings.resendAfterMs);
    } else if (earliest === 0n || record.expiresMs < earliest) earliest = record.expiresMs;
  }
  stream.expiryMs = earliest;
  yield* leaveQueueIfEmpty(step, conversation);
}

/** The message that carries the set-up still waits. */
export function* isSetUpWaiting(step: Step, conversation: Conversation): Steps<boolean> {
  return (yield* step.get(OutgoingRecordSchema, Keys.outgoing(conversation.id, 1))) !== undefined;
}

export function* cancelMessage(step: Step, conversation: Conversation, messageId: string): Steps<void> {
  for (const sequence of outstanding(conversation)) {
    const record = yield* outgoing(step, conversation, sequence);
    if (record?.messageId !== messageId) continue;
    if (sequence === 1 && conversation.isUnanswered) {
      throw new ChatError(
        ErrorCode.INVALID_ARGUMENT,
        "message_id: the first message carries the set-up and cannot be taken back; delete the conversation",
      );
    }
    yield* abandon(step, conversation, record, FailureReason.CANCELLED);
    yield* leaveQueueIfEmpty(step, conversation);
    return;
  }
  throw new ChatError(ErrorCode.MESSAGE_NOT_FOUND, "message_id: no message of ours with this id waits for delivery");
}

/** The session's keys are gone: nothing that waits can be delivered under them. */
export function* failAll(step: Step, conversation: Conversation): Steps<void> {
  const failed = new Set<string>();
  for (const sequence of outstanding(conversation)) {
    const record = yield* outgoing(step, conversation, sequence);
    if (!record) continue;
    step.delete(Keys.outgoing(conversation.id, sequence));
    if (failed.has(record.messageId)) continue;
    failed.add(record.messageId);
    yield* changeStatus(step, conversation, record.messageId, DeliveryStatus.FAILED, FailureReason.SESSION_REPLACED);
  }
}

function* abandon(step: Step, conversation: Conversation, record: OutgoingRecord, reason: FailureReason): Steps<void> {
  for (let part = record.firstSequence; part <= record.lastSequence; part++) {
    const key = Keys.outgoing(conversation.id, part);
    if (!(yield* step.get(OutgoingRecordSchema, key))) continue;
    step.delete(key);
    insertSorted(conversation.stream.abandoned, part);
  }
  yield* changeStatus(step, conversation, record.messageId, DeliveryStatus.FAILED, reason);
}
