import { SessionState } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { Priority } from "@chatsdk/abi/host_pb";
import { type AccountRecord, type PrekeyRecord, PrekeyRecordSchema, type Session } from "@chatsdk/abi/records_pb";
import { type InboxHandshake, InboxHandshakeSchema } from "@chatsdk/abi/wire_pb";
import { bytesToHex, EMPTY, equalBytes } from "../bytes.ts";
import { encode } from "../codec.ts";
import { encodeEnvelope } from "../envelope/envelope.ts";
import { pad, unpad } from "../envelope/padding.ts";
import { ChatError, Rejected } from "../errors.ts";
import { accept, type Acceptance, decodeHandshake, firstPayload, initiate } from "../handshake/handshake.ts";
import { inboxHintKey, repairBinding, repairHint } from "../handshake/key-agreement.ts";
import { suiteBits } from "../handshake/suite.ts";
import { sameApplication } from "../invite/delivery-address.ts";
import { absent } from "../reliability/incoming-stream.ts";
import { decodeSds, encodeSds } from "../reliability/sds.ts";
import { loadAccount } from "./accounts.ts";
import type { Conversation } from "./conversation.ts";
import { Conversation as Conversations } from "./conversation.ts";
import { reportLost, wanted } from "./gaps.ts";
import type { History } from "./history.ts";
import { failAll } from "./outgoing.ts";
import {
  forgetFormerPrekeys,
  forgetPrekey,
  newRecoveryPrekey,
  type RecoveryPrekey,
  storeRecoveryPrekey,
} from "./prekeys.ts";
import { Keys, lastPart } from "./records.ts";
import { newStream } from "./setting-up.ts";
import { showHeld } from "./showing.ts";
import type { Step, Steps } from "./step.ts";
import { sendSync } from "./synchronizing.ts";

/**
 * The repair of a conversation whose keys one side has lost. A set-up like the first, with the recovery prekey the peer handed
 * out inside the session. Both sides act for it, the verification is taken back, and it happens once a day at most: who stole an
 * old backup can ask for a repair, but not without being seen.
 */

/** All sessions are from an old copy of the database: using them would use keys twice. */
export function* markLost(step: Step, conversation: Conversation): Steps<void> {
  yield* endStreams(step, conversation);
  if (conversation.stream.showUntil === 0) dropSession(step, conversation);
  else dropAllButHeld(step, conversation);
  yield* conversation.setState(step, SessionState.LOST);
  conversation.save(step);
}

/** More is held than a step shows: the rest follows at once. */
function dropAllButHeld(step: Step, conversation: Conversation): void {
  const { lamport, acknowledged, received, highestKnown, shown, showUntil, segmentsMs, deadHundreds } =
    conversation.stream;
  const lost = absent(conversation.stream);
  endSession(step, conversation);
  const told = { lamport, acknowledged, received, highestKnown, lost };
  Object.assign(conversation.stream, told, { shown, showUntil, segmentsMs, deadHundreds });
}

/** A session ends: what waits to be sent fails, what is held back is shown, what has not arrived is lost. */
function* endStreams(step: Step, conversation: Conversation): Steps<void> {
  yield* failAll(step, conversation);
  const lost = wanted(conversation);
  yield* showHeld(step, conversation, conversation.stream.highestKnown);
  yield* reportLost(step, conversation, lost);
}

/** Before a new session takes the place of one that works, or worked: nothing of it may be left to show. */
function* endFormerStreams(step: Step, conversation: Conversation): Steps<void> {
  yield* endStreams(step, conversation);
  if (conversation.stream.showUntil === 0) return;
  throw new ChatError(
    ErrorCode.REPAIR_TOO_SOON,
    `conversation_id: more of its messages has just arrived than is shown at once; try again in ${step.settings.gapDelayMs} ms`,
    { retryable: true },
  );
}

