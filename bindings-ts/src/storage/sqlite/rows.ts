import { create } from "@bufbuild/protobuf";
import {
  type Conversation,
  ConversationSchema,
  DeliveryStatus,
  FailureReason,
  type Message,
  MessageSchema,
  SessionState,
} from "@chatsdk/abi/api_pb";
import type { MessageRow } from "../storage.ts";
import type { Row, Value } from "./connection.ts";

/** Columns in the order of `messageValues`. */
const MESSAGE_COLUMNS = [
  ...[
    "conversation_id",
    "message_id",
    "outgoing",
    "sequence",
    "lamport",
    "timestamp_ms",
    "stored_ms",
    "domain",
    "tag",
    "version",
  ],
  ...["payload", "text", "refers_to", "status", "failure_reason"],
];

/** Replaces a message but keeps its row id, which the search index knows, and whether we have read it. */
export const PUT_MESSAGE = `
  INSERT INTO messages (${MESSAGE_COLUMNS.join(", ")}, read_by_us) VALUES (${MESSAGE_COLUMNS.map(() => "?").join(", ")}, ?)
  ON CONFLICT (conversation_id, message_id) DO UPDATE SET ${MESSAGE_COLUMNS.slice(2).map(fromExcluded).join(", ")}`;

/** What `messageFromRow` needs. The texts of a peer may hold NULs, where node:sqlite would cut a string: they are read as bytes. */
export const SELECT_MESSAGE = `SELECT ${MESSAGE_COLUMNS.map((name) => (name === "text" || name === "refers_to" ? `CAST(${name} AS BLOB) AS ${name}` : name)).join(", ")}, read_by_us FROM messages`;

/** Columns in the order of `conversationValues`. */
const CONVERSATION_COLUMNS = [
  ...[
    "conversation_id",
    "account_id",
    "peer_identity_key",
    "created_ms",
    "suite",
    "session_state",
    "verified",
    "initiator",
  ],
  "last_activity_ms",
];

export const PUT_CONVERSATION = `
  INSERT INTO conversations (${CONVERSATION_COLUMNS.join(", ")}) VALUES (${CONVERSATION_COLUMNS.map(() => "?").join(", ")})
  ON CONFLICT (conversation_id) DO UPDATE SET ${CONVERSATION_COLUMNS.slice(1).map(fromExcluded).join(", ")}`;

/** What `conversationFromRow` needs. */
export const SELECT_CONVERSATION = `SELECT ${CONVERSATION_COLUMNS.join(", ")} FROM conversations`;

export function messageValues(message: Message): Value[] {
  return [
    message.conversationId,
    message.messageId,
    Number(message.outgoing),
    message.sequence,
    signed(message.lamport),
    signed(message.timestampMs),
    signed(message.storedMs),
    message.domain,
    message.tag,
    message.version,
    message.payload,
    message.text ?? null,
    message.refersTo ?? null,
    enumText(DeliveryStatus, message.status),
    enumText(FailureReason, message.failureReason),
    // Kept when a message is replaced. Our own messages need no reading.
    Number(message.outgoing),
  ];
}

export function messageFromRow(row: Row): MessageRow {
  const message = create(MessageSchema, {
    conversationId: string(row, "conversation_id"),
    messageId: string(row, "message_id"),
    outgoing: boolean(row, "outgoing"),
    sequence: number(row, "sequence"),
    lamport: unsigned(row, "lamport"),
    timestampMs: unsigned(row, "timestamp_ms"),
    storedMs: unsigned(row, "stored_ms"),
    domain: number(row, "domain"),
    tag: number(row, "tag"),
    version: number(row, "version"),
    payload: bytes(row, "payload"),
    status: enumValue(DeliveryStatus, row["status"]),
    failureReason: enumValue(FailureReason, row["failure_reason"]),
  });
  if (row["text"] !== null) message.text = utf8.decode(bytes(row, "text"));
  if (row["refers_to"] !== null) message.refersTo = utf8.decode(bytes(row, "refers_to"));
  return Object.assign(message, { readByUs: boolean(row, "read_by_us") });
}

export function conversationValues(conversation: Conversation): Value[] {
  return [
    conversation.conversationId,
    conversation.accountId,
    conversation.peerIdentityKey,
    signed(conversation.createdMs),
    conversation.suite,
    enumText(SessionState, conversation.sessionState),
    Number(conversation.verified),
    Number(conversation.initiator),
    signed(conversation.lastActivityMs),
  ];
}

export function conversationFromRow(row: Row): Conversation {
  return create(ConversationSchema, {
    conversationId: string(row, "conversation_id"),
    accountId: string(row, "account_id"),
    peerIdentityKey: bytes(row, "peer_identity_key"),
    createdMs: unsigned(row, "created_ms"),
    suite: number(row, "suite"),
    sessionState: enumValue(SessionState, row["session_state"]),
    verified: boolean(row, "verified"),
    initiator: boolean(row, "initiator"),
    lastActivityMs: unsigned(row, "last_activity_ms"),
  });
}

/** SQLite's integers are signed. Values from 2^63 on, which only a hostile peer sends, become negative and come back unharmed. */
export function signed(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

/** The enum's name in lower case; NULL for "unspecified", the number for a value of a newer version. */
export function enumText(names: EnumNames, value: number): string | null {
  return value === 0 ? null : (names[value]?.toLowerCase() ?? String(value));
}

/** The inverse of `enumText`. */
export function enumValue(names: EnumNames, text: unknown): number {
  if (typeof text !== "string") return 0;
  const value = (names as unknown as Record<string, number>)[text.toUpperCase()];
  return typeof value === "number" ? value : Number(text);
}

/** A TypeScript enum seen from the numbers' side. */
interface EnumNames {
  [value: number]: string;
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

function fromExcluded(name: string): string {
  return `${name} = excluded.${name}`;
}

// The tables are STRICT: the declared type is the stored one, and integers are read as bigints.

function string(row: Row, name: string): string {
  return row[name] as string;
}

function bytes(row: Row, name: string): Uint8Array<ArrayBuffer> {
  return row[name] as Uint8Array<ArrayBuffer>;
}

function number(row: Row, name: string): number {
  return Number(row[name]);
}

function boolean(row: Row, name: string): boolean {
  return row[name] === 1n;
}

function unsigned(row: Row, name: string): bigint {
  return BigInt.asUintN(64, row[name] as bigint);
}
