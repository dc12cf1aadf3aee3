import {
  type Account as AccountData,
  type Conversation as ConversationData,
  DeliveryStatus,
  type Event,
  FailureReason,
  type Invite as InviteData,
  type InviteDetails as InviteDetailsData,
  type Message as MessageData,
  type Quota as QuotaData,
  SessionState,
} from "@chatsdk/abi/api_pb";
import type { MessageRow } from "../storage/storage.ts";
import type { ContentBytes } from "./content.ts";

/** An identity of this device's owner. */
export interface Account {
  id: string;
  /** Ed25519, 32 bytes. */
  identityKey: Uint8Array;
  /** Content topic on which the account receives. */
  deliveryAddress: string;
  createdAt: Date;
}

/** An invite link we made. */
export interface Invite {
  id: string;
  accountId: string;
  /** The text to share, under 300 characters. */
  link: string;
  expiresAt: Date;
  reusable: boolean;
  /** Conversations it has started. */
  acceptedCount: number;
}

/** What a link says before it is accepted. */
export interface InviteDetails {
  identityKey: Uint8Array;
  expiresAt: Date;
  reusable: boolean;
  deliveryAddress: string;
  clusterId: number;
  shardCount: number;
  /** The suite that would be used: 1 X25519; 2 X25519 with ML-KEM-768. */
  suite: number;
}

/**
 * - `awaitingReply`: we wrote; the peer's device has not answered yet
 * - `established`: both devices hold the session
 * - `lost`: our keys are from an old copy; repair the conversation
 * - `repairSent`: we asked for a repair and wait for the peer's consent
 * - `repairRequested`: the peer asks for a repair and waits for ours
 */
export type SessionStateName = "awaitingReply" | "established" | "lost" | "repairSent" | "repairRequested";

/** A conversation with one other participant. */
export interface Conversation {
  id: string;
  accountId: string;
  /** Ed25519, 32 bytes. */
  peerIdentityKey: Uint8Array;
  createdAt: Date;
  lastActivityAt: Date;
  /** 1: X25519. 2: X25519 with ML-KEM-768. */
  suite: number;
  session: SessionStateName;
  /** The application noted that the safety numbers were compared. */
  verified: boolean;
  /** We accepted the peer's link. */
  initiator: boolean;
}

/** queued: stored here; sent: a node took it; delivered: the recipient's device has it; read: so says its user's app. */
export type DeliveryStatusName = "queued" | "sent" | "delivered" | "read" | "failed";
export type FailureReasonName = "expired" | "cancelled" | "sessionReplaced";

/** A message. `ContentType.read` gives its value. */
export interface ChatMessage extends ContentBytes {
  /** Unique in its conversation, the same on both sides. */
  id: string;
  conversationId: string;
  /** Ours. */
  outgoing: boolean;
  /** The sender's clock. */
  sentAt: Date;
  /** Our clock when it was stored. */
  storedAt: Date;
  /** Order within the conversation; ties break by id. */
  lamport: bigint;
  /** Position in its sender's stream, from 1. */
  sequence: number;
  /** Text to show, of the basic types that have one. */
  text?: string;
  /** Message that a reply or a reaction refers to. */
  refersTo?: string;
  /** Of an outgoing message. */
  status?: DeliveryStatusName;
  /** Of a failed message. */
  failureReason?: FailureReasonName;
}

/** Something the application should know. */
export type ChatEvent = {
  /**
   * Grows by one with every event of the database. An event is stored until the loop that received it asks for the next
   * one; after a crash it comes again with the same number. 0: of the moment only.
   */
  number: bigint;
} & (
  | { type: "conversationStarted"; accountId: string; conversation: Conversation; inviteId?: string }
  | {
      type: "messageReceived";
      accountId: string;
      message: ChatMessage /** It had been reported missing. */;
      recovered: boolean;
    }
  | {
      type: "messageStatusChanged";
      accountId: string;
      conversationId: string;
      messageId: string;
      /** For `read`: of this message and all before it. */
      status: DeliveryStatusName;
      failureReason?: FailureReasonName;
    }
  /** Messages of the peer exist and have not arrived; recovery goes on. */
  | { type: "messagesMissing"; accountId: string; conversationId: string; messageIds: string[] }
  /** Recovery ended without them. */
  | { type: "messagesLost"; accountId: string; conversationId: string; messageIds: string[] }
  /** Somebody used a single-use link that was used before. */
  | { type: "inviteReused"; accountId: string; inviteId: string }
  | { type: "sessionStateChanged"; accountId: string; conversationId: string; session: SessionStateName }
  /** The rate limit holds messages back until `renewsAt`; or (`exhausted` false) none is held back any more, the last are on their way. */
  | { type: "quotaChanged"; exhausted: boolean; renewsAt: Date }
  /** The transport gained or lost its connection. Number 0: never stored. */
  | { type: "connectionChanged"; online: boolean }
);