function endSession(step: Step, conversation: Conversation): void {
  const { record, stream } = conversation;
  if (stream.waiting) step.allowance.dequeue();
  delete (record as { session?: Session }).session;
  step.deletePrefix(Keys.outgoingOf(conversation.id));
  record.reliability = newStream(stream.idKey);
}

function dropSession(step: Step, conversation: Conversation): void {
  const { lamport } = conversation.stream;
  endSession(step, conversation);
  conversation.stream.lamport = lamport;
  step.deletePrefix(Keys.heldOf(conversation.id));
  step.deletePrefix(Keys.segmentsOf(conversation.id));
}

/** Asks the peer for a repair. */
export function* requestRepair(step: Step, conversation: Conversation): Steps<void> {
  const { record } = conversation;
  const waiting = (record.sessionState as SessionState) === SessionState.REPAIR_SENT;
  if (record.peerRecoveryPrekey.length === 0 && !waiting) {
    throw new ChatError(
      ErrorCode.NO_REPAIR_PENDING,
      "conversation_id: no answer of the peer to its last set-up or repair is known, so there is nothing to repair with; share a new invite",
    );
  }
  const again = Number(record.repairMs) + step.settings.repairIntervalMs;
  if (record.repairMs !== 0n && again > step.nowMs) {
    throw new ChatError(
      ErrorCode.REPAIR_TOO_SOON,
      `conversation_id: asked for recently; try again in ${again - step.nowMs} ms`,
      { retryable: true },
    );
  }
  record.repairMs = BigInt(step.nowMs);
  if (waiting) {
    publishRepair(step, conversation);
    return conversation.save(step);
  }
  const account = yield* loadAccount(step, record.accountId);
  yield* endFormerStreams(step, conversation);
  const binding = repairBinding(step.crypto, record.sessionId, record.peerRecoveryPrekey);
  const responder = { identityKey: record.peerIdentityKey, prekey: record.peerRecoveryPrekey, binding };
  const recovery = newRecoveryPrekey(step);
  const initiator = {
    identitySeed: account.identitySeed,
    deliveryAddress: account.deliveryAddress,
    recoveryPrekey: recovery.publicKey,
  };
  const initiation = initiate(step.crypto, initiator, responder, record.suite, step.nowMs, step.entropy);
  // The recovery prekey of the old session is kept until the answer: the peer may have asked as well.
  install(step, conversation, { ...initiation, initiator: true }, recovery);
  yield* conversation.setState(step, SessionState.REPAIR_SENT);

  const sync = pad(
    encodeSds(conversation.ids(step), conversation.stream, step.nowMs, { requestAcknowledgement: true }),
  );
  const hint = repairHint(step.crypto, inboxHintKey(step.crypto, binding));
  const envelope = encodeEnvelope(hint, firstPayload(step.crypto, initiation, sync, step.entropy));
  record.repairEnvelope = envelope;
  publishRepair(step, conversation);
  conversation.save(step);
}

const REPAIR_RESEND_MS = 6 * 3600 * 1000;
/** Until a node has taken the request. */
const REPAIR_RETRY_MS = 15 * 1000;

/** A request for repair goes out again until the peer has answered: its user may take days to agree. */
export function publishRepair(step: Step, conversation: Conversation): void {
  const { record } = conversation;
  const released = step.publish(`r/${conversation.id}`, record.peerAddress, record.repairEnvelope, Priority.REPAIR);
  scheduleRepair(step, conversation, released ? REPAIR_RETRY_MS : step.allowance.postpone() - step.nowMs);
}

/** A node took the request, or none did: then it goes out again soon, as it does if nobody ever says. */
export function noteRepairPublished(step: Step, conversation: Conversation, ok: boolean): void {
  if (!ok || (conversation.record.sessionState as SessionState) !== SessionState.REPAIR_SENT) return;
  scheduleRepair(step, conversation, REPAIR_RESEND_MS);
  conversation.save(step);
}

