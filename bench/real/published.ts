import { createHash } from "node:crypto";
import { proto_message } from "@waku/proto";
import { storedMessages } from "../../bindings-ts/live/stored-messages.ts";
import { sqlite } from "../../bindings-ts/src/storage/sqlite/runtime.ts";

/** A WakuMessage on the shard. */
export interface Published {
  topic: string;
  /** Unix milliseconds, of the message. */
  atMs: number;
  /** Encoded, as nodes relay it. */
  bytes: number;
  /** Of those, field 21. */
  proofBytes: number;
  /** An envelope that was published before. */
  resend: boolean;
}

/** All that a node's store gives for content topics by the store protocol, oldest first. */
export async function published(websocket: string, topics: readonly string[]): Promise<Published[]> {
  const seen = new Set<string>();
  const messages = await storedMessages(websocket, [...new Set(topics)]);
  return messages
    .map((message) => ({ message, atMs: Number((message.timestamp ?? 0n) / 1_000_000n) }))
    .sort((a, b) => a.atMs - b.atMs)
    .map(({ message, atMs }) => {
      const envelope = createHash("sha256").update(message.payload).digest("base64");
      const resend = seen.has(envelope);
      seen.add(envelope);
      const bytes = encodedLength(message);
      const { rateLimitProof: _, ...bare } = message;
      return { topic: message.contentTopic, atMs, bytes, proofBytes: bytes - encodedLength(bare), resend };
    });
}

function encodedLength(message: Parameters<typeof proto_message.WakuMessage.encode>[0]): number {
  return proto_message.WakuMessage.encode(message).length;
}

/** What the node itself has in its file, of all topics: the messages as it encodes them for relays and clients. */
export function storedByNode(file: string): { messages: number; bytes: number } {
  const { DatabaseSync } = sqlite();
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const row = database.prepare("SELECT count(*) AS messages, sum(length(encoded)) AS bytes FROM message").get();
    return { messages: Number(row?.["messages"]), bytes: Number(row?.["bytes"] ?? 0) };
  } finally {
    database.close();
  }
}
