import { SessionState } from "@chatsdk/abi/api_pb";
import type { Envelope } from "@chatsdk/abi/wire_pb";
import { equalBytes } from "../bytes.ts";
import { decodeEnvelope } from "../envelope/envelope.ts";
import { unpad } from "../envelope/padding.ts";
import { Rejected } from "../errors.ts";
import { decodeHandshake } from "../handshake/handshake.ts";
import { inboxHint } from "../handshake/key-agreement.ts";
import { findPosition } from "../ratchet/awaited-hints.ts";
import { ratchetDecrypt } from "../ratchet/double-ratchet.ts";
import { Conversation } from "./conversation.ts";
import type { History } from "./history.ts";
import { forgetFormerPrekeys } from "./prekeys.ts";
import { Keys, lastPart } from "./records.ts";
import { takeRepair } from "./repair.ts";
import { takeHandshake } from "./setting-up.ts";
import type { Step, Steps } from "./step.ts";
import { takeSds } from "./taking.ts";

/**
 * The way in: hint look-up, header, ratchet, reliability, frame, content, event. Whatever fails on it is dropped with all it would
 * have changed: a forged, replayed, truncated or foreign envelope leaves the state as it was, to the byte.
 */
export function* takeEnvelope(step: Step, payload: Uint8Array, history: History, pushed: boolean): Steps<void> {
  const reason = yield* step.attempt((attempt) => take(attempt, decodeEnvelope(payload), history, pushed));
  if (reason !== undefined) step.log(`envelope dropped: ${reason}`);
}

function* take(step: Step, envelope: Envelope, history: History, pushed: boolean): Steps<void> {
  const key = yield* step.find(envelope.hint);
  if (key === undefined) {
    if (pushed) history.notePassed(envelope.hint, step.nowMs);
    return yield* takeUnknown(step, envelope, history);
  }
  if (key.startsWith(Keys.conversations)) return yield* takeRatchetMessage(step, lastPart(key), envelope, history);
  yield* takeRepair(step, key, decodeHandshake(envelope.payload));
}

function* takeUnknown(step: Step, envelope: Envelope, history: History): Steps<void> {
  const { invites } = yield* step.state();
  if (invites.length === 0) throw new Rejected("hint: not awaited");
  const handshake = decodeHandshake(envelope.payload);
  for (const { prekeyId, hintKey } of invites) {
    if (equalBytes(inboxHint(step.crypto, hintKey, handshake.ephemeralKey), envelope.hint)) {
      return yield* takeHandshake(step, prekeyId, handshake, history);
    }
  }
  throw new Rejected("hint: not awaited");
}

function* takeRatchetMessage(step: Step, conversationId: string, envelope: Envelope, history: History): Steps<void> {
  const conversation = yield* Conversation.load(step, conversationId);
  const { record, session } = conversation;
  const position = findPosition(step.crypto, session, envelope.hint, conversation.awaitsWidely);
  if (!position) throw new Rejected("hint: not awaited any more");
  const { plaintext, hello } = ratchetDecrypt(step.crypto, session, position, envelope, step.nowMs);
  if (hello) record.peerRecoveryPrekey = hello.recoveryPrekey;
  const state: SessionState = record.sessionState;
  if (state === SessionState.REPAIR_SENT) yield* forgetFormerPrekeys(step, conversationId, record.recoveryPrekeyId);
  if (state === SessionState.AWAITING_REPLY || state === SessionState.REPAIR_SENT) {
    yield* conversation.setState(step, SessionState.ESTABLISHED);
  }
  yield* takeSds(step, conversation, unpad(plaintext), (accountId) => history.askForMissed(accountId));
  conversation.save(step);
}