function scheduleRepair(step: Step, { record, stream }: Conversation, delayMs: number): void {
  const next = step.nowMs + delayMs;
  stream.resendMs = next < Number(record.repairMs) + step.settings.messageTtlMs ? BigInt(next) : 0n;
}

/** Puts a new session in the place of the old one. Message ids and sequences begin anew; the Lamport clock goes on. */
function install(
  step: Step,
  conversation: Conversation,
  made: { session: Session; sessionId: Uint8Array; messageIdKey: Uint8Array; initiator: boolean },
  recovery: RecoveryPrekey,
): void {
  const { record } = conversation;
  dropSession(step, conversation);
  conversation.stream.idKey = made.messageIdKey;
  record.session = made.session;
  record.sessionId = made.sessionId;
  record.initiator = made.initiator;
  record.verified = false;
  record.pendingRepair = EMPTY;
  record.repairEnvelope = EMPTY;
  record.peerRecoveryPrekey = EMPTY;
  const { accountId, sessionId } = record;
  const suites = suiteBits(record.suite, step.settings.maximumSuite);
  record.recoveryPrekeyId = storeRecoveryPrekey(
    step,
    { accountId, conversationId: conversation.id, sessionId, suites },
    recovery,
  );
  conversation.touchRow();
}

function verifyRepair(
  step: Step,
  account: AccountRecord,
  prekey: PrekeyRecord,
  conversation: Conversation,
  handshake: InboxHandshake,
  recovery: Uint8Array,
): Acceptance {
  const acceptance = accept(
    step.crypto,
    { ...prekey, identitySeed: account.identitySeed },
    recovery,
    handshake,
    step.nowMs,
  );
  if (!equalBytes(acceptance.hello.identityKey, conversation.record.peerIdentityKey))
    throw new Rejected("repair: by another identity");
  if (!sameApplication(acceptance.hello.deliveryAddress, account.deliveryAddress))
    throw new Rejected("hello.delivery_address: of another application");
  if (acceptance.hello.createdMs < prekey.createdMs) throw new Rejected("repair: asked for before our keys were made");
  const ids = { crypto: step.crypto, idKey: acceptance.messageIdKey, initiator: false };
  decodeSds(ids, newStream(acceptance.messageIdKey), unpad(acceptance.plaintext));
  return acceptance;
}

function pendingHello(
  step: Step,
  account: AccountRecord,
  prekey: PrekeyRecord,
  conversation: Conversation,
): Acceptance["hello"] | undefined {
  const { pendingRepair } = conversation.record;
  if (pendingRepair.length === 0) return undefined;
  try {
    return verifyRepair(step, account, prekey, conversation, decodeHandshake(pendingRepair), new Uint8Array(32)).hello;
  } catch (error) {
    if (error instanceof Rejected) return undefined;
    throw error;
  }
}

/** What was kept may have become void: by a rollback (the prekey counts as made then), or by other settings. */
function verifyPending(...args: Parameters<typeof verifyRepair>): Acceptance {
  try {
    return verifyRepair(...args);
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    throw new ChatError(
      ErrorCode.NO_REPAIR_PENDING,
      `conversation_id: the request counts no more (${error.reason}); ask for a repair, or let the peer ask again`,
    );
  }
}

/**
 * Both sides have asked. The one whose identity key is greater goes on; the other's request is withdrawn, and its user is asked for
 * consent like anybody's.
 */
function giveWay(step: Step, conversation: Conversation, account: AccountRecord): void {
  const { record } = conversation;
  const ours = bytesToHex(step.crypto.ed25519PublicKey(account.identitySeed));
  // A request whose time is over goes out no more: to insist on it would leave both waiting for ever.
  const insists = conversation.stream.resendMs !== 0n;
  if (insists && ours > bytesToHex(record.peerIdentityKey))
    throw new Rejected("repair: both asked, and ours goes first");
  record.repairEnvelope = EMPTY;
  dropSession(step, conversation);
}

