import { create } from "@bufbuild/protobuf";
import { type Conversation as ConversationRow, ConversationSchema, SessionState } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import {
  type ConversationRecord,
  ConversationRecordSchema,
  type Reliability,
  type Session,
  StateRecordSchema,
} from "@chatsdk/abi/records_pb";
import { bytesToHex } from "../bytes.ts";
import { ChatError, quoted } from "../errors.ts";
import { type AwaitedBefore, awaitedBefore, hintChanges } from "../ratchet/awaited-hints.ts";
import { expireSkipped, SKIPPED_KEY_LIFETIME_MS } from "../ratchet/skipped-keys.ts";
import type { StreamIds } from "../reliability/sds.ts";
import { Keys, lastPart } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** Conversations read at a time. */
const BATCH = 32;
const HEX_DIGITS = "0123456789abcdef";

/** Visits all conversations, whose ids are hexadecimal. A peer can make a record large: all of them at once may be more than memory holds. */
export function* eachConversation(
  step: Step,
  visit: (id: string, record: ConversationRecord) => Steps<void>,
  prefix: string = Keys.conversations,
): Steps<void> {
  const found = yield* step.scan(ConversationRecordSchema, prefix, BATCH);
  if (found.length < BATCH) for (const { key, record } of found) yield* visit(lastPart(key), record);
  else for (const digit of HEX_DIGITS) yield* eachConversation(step, visit, prefix + digit);
}

/** A time that is over. */
const AT_ONCE_MS = 1;

/**
 * A conversation within one step: its record, decoded (hence a copy), and what must be kept in line with it: the tags
 * of the hints it awaits, its entry in the timer queue, its row in the message store.
 */
export class Conversation {
  readonly #awaited: AwaitedBefore;
  #rowChanged: boolean;

  private constructor(
    readonly id: string,
    readonly record: ConversationRecord,
    isNew: boolean,
  ) {
    this.#awaited = awaitedBefore(isNew ? undefined : record.session, this.awaitsWidely);
    this.#rowChanged = isNew;
  }

  static *load(step: Step, id: string): Steps<Conversation> {
    const record = yield* step.get(ConversationRecordSchema, Keys.conversation(id));
    if (!record) {
      throw new ChatError(
        ErrorCode.CONVERSATION_NOT_FOUND,
        `conversation_id: no conversation ${quoted(id)}; list the conversations`,
      );
    }
    return new Conversation(id, record, false);
  }

  static fromRecord(id: string, record: ConversationRecord): Conversation {
    return new Conversation(id, record, false);
  }

  static start(id: string, record: ConversationRecord): Conversation {
    return new Conversation(id, record, true);
  }

  get session(): Session {
    if (!this.record.session) {
      throw new ChatError(ErrorCode.SESSION_LOST, "conversation_id: its keys were lost; repair the conversation first");
    }
    return this.record.session;
  }

  /** The peer will be able to read what is sent now. */
  get canSend(): boolean {
    const state = this.record.sessionState as SessionState;
    return this.record.session !== undefined && state !== SessionState.LOST && state !== SessionState.REPAIR_SENT;
  }

  /** We agreed to a repair, and the peer has not shown that it knows. */
  isRepairUnanswered(step: Step): boolean {
    const { session, repairMs } = this.record;
    const since = Number(repairMs);
    const unanswered = session !== undefined && session.responderHello.length > 0 && since !== 0;
    return unanswered && since + step.settings.messageTtlMs > step.nowMs;
  }

  /** The peer's device has not answered our set-up yet. */
  get isUnanswered(): boolean {
    return (this.record.sessionState as SessionState) === SessionState.AWAITING_REPLY;
  }

  /** Publish ids of a session that was replaced must not be taken for those of the present one. */
  get sessionName(): string {
    return bytesToHex(this.record.sessionId.subarray(0, 4));
  }

  get stream(): Reliability {
    return this.record.reliability!;
  }

  /** Messages are missing, or lost and not given up by the peer: more hints than usual are awaited. */
  get awaitsWidely(): boolean {
    const { missing, lost, acknowledged } = this.stream;
    return missing.length > 0 || (lost.at(-1) ?? 0) > acknowledged;
  }

  ids(step: Step): StreamIds {
    return { crypto: step.crypto, idKey: this.stream.idKey, initiator: this.record.initiator };
  }

  get row(): ConversationRow {
    const { record } = this;
    return create(ConversationSchema, {
      conversationId: this.id,
      accountId: record.accountId,
      peerIdentityKey: record.peerIdentityKey,
      createdMs: record.createdMs,
      suite: record.suite,
      sessionState: record.sessionState,
      verified: record.verified,
      initiator: record.initiator,
      lastActivityMs: record.lastActivityMs,
    });
  }

  /** The row is written on `save`. */
  touchRow(): void {
    this.#rowChanged = true;
  }

  noteActivity(step: Step): void {
    this.record.lastActivityMs = BigInt(step.nowMs);
    this.touchRow();
  }

  *setState(step: Step, sessionState: SessionState): Steps<void> {
    if ((this.record.sessionState as SessionState) === sessionState) return;
    this.record.sessionState = sessionState;
    this.touchRow();
    yield* step.event(this.record.accountId, this.id, sessionStateChanged(sessionState));
  }

  save(step: Step): void {
    const { record } = this;
    if (record.session) {
      expireSkipped(record.session, step.nowMs);
      const hints = hintChanges(step.crypto, this.#awaited, record.session, this.awaitsWidely);
      step.removeHints(hints.removed);
      step.addHints(Keys.conversation(this.id), hints.added);
    } else if (this.#awaited.size > 0) step.removeHintsOf(Keys.conversation(this.id));
    this.#setTimer(step);
    this.#setOutstanding(step);
    step.put(ConversationRecordSchema, Keys.conversation(this.id), record);
    if (this.#rowChanged) step.row({ case: "putConversation", value: this.row });
  }

  #setTimer(step: Step): void {
    const due = this.#due();
    const old = Number(this.record.timerMs);
    if (due === old) return;
    if (old !== 0) step.delete(Keys.timer(old, this.id));
    if (due !== 0) step.setTimer(this.id, due);
    this.record.timerMs = BigInt(due);
  }

  #setOutstanding(step: Step): void {
    const outstanding = this.stream.nextSequence - 1 > this.stream.peerAcknowledged;
    if (outstanding === this.record.outstanding) return;
    if (outstanding) step.put(StateRecordSchema, Keys.outstanding(this.id), create(StateRecordSchema));
    else step.delete(Keys.outstanding(this.id));
    this.record.outstanding = outstanding;
  }

  #due(): number {
    const stream = this.stream;
    const { ackDueMs, resendMs, gapMs, holdMs, expiryMs, retryMs, segmentsMs } = stream;
    const times = [ackDueMs, resendMs, gapMs, holdMs, expiryMs, retryMs, segmentsMs]
      .map(Number)
      .filter((time) => time !== 0);
    if (stream.showUntil !== 0) times.push(AT_ONCE_MS);
    const oldestSkipped = this.record.session?.skipped[0];
    if (oldestSkipped) times.push(Number(oldestSkipped.skippedMs) + SKIPPED_KEY_LIFETIME_MS);
    return times.length === 0 ? 0 : Math.min(...times);
  }
}

export function sessionStateChanged(sessionState: SessionState) {
  return {
    case: "sessionStateChanged" as const,
    value: { $typeName: "chatsdk.v1.SessionStateChanged" as const, sessionState },
  };
}
