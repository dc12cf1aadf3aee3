import { create } from "@bufbuild/protobuf";
import { type AcceptInviteRequest, type SentMessage, SentMessageSchema, SessionState } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import {
  AcceptedLinkRecordSchema,
  AccountRecordSchema,
  ConversationRecordSchema,
  type PrekeyRecord,
  PrekeyRecordSchema,
  type Reliability,
  ReliabilitySchema,
} from "@chatsdk/abi/records_pb";
import type { InboxHandshake } from "@chatsdk/abi/wire_pb";
import { bytesToHex, concatBytes, equalBytes } from "../bytes.ts";
import { encodeEnvelope } from "../envelope/envelope.ts";
import { unpad } from "../envelope/padding.ts";
import { ChatError, Rejected } from "../errors.ts";
import { accept, type Acceptance, firstPayload, initiate } from "../handshake/handshake.ts";
import { inboxHint, inboxHintKey } from "../handshake/key-agreement.ts";
import { suiteBits } from "../handshake/suite.ts";
import { sameApplication } from "../invite/delivery-address.ts";
import { INVITE_GRACE_MS } from "../settings.ts";
import { loadAccount } from "./accounts.ts";
import { Conversation } from "./conversation.ts";
import type { History } from "./history.ts";
import { usableInvite } from "./invites.ts";
import { sendContent } from "./outgoing.ts";
import { newRecoveryPrekey, storeRecoveryPrekey } from "./prekeys.ts";
import { Keys } from "./records.ts";
import type { Step, Steps } from "./step.ts";
import { takeSds } from "./taking.ts";

/** A reusable link starts at most so many conversations: the list of used ephemeral keys must end. */
const MAX_ACCEPTED = 10_000;
/** Two honest clocks may differ by so much. */
const CLOCK_SKEW_MS = 2 * 60 * 1000;

export function newStream(idKey: Uint8Array): Reliability {
  return create(ReliabilitySchema, { idKey, nextSequence: 1 });
}

/** U1: starts a conversation with somebody who is not online. */
export function* acceptInvite(step: Step, request: AcceptInviteRequest): Steps<SentMessage> {
  const account = yield* loadAccount(step, request.accountId);
  const { crypto } = step;
  const invite = usableInvite(step, request.link);
  const { bundle } = invite;
  // Both sides of a conversation have the same id: one database cannot hold both.
  for (const { record } of yield* step.scan(AccountRecordSchema, Keys.accounts)) {
    if (equalBytes(bundle.identityKey, crypto.ed25519PublicKey(record.identitySeed)))
      throw new ChatError(ErrorCode.INVITE_OWN, "link: made by an account of this database; accept it in another");
  }
  const acceptedLink = Keys.acceptedLink(step.vault, request.accountId, invite.hash);
  const accepted = yield* step.get(AcceptedLinkRecordSchema, acceptedLink);
  if (accepted) {
    throw new ChatError(
      ErrorCode.INVITE_ALREADY_ACCEPTED,
      `link: accepted before; use conversation ${accepted.conversationId}`,
    );
  }
  const recovery = newRecoveryPrekey(step);
  const responder = { identityKey: bundle.identityKey, prekey: bundle.signedPrekey, binding: invite.hash };
  const initiator = {
    identitySeed: account.identitySeed,
    deliveryAddress: account.deliveryAddress,
    recoveryPrekey: recovery.publicKey,
  };
  const initiation = initiate(crypto, initiator, responder, invite.suite, step.nowMs, step.entropy);
  const id = bytesToHex(initiation.sessionId);
  const conversation = Conversation.start(
    id,
    create(ConversationRecordSchema, {
      accountId: request.accountId,
      peerIdentityKey: bundle.identityKey,
      peerAddress: bundle.deliveryAddress,
      createdMs: BigInt(step.nowMs),
      sessionState: SessionState.AWAITING_REPLY,
      initiator: true,
      suite: invite.suite,
      session: initiation.session,
      reliability: newStream(initiation.messageIdKey),
      linkHash: invite.hash,
      sessionId: initiation.sessionId,
      recoveryPrekeyId: storeRecoveryPrekey(
        step,
        {
          accountId: request.accountId,
          conversationId: id,
          sessionId: initiation.sessionId,
          suites: repairSuites(step, invite.suite),
        },
        recovery,
      ),
    }),
  );
  step.put(AcceptedLinkRecordSchema, acceptedLink, create(AcceptedLinkRecordSchema, { conversationId: id }));
  const hint = inboxHint(crypto, inboxHintKey(crypto, invite.hash), initiation.ephemeralKey);
  const message = sendContent(step, conversation, request.content, (plaintext) =>
    encodeEnvelope(hint, firstPayload(crypto, initiation, plaintext, step.entropy)),
  );
  conversation.save(step);
  step.row({ case: "putMessage", value: message });
  const started = {
    $typeName: "chatsdk.v1.ConversationStarted" as const,
    conversation: conversation.row,
    inviteId: "",
  };
  yield* step.event(request.accountId, id, { case: "conversationStarted", value: started });
  return create(SentMessageSchema, { conversation: conversation.row, message });
}

