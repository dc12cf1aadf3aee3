import { type Conversation, DeliveryStatus, FailureReason, type Message } from "@chatsdk/abi/api_pb";
import type { StatusChange } from "@chatsdk/abi/host_pb";
import { mayBecome } from "../delivery-status.ts";
import { queryWords } from "../search-words.ts";
import type { MessageRow, MessageStore, PageRequest, Position, SearchOptions } from "../storage.ts";
import { checkLimit } from "../validation.ts";
import type { Connection, Value } from "./connection.ts";
import {
  conversationFromRow,
  conversationValues,
  enumText,
  enumValue,
  messageFromRow,
  messageValues,
  PUT_CONVERSATION,
  PUT_MESSAGE,
  SELECT_CONVERSATION,
  SELECT_MESSAGE,
  signed,
} from "./rows.ts";

const NEWEST_FIRST = "ORDER BY lamport DESC, message_id DESC LIMIT ?";

/** The tables `conversations` and `messages`. */
export class SqliteMessages implements MessageStore {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async conversations(accountId?: string): Promise<Conversation[]> {
    const latestFirst = "ORDER BY last_activity_ms DESC, conversation_id";
    const rows =
      accountId === undefined
        ? this.#connection.all(`${SELECT_CONVERSATION} ${latestFirst}`)
        : this.#connection.all(`${SELECT_CONVERSATION} WHERE account_id = ? ${latestFirst}`, accountId);
    return rows.map(conversationFromRow);
  }

  async conversation(conversationId: string): Promise<Conversation | undefined> {
    const row = this.#connection.get(`${SELECT_CONVERSATION} WHERE conversation_id = ?`, conversationId);
    return row && conversationFromRow(row);
  }

  async message(conversationId: string, messageId: string): Promise<MessageRow | undefined> {
    const row = this.#connection.get(
      `${SELECT_MESSAGE} WHERE conversation_id = ? AND message_id = ?`,
      conversationId,
      messageId,
    );
    return row && messageFromRow(row);
  }

  async page({ conversationId, before, limit }: PageRequest): Promise<MessageRow[]> {
    checkLimit(limit);
    const older = olderThan(before);
    return this.#connection
      .all(
        `${SELECT_MESSAGE} WHERE conversation_id = ? ${older.condition} ${NEWEST_FIRST}`,
        conversationId,
        ...older.values,
        limit,
      )
      .map(messageFromRow);
  }

  async unreadCount(conversationId: string): Promise<number> {
    const row = this.#connection.get(
      "SELECT count(*) AS unread FROM messages WHERE conversation_id = ? AND outgoing = 0 AND read_by_us = 0 AND (domain <> 0 OR tag IN (1, 2, 5))",
      conversationId,
    );
    return Number(row?.["unread"]);
  }

  async search(query: string, { conversationId, limit, before }: SearchOptions): Promise<MessageRow[]> {
    checkLimit(limit);
    const words = queryWords(query);
    if (words.length === 0) {
      // Also says CLOSED on a closed storage.
      return this.#connection.all(`${SELECT_MESSAGE} LIMIT 0`).map(messageFromRow);
    }
    const older = olderThan(before);
    const inConversation = conversationId === undefined ? "" : "AND conversation_id = ?";
    return this.#connection
      .all(
        `${SELECT_MESSAGE} WHERE id IN (SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?) ${inConversation} ${older.condition} ${NEWEST_FIRST}`,
        matchExpression(words),
        ...(conversationId === undefined ? [] : [conversationId]),
        ...older.values,
        limit,
      )
      .map(messageFromRow);
  }

  // The rest belongs to a transaction of the storage.

  putMessage(message: Message): void {
    this.#connection.run(PUT_MESSAGE, ...messageValues(message));
  }

  setStatus({ conversationId, messageId, status, failureReason }: StatusChange): void {
    const row = this.#connection.get(
      "SELECT id, status FROM messages WHERE conversation_id = ? AND message_id = ? AND outgoing = 1",
      conversationId,
      messageId,
    );
    if (!row || !mayBecome(enumValue(DeliveryStatus, row["status"]), status)) return;
    const reason = status === DeliveryStatus.FAILED ? enumText(FailureReason, failureReason) : null;
    this.#connection.run(
      "UPDATE messages SET status = ?, failure_reason = ? WHERE id = ?",
      enumText(DeliveryStatus, status),
      reason,
      row["id"] as bigint,
    );
  }

  peerRead(conversationId: string, messageId: string): void {
    this.#connection.run(
      "UPDATE messages SET status = 'read' WHERE conversation_id = ?1 AND outgoing = 1 AND status = 'delivered' AND lamport <= (SELECT lamport FROM messages WHERE conversation_id = ?1 AND message_id = ?2 AND outgoing = 1)",
      conversationId,
      messageId,
    );
  }

  ownRead(conversationId: string, messageId: string): void {
    this.#connection.run(
      "UPDATE messages SET read_by_us = 1 WHERE conversation_id = ?1 AND outgoing = 0 AND read_by_us = 0 AND lamport <= (SELECT lamport FROM messages WHERE conversation_id = ?1 AND message_id = ?2 AND outgoing = 0)",
      conversationId,
      messageId,
    );
  }

  putConversation(conversation: Conversation): void {
    this.#connection.run(PUT_CONVERSATION, ...conversationValues(conversation));
  }

  deleteConversation(conversationId: string): void {
    this.#connection.run("DELETE FROM messages WHERE conversation_id = ?", conversationId);
    this.#connection.run("DELETE FROM conversations WHERE conversation_id = ?", conversationId);
  }
}

function olderThan(before: Position | undefined): { condition: string; values: Value[] } {
  if (!before) return { condition: "", values: [] };
  return { condition: "AND (lamport, message_id) < (?, ?)", values: [signed(before.lamport), before.messageId] };
}

/** Each word in quotes, so that none is an operator of FTS5; the last also matches as the start of a word. */
function matchExpression(words: string[]): string {
  return `${words.map((word) => `"${word}"`).join(" ")} *`;
}
