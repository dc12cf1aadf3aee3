import {
  AttachmentReference,
  type ChatMessage,
  ContentType,
  Reaction,
  ReadReceipt,
  Reply,
  type Sendable,
  Text,
} from "@chatsdk/client";

/** JSON of what the client returns: bytes as hexadecimal, 64-bit numbers and times as decimal strings. */
export function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (value instanceof Date) return String(value.getTime());
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== "object" || value === null) return value;
  const content = isMessage(value) ? readContent(value) : undefined;
  const fields = Object.entries({ ...value, ...(content && { content }) });
  return Object.fromEntries(fields.map(([name, field]) => [name, toJson(field)]));
}

function isMessage(value: object): value is ChatMessage {
  return "lamport" in value && "payload" in value;
}

export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Throws if the text is not hexadecimal. */
export function fromHex(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new Error(`${text.slice(0, 20)}: not lower-case hexadecimal`);
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** An application's own type. */
const Move = new ContentType<{ from: string; to: string }>({
  domain: 0x63686573,
  tag: 1,
  version: 1,
  encode: ({ from, to }) => new TextEncoder().encode(JSON.stringify({ from, to })),
  decode: (payload) => JSON.parse(new TextDecoder().decode(payload)) as { from: string; to: string },
});

/** A content in requests and in messages. */
export type ContentJson =
  | { text: string }
  | { reply: { messageId: string; text: string } }
  | { reaction: { messageId: string; reaction: string } }
  | { readReceipt: { messageId: string } }
  | { attachment: AttachmentJson }
  | { move: { from: string; to: string } }
  | { domain: number; tag: number; version: number; payload: string };

interface AttachmentJson {
  url: string;
  mediaType: string;
  size: string;
  digest: string;
  key: string;
  nonce: string;
  name: string;
}

export function toSendable(content: ContentJson): Sendable {
  if ("text" in content) return content.text;
  if ("reply" in content) return Reply.of(content.reply);
  if ("reaction" in content) return Reaction.of(content.reaction);
  if ("readReceipt" in content) return ReadReceipt.of(content.readReceipt);
  if ("move" in content) return Move.of(content.move);
  if ("attachment" in content) {
    const { size, digest, key, nonce, ...rest } = content.attachment;
    const bytes = { digest: fromHex(digest), key: fromHex(key), nonce: fromHex(nonce) };
    return AttachmentReference.of({ ...rest, ...bytes, size: BigInt(size) });
  }
  const { domain, tag, version, payload } = content;
  return { $typeName: "chatsdk.v1.Content", domain, tag, version, payload: fromHex(payload) };
}

const TYPES = {
  reply: Reply,
  reaction: Reaction,
  readReceipt: ReadReceipt,
  attachment: AttachmentReference,
  move: Move,
};

/** What a message says, if it is of a type that is known here. */
function readContent(message: ChatMessage): Record<string, unknown> | undefined {
  const text = Text.read(message);
  if (text) return { text: text.text };
  for (const [name, type] of Object.entries(TYPES)) {
    const value = type.read(message) as Record<string, unknown> | undefined;
    if (!value) continue;
    const { $typeName: _, $unknown: __, ...fields } = value;
    return { [name]: fields };
  }
  return undefined;
}
