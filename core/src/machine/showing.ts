import { create } from "@bufbuild/protobuf";
import { DeliveryStatus, type Message, MessageSchema } from "@chatsdk/abi/api_pb";
import { type HeldRecord, HeldRecordSchema, type Reliability, SegmentRecordSchema } from "@chatsdk/abi/records_pb";
import { type Frame, type Payload, PayloadSchema, type Segment } from "@chatsdk/abi/wire_pb";
import { bytesToHex } from "../bytes.ts";
import { decode, encode } from "../codec.ts";
import { readReceiptOf, summarize } from "../content/basic-types.ts";
import { Rejected } from "../errors.ts";
import { isSettled } from "../reliability/incoming-stream.ts";
import { peerId } from "../reliability/sds.ts";
import { checkSegment, join, MAX_SEGMENTS } from "../segmentation/segmentation.ts";
import type { Conversation } from "./conversation.ts";
import { Keys, lastPart } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** Largest time a JavaScript Date can hold. */
const MAX_TIMESTAMP_MS = 8_640_000_000_000_000n;

/** A message of the peer as it came off the ratchet. */
export interface Arrived {
  sequence: number;
  lamport: bigint;
  payload: Payload;
  recovered: boolean;
}

/** Refuses, before anything is stored, a payload no honest sender makes. */
export function checkPayload(payload: Payload, sequence: number): void {
  if (payload.kind.case === "segment") {
    checkSegment(payload.kind.value);
    if (payload.kind.value.index >= sequence) throw new Rejected("segment: of a frame before the first message");
  } else if (payload.kind.case === "frame") {
    const defect = frameDefect(payload.kind.value);
    if (defect !== undefined) throw new Rejected(defect);
  } else throw new Rejected("payload: empty");
}

function frameDefect(frame: Frame): string | undefined {
  if (!frame.content) return "frame.content: missing";
  if (frame.timestampMs > MAX_TIMESTAMP_MS) return "frame.timestamp_ms: out of range";
  return undefined;
}

/** Shows a message in its turn: at once if nothing before it is outstanding, else it is held back. */
export function* showInOrder(step: Step, conversation: Conversation, arrived: Arrived): Steps<void> {
  const { stream } = conversation;
  const { sequence, lamport, payload, recovered } = arrived;
  const isItsTurn = sequence <= stream.shown + 1;
  if (isItsTurn && !step.hasShownEnough) {
    stream.shown = Math.max(stream.shown, sequence);
    yield* show(step, conversation, arrived);
  } else {
    const record = create(HeldRecordSchema, { payload: encode(PayloadSchema, payload), lamport, recovered });
    step.put(HeldRecordSchema, Keys.held(conversation.id, sequence), record);
    if (isItsTurn) stream.showUntil = Math.max(stream.showUntil, sequence);
  }
}

/** Shows what follows without a gap. */
export function* showSettled(step: Step, conversation: Conversation): Steps<void> {
  const { stream } = conversation;
  let until = stream.shown;
  while (until < stream.highestKnown && isSettled(stream, until + 1)) until++;
  yield* showHeld(step, conversation, until);
}

/** Shows what is held up to `until`, passing over what is not there. What is too much for a step follows at once (`showMore`). */
export function* showHeld(step: Step, conversation: Conversation, until: number): Steps<void> {
  const { stream } = conversation;
  if (until > stream.shown) stream.showUntil = Math.max(stream.showUntil, until);
  if (stream.showUntil !== 0) yield* showMore(step, conversation);
}

const BATCH = 32;

function* showMore(step: Step, conversation: Conversation): Steps<void> {
  const { stream } = conversation;
  let due: { key: string; record: HeldRecord }[];
  do {
    if (step.hasShownEnough) return;
    const held = yield* step.scan(HeldRecordSchema, Keys.heldOf(conversation.id), BATCH);
    due = held.filter(({ key }) => Number(lastPart(key)) <= stream.showUntil);
    for (const { key, record } of due) {
      if (step.hasShownEnough) return;
      const sequence = Number(lastPart(key));
      step.delete(key);
      stream.shown = Math.max(stream.shown, sequence);
      const { lamport, recovered } = record;
      const payload = decode(PayloadSchema, record.payload, "held payload");
      yield* show(step, conversation, { sequence, lamport, payload, recovered });
    }
  } while (due.length === BATCH);
  stream.shown = Math.max(stream.shown, stream.showUntil);
  stream.showUntil = 0;
  // What came in its turn meanwhile was held behind these.
  yield* showSettled(step, conversation);
}

function* show(step: Step, conversation: Conversation, arrived: Arrived): Steps<void> {
  const { kind } = arrived.payload;
  if (kind.case === "frame") yield* showFrame(step, conversation, kind.value, arrived);
  else if (kind.case === "segment") yield* showSegment(step, conversation, kind.value, arrived);
}