/** Somebody accepted a link of ours. Throws `Rejected` before anything is changed if the envelope does not verify. */
export function* takeHandshake(
  step: Step,
  prekeyKey: string,
  handshake: InboxHandshake,
  history: History,
): Steps<void> {
  const prekey = yield* step.get(PrekeyRecordSchema, prekeyKey);
  if (!prekey) throw new Rejected("handshake: the invite is gone");
  if (Number(prekey.expiresMs) + INVITE_GRACE_MS <= step.nowMs) throw new Rejected("handshake: the invite has expired");
  const used = step.crypto.sha256(handshake.ephemeralKey).subarray(0, 16);
  if (wasAccepted(prekey, used)) throw new Rejected("handshake: a replay");
  const inviteId = prekeyKey.slice(prekeyKey.lastIndexOf("/") + 1);
  if (prekey.secret.length === 0) return yield* reportReuse(step, prekeyKey, prekey, inviteId);
  if (prekey.acceptedCount >= MAX_ACCEPTED)
    throw new Rejected("handshake: the invite has started too many conversations");

  const account = yield* loadAccount(step, prekey.accountId);
  const recovery = newRecoveryPrekey(step);
  const acceptance = accept(
    step.crypto,
    { ...prekey, suites: prekey.suites & allowedSuites(step), identitySeed: account.identitySeed },
    recovery.publicKey,
    handshake,
    step.nowMs,
  );
  if (equalBytes(acceptance.hello.identityKey, step.crypto.ed25519PublicKey(account.identitySeed))) {
    throw new Rejected("handshake: from ourselves");
  }
  if (Number(acceptance.hello.createdMs) > Number(prekey.expiresMs) + CLOCK_SKEW_MS)
    throw new Rejected("handshake: made after the invite had expired");
  if (!sameApplication(acceptance.hello.deliveryAddress, account.deliveryAddress))
    throw new Rejected("hello.delivery_address: of another application");
  prekey.acceptedCount++;
  prekey.accepted = concatBytes(prekey.accepted, used);
  if (!prekey.reusable) prekey.secret = new Uint8Array(0);
  step.put(PrekeyRecordSchema, prekeyKey, prekey);

  const { hello, sessionId } = acceptance;
  const id = bytesToHex(sessionId);
  if (yield* step.get(ConversationRecordSchema, Keys.conversation(id))) throw new Rejected("handshake: from ourselves");
  const { accountId } = prekey;
  const recoveryPrekeyId = storeRecoveryPrekey(
    step,
    { accountId, conversationId: id, sessionId, suites: repairSuites(step, hello.suite) },
    recovery,
  );
  const conversation = Conversation.start(id, respondingRecord(step, accountId, acceptance, recoveryPrekeyId));
  const started = { $typeName: "chatsdk.v1.ConversationStarted" as const, conversation: conversation.row, inviteId };
  yield* step.event(accountId, id, { case: "conversationStarted", value: started });
  yield* takeSds(step, conversation, unpad(acceptance.plaintext), (account) => history.ask(account));
  conversation.save(step);
  // Messages that overtook the set-up found no session: the store has them. None is older than the invite, whatever the peer says.
  yield* history.askAgain(step, accountId, Math.max(Number(hello.createdMs), Number(prekey.createdMs)));
}

/** The settings may have changed since the link was made. */
function allowedSuites(step: Step): number {
  return suiteBits(step.settings.minimumSuite, step.settings.maximumSuite);
}

/** A repair may not weaken the session: its suite or a better one. */
function repairSuites(step: Step, suite: number): number {
  return suiteBits(suite, step.settings.maximumSuite);
}

export function respondingRecord(step: Step, accountId: string, acceptance: Acceptance, recoveryPrekeyId: string) {
  const { hello, session, sessionId, messageIdKey } = acceptance;
  return create(ConversationRecordSchema, {
    accountId,
    peerIdentityKey: hello.identityKey,
    peerAddress: hello.deliveryAddress,
    createdMs: BigInt(step.nowMs),
    sessionState: SessionState.ESTABLISHED,
    suite: hello.suite,
    session,
    reliability: newStream(messageIdKey),
    lastActivityMs: BigInt(step.nowMs),
    peerRecoveryPrekey: hello.recoveryPrekey,
    sessionId,
    recoveryPrekeyId,
  });
}

function wasAccepted(prekey: PrekeyRecord, used: Uint8Array): boolean {
  for (let offset = 0; offset < prekey.accepted.length; offset += 16) {
    if (equalBytes(prekey.accepted.subarray(offset, offset + 16), used)) return true;
  }
  return false;
}

/** The hint depends on the link and the ephemeral key: only a holder of the link gets this far. Reported once. */
function* reportReuse(step: Step, key: string, prekey: PrekeyRecord, inviteId: string): Steps<void> {
  if (prekey.reuseReported) throw new Rejected("handshake: a single-use invite, used again");
  prekey.reuseReported = true;
  step.put(PrekeyRecordSchema, key, prekey);
  const value = { $typeName: "chatsdk.v1.InviteReused" as const, inviteId };
  yield* step.event(prekey.accountId, "", { case: "inviteReused", value });
}