/** What the rate limit leaves in this epoch. */
export interface Quota {
  /** Publications in an epoch. */
  limit: number;
  /** Left for messages; acknowledgements and repairs may use a fifth of an epoch each (rounded up). */
  remaining: number;
  /** When the next epoch begins. */
  renewsAt: Date;
  /** Messages, or parts of large ones, that no node has been offered yet. */
  waiting: number;
}

const dateOf = (ms: bigint): Date => new Date(Number(ms));

export function toAccount({ accountId, identityKey, deliveryAddress, createdMs }: AccountData): Account {
  return { id: accountId, identityKey, deliveryAddress, createdAt: dateOf(createdMs) };
}

export function toInvite({ inviteId, accountId, link, expiresMs, reusable, acceptedCount }: InviteData): Invite {
  return { id: inviteId, accountId, link, expiresAt: dateOf(expiresMs), reusable, acceptedCount };
}

export function toInviteDetails({
  $typeName: _,
  $unknown: __,
  expiresMs,
  ...details
}: InviteDetailsData): InviteDetails {
  return { ...details, expiresAt: dateOf(expiresMs) };
}

export function toQuota({ limited, limit, remaining, renewsMs, waiting }: QuotaData): Quota | undefined {
  return limited ? { limit, remaining, renewsAt: dateOf(renewsMs), waiting } : undefined;
}

const sessionStates: Record<SessionState, SessionStateName> = {
  [SessionState.SESSION_STATE_UNSPECIFIED]: "awaitingReply",
  [SessionState.AWAITING_REPLY]: "awaitingReply",
  [SessionState.ESTABLISHED]: "established",
  [SessionState.LOST]: "lost",
  [SessionState.REPAIR_SENT]: "repairSent",
  [SessionState.REPAIR_REQUESTED]: "repairRequested",
};

const statuses: Record<DeliveryStatus, DeliveryStatusName | undefined> = {
  [DeliveryStatus.DELIVERY_STATUS_UNSPECIFIED]: undefined,
  [DeliveryStatus.QUEUED]: "queued",
  [DeliveryStatus.SENT]: "sent",
  [DeliveryStatus.DELIVERED]: "delivered",
  [DeliveryStatus.READ]: "read",
  [DeliveryStatus.FAILED]: "failed",
};

const reasons: Record<FailureReason, FailureReasonName | undefined> = {
  [FailureReason.FAILURE_REASON_UNSPECIFIED]: undefined,
  [FailureReason.EXPIRED]: "expired",
  [FailureReason.CANCELLED]: "cancelled",
  [FailureReason.SESSION_REPLACED]: "sessionReplaced",
};

export function toConversation(data: ConversationData): Conversation {
  return {
    id: data.conversationId,
    accountId: data.accountId,
    peerIdentityKey: data.peerIdentityKey,
    createdAt: dateOf(data.createdMs),
    lastActivityAt: dateOf(data.lastActivityMs),
    suite: data.suite,
    session: sessionStates[data.sessionState],
    verified: data.verified,
    initiator: data.initiator,
  };
}

export function toMessage(data: MessageData | MessageRow): ChatMessage {
  const status = statuses[data.status];
  const failureReason = reasons[data.failureReason];
  return {
    id: data.messageId,
    conversationId: data.conversationId,
    outgoing: data.outgoing,
    sentAt: dateOf(data.timestampMs),
    storedAt: dateOf(data.storedMs),
    lamport: data.lamport,
    sequence: data.sequence,
    domain: data.domain,
    tag: data.tag,
    version: data.version,
    payload: data.payload,
    ...(data.text !== undefined && { text: data.text }),
    ...(data.refersTo !== undefined && { refersTo: data.refersTo }),
    ...(status && { status }),
    ...(failureReason && { failureReason }),
  };
}

/** `undefined`: of a kind this version does not know. */
export function toEvent({ eventNumber: number, accountId, conversationId, event }: Event): ChatEvent | undefined {
  switch (event.case) {
    case "conversationStarted": {
      const { conversation, inviteId } = event.value;
      return {
        number,
        type: event.case,
        accountId,
        conversation: toConversation(conversation!),
        ...(inviteId && { inviteId }),
      };
    }
    case "messageReceived":
      return {
        number,
        type: event.case,
        accountId,
        message: toMessage(event.value.message!),
        recovered: event.value.recovered,
      };
    case "messageStatusChanged": {
      const { messageId } = event.value;
      const failureReason = reasons[event.value.failureReason];
      const status = statuses[event.value.status]!;
      return {
        number,
        type: event.case,
        accountId,
        conversationId,
        messageId,
        status,
        ...(failureReason && { failureReason }),
      };
    }
    case "messagesMissing":
    case "messagesLost":
      return { number, type: event.case, accountId, conversationId, messageIds: event.value.messageIds };
    case "inviteReused":
      return { number, type: event.case, accountId, inviteId: event.value.inviteId };
    case "sessionStateChanged":
      return { number, type: event.case, accountId, conversationId, session: sessionStates[event.value.sessionState] };
    case "quotaChanged":
      return { number, type: event.case, exhausted: event.value.exhausted, renewsAt: dateOf(event.value.renewsMs) };
    case undefined:
      return undefined;
  }
}