function* showSegment(step: Step, conversation: Conversation, segment: Segment, arrived: Arrived): Steps<void> {
  const { stream } = conversation;
  const { sequence, lamport } = arrived;
  step.noteShown(segment.payload.length);
  const firstSequence = sequence - segment.index;
  if (firstSequence < stream.deadHundreds * HUNDRED) return;
  // Not the hash alone: the same content sent twice is two sets.
  const set = Keys.segmentsOfFrame(conversation.id, firstSequence, bytesToHex(segment.entireMessageHash));
  const record = create(SegmentRecordSchema, {
    payload: segment.payload,
    sequence,
    lamport,
    receivedMs: BigInt(step.nowMs),
  });
  step.put(SegmentRecordSchema, Keys.segment(set, segment.index), record);
  if (stream.segmentsMs === 0n) stream.segmentsMs = BigInt(step.nowMs + step.settings.messageTtlMs);
  if (!isShown(stream, firstSequence, firstSequence + segment.segmentCount - 1)) return;
  const parts = yield* step.scan(SegmentRecordSchema, set);
  const complete = parts.length === segment.segmentCount;
  if (!complete && (yield* isAnyHeld(step, conversation, firstSequence, segment.segmentCount))) return;
  step.deletePrefix(set);
  // The others were given up.
  if (!complete) return;
  const frame = join(
    segment.entireMessageHash,
    parts.map(({ record: part }) => part.payload),
  );
  // Only a peer that lies gets here. The parts were taken long ago and cannot be refused any more: they are dropped.
  const defect = frame ? frameDefect(frame) : "segment: the parts do not give the hash";
  if (!frame || defect !== undefined) return step.log(`message dropped: ${defect}`);
  const first = parts[0]!.record;
  yield* showFrame(step, conversation, frame, { ...arrived, sequence: first.sequence, lamport: first.lamport });
}

/** They came late, when the step had shown enough, and follow. */
function* isAnyHeld(step: Step, { id }: Conversation, from: number, count: number): Steps<boolean> {
  for (let sequence = from; sequence < from + count; sequence++)
    if (yield* step.get(HeldRecordSchema, Keys.held(id, sequence))) return true;
  return false;
}

/** Before this no set is complete: reading all of it for each part would take time that grows with the square of its size. */
function isShown(stream: Reliability, from: number, to: number): boolean {
  if (to > stream.shown) return false;
  for (let sequence = from; sequence <= to; sequence++) if (!isSettled(stream, sequence)) return false;
  return true;
}

/** Sets that began more than this before the oldest outstanding message have got all they will ever get. */
const LONGEST_SET = MAX_SEGMENTS - 1;
const HUNDRED = 100;

/**
 * Drops sets that cannot be completed any more, a hundred sequences at a time: a dishonest peer could otherwise have us keep beginnings
 * without an end.
 */
export function dropDeadSegments(step: Step, { id, stream }: Conversation): void {
  // What waits to be shown may complete one.
  if (stream.showUntil !== 0) return;
  // All up to this has arrived, or was given up, and is no longer held.
  const doneUntil = Math.min(stream.acknowledged, stream.shown);
  const dead = Math.max(0, Math.floor((doneUntil - LONGEST_SET + 1) / HUNDRED));
  if (stream.segmentsMs !== 0n)
    for (let hundred = stream.deadHundreds; hundred < dead; hundred++)
      step.deletePrefix(Keys.segmentsOfHundred(id, hundred));
  stream.deadHundreds = dead;
}

/** Drops incomplete sets whose time is over. A hundred sequences at a time: together they may be more than memory holds. */
export function* expireSegments(step: Step, { id, stream }: Conversation): Steps<void> {
  let earliest = 0n;
  for (let hundred = stream.deadHundreds; hundred <= Math.floor(stream.highestKnown / HUNDRED); hundred++) {
    for (const { key, record } of yield* step.scan(SegmentRecordSchema, Keys.segmentsOfHundred(id, hundred))) {
      const expires = record.receivedMs + BigInt(step.settings.messageTtlMs);
      if (Number(expires) <= step.nowMs) step.delete(key);
      else if (earliest === 0n || expires < earliest) earliest = expires;
    }
  }
  stream.segmentsMs = earliest;
}

function* showFrame(
  step: Step,
  conversation: Conversation,
  frame: Frame,
  arrived: Pick<Arrived, "sequence" | "lamport" | "recovered">,
): Steps<void> {
  const content = frame.content!;
  step.noteShown(content.payload.length);
  const read = readReceiptOf(content);
  if (read !== undefined) return yield* noteRead(step, conversation, read);
  const message: Message = create(MessageSchema, {
    messageId: peerId(conversation.ids(step), arrived.sequence),
    conversationId: conversation.id,
    sequence: arrived.sequence,
    lamport: arrived.lamport,
    timestampMs: frame.timestampMs,
    storedMs: BigInt(step.nowMs),
    domain: content.domain,
    tag: content.tag,
    version: content.version || 1,
    payload: content.payload,
    ...summarize(content),
  });
  step.row({ case: "putMessage", value: message });
  conversation.noteActivity(step);
  const value = { $typeName: "chatsdk.v1.MessageReceived" as const, message, recovered: arrived.recovered };
  yield* step.event(conversation.record.accountId, conversation.id, { case: "messageReceived", value });
}

/** The peer's application has shown our messages up to this one. */
function* noteRead(step: Step, conversation: Conversation, messageId: string): Steps<void> {
  const read = { $typeName: "chatsdk.v1.ReadChange" as const, conversationId: conversation.id, messageId };
  step.row({ case: "peerRead", value: read });
  const value = {
    $typeName: "chatsdk.v1.MessageStatusChanged" as const,
    messageId,
    status: DeliveryStatus.READ,
    failureReason: 0,
  };
  yield* step.event(conversation.record.accountId, conversation.id, { case: "messageStatusChanged", value });
}
