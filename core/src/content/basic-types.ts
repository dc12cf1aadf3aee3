import { fromBinary } from "@bufbuild/protobuf";
import {
  type AttachmentReference,
  AttachmentReferenceSchema,
  ReactionSchema,
  ReadReceiptSchema,
  ReplySchema,
  TextSchema,
} from "@chatsdk/abi/content_pb";
import type { ContentFrame } from "@chatsdk/abi/wire_pb";

/** Domain of the SDK's own types. */
export const BASIC_DOMAIN = 0;
/** Tags in that domain, and the version of each that this SDK writes. */
export const BasicTag = { text: 1, reply: 2, reaction: 3, readReceipt: 4, attachmentReference: 5 } as const;
export const BASIC_VERSION = 1;

/** What the core itself needs of a content: text to search, the message it refers to. */
export interface ContentSummary {
  text?: string;
  refersTo?: string;
}

/**
 * Reads basic types. Contents of other domains, of unknown tags or of newer versions are opaque: they are stored as they came
 * and give an empty summary; so does a basic type that does not decode (the application sees its bytes).
 */
export function summarize(content: Pick<ContentFrame, "domain" | "tag" | "version" | "payload">): ContentSummary {
  if (content.domain !== BASIC_DOMAIN || content.version > BASIC_VERSION) return {};
  try {
    switch (content.tag) {
      case BasicTag.text:
        return { text: fromBinary(TextSchema, content.payload).text };
      case BasicTag.reply: {
        const reply = fromBinary(ReplySchema, content.payload);
        return { text: reply.text, refersTo: reply.messageId };
      }
      case BasicTag.reaction:
        return { refersTo: fromBinary(ReactionSchema, content.payload).messageId };
      case BasicTag.attachmentReference:
        return { text: fromBinary(AttachmentReferenceSchema, content.payload).name };
      default:
        return {};
    }
  } catch {
    return {};
  }
}

/**
 * What a sender may not leave out of a basic type, with the remedy; `undefined`: nothing is wrong. What this SDK does not know, newer types and
 * versions among it, passes.
 */
export function basicDefect(content: Pick<ContentFrame, "domain" | "tag" | "version" | "payload">): string | undefined {
  const { domain, tag, version, payload } = content;
  if (domain !== BASIC_DOMAIN || version > BASIC_VERSION) return undefined;
  if (tag === 0 && payload.length === 0) return "content: empty; give it a kind, or a domain and a tag";
  try {
    switch (tag) {
      case BasicTag.reply:
        return messageIdDefect("reply", fromBinary(ReplySchema, payload));
      case BasicTag.reaction:
        return messageIdDefect("reaction", fromBinary(ReactionSchema, payload));
      case BasicTag.attachmentReference:
        return attachmentDefect(fromBinary(AttachmentReferenceSchema, payload));
      default:
        return undefined;
    }
  } catch {
    // The application sees its bytes.
    return undefined;
  }
}

function messageIdDefect(type: string, { messageId }: { messageId: string }): string | undefined {
  return messageId === "" ? `content.${type}.message_id: empty; name the message it is about` : undefined;
}

function attachmentDefect({ url, digest, key, nonce }: AttachmentReference): string | undefined {
  const field = "content.attachment_reference";
  if (url === "") return `${field}.url: empty; name where the ciphertext is`;
  for (const [name, bytes, length] of [
    ["digest", digest, 32],
    ["key", key, 32],
    ["nonce", nonce, 12],
  ] as const)
    if (bytes.length !== length) return `${field}.${name}: ${bytes.length} bytes, must be ${length}`;
  return undefined;
}

const MESSAGE_ID = /^[\w-]{16}$/;

/** The message up to which the peer has read, if the content is a read receipt. One of an id that no message has is opaque. */
export function readReceiptOf(
  content: Pick<ContentFrame, "domain" | "tag" | "version" | "payload">,
): string | undefined {
  if (content.domain !== BASIC_DOMAIN || content.tag !== BasicTag.readReceipt || content.version > BASIC_VERSION)
    return undefined;
  try {
    const { messageId } = fromBinary(ReadReceiptSchema, content.payload);
    return MESSAGE_ID.test(messageId) ? messageId : undefined;
  } catch {
    return undefined;
  }
}