/** The peer asks for a repair: kept until our user agrees. The old session stays in use until then. */
export function* takeRepair(step: Step, prekeyKey: string, handshake: InboxHandshake): Steps<void> {
  const prekey = yield* step.get(PrekeyRecordSchema, prekeyKey);
  if (!prekey) throw new Rejected("repair: the prekey is gone");
  const conversation = yield* Conversations.load(step, prekey.repairs);
  const { record } = conversation;
  const encoded = encode(InboxHandshakeSchema, handshake);
  if (equalBytes(record.pendingRepair, encoded)) throw new Rejected("repair: waits for consent");
  const sent = (record.sessionState as SessionState) === SessionState.REPAIR_SENT;
  const bothAsked = sent && record.recoveryPrekeyId !== lastPart(prekeyKey);
  const again = Number(record.repairMs) + step.settings.repairIntervalMs;
  if (
    record.repairMs !== 0n &&
    again > step.nowMs &&
    record.session &&
    !bothAsked &&
    record.pendingRepair.length === 0
  ) {
    throw new Rejected("repair: asked for too often");
  }
  const account = yield* loadAccount(step, record.accountId);
  const { hello } = verifyRepair(step, account, prekey, conversation, handshake, new Uint8Array(32));
  // The newest made, not the last to arrive: its author has the keys of that one alone, and the nodes keep the others.
  const kept = pendingHello(step, account, prekey, conversation);
  if (kept && kept.createdMs >= hello.createdMs)
    throw new Rejected("repair: older than the one that waits for consent");
  if (bothAsked) giveWay(step, conversation, account);
  if (record.recoveryPrekeyId !== lastPart(prekeyKey)) {
    yield* forgetPrekey(step, Keys.prekey(record.recoveryPrekeyId));
    record.recoveryPrekeyId = lastPart(prekeyKey);
  }
  record.pendingRepair = encoded;
  record.repairMs = BigInt(step.nowMs);
  yield* conversation.setState(step, SessionState.REPAIR_REQUESTED);
  conversation.save(step);
}

/** Our user agrees: the new session takes over, and a sync message tells the peer. */
export function* acceptRepair(step: Step, conversation: Conversation, history: History): Steps<void> {
  const { record } = conversation;
  if (record.pendingRepair.length === 0)
    throw new ChatError(ErrorCode.NO_REPAIR_PENDING, "conversation_id: the peer has not asked for a repair");
  const account = yield* loadAccount(step, record.accountId);
  const prekey = yield* step.get(PrekeyRecordSchema, Keys.prekey(record.recoveryPrekeyId));
  if (!prekey)
    throw new ChatError(ErrorCode.INTERNAL, "conversation_id: its recovery prekey is gone; share a new invite");
  const recovery = newRecoveryPrekey(step);
  const handshake = decodeHandshake(record.pendingRepair);
  const acceptance = verifyPending(step, account, prekey, conversation, handshake, recovery.publicKey);
  yield* endFormerStreams(step, conversation);
  install(step, conversation, { ...acceptance, initiator: false }, recovery);
  yield* forgetFormerPrekeys(step, conversation.id, record.recoveryPrekeyId);
  const { hello } = acceptance;
  record.suite = hello.suite;
  record.peerAddress = hello.deliveryAddress;
  record.peerRecoveryPrekey = hello.recoveryPrekey;
  record.repairMs = BigInt(step.nowMs);
  yield* conversation.setState(step, SessionState.ESTABLISHED);
  sendSync(step, conversation, { requestAcknowledgement: true }, Priority.MESSAGE);
  // Until the peer answers: it cannot send before it knows, and we do not understand its request any more.
  conversation.stream.resendMs = BigInt(step.nowMs + step.settings.resendAfterMs);
  conversation.save(step);
  yield* history.askAgain(step, record.accountId, Math.max(Number(hello.createdMs), Number(prekey.createdMs)));
}
