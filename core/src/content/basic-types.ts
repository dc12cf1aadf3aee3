import { fromBinary } from "@bufbuild/protobuf";
import {
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

/** The message up to which the peer has read, if the content is a read receipt. */
export function readReceiptOf(
  content: Pick<ContentFrame, "domain" | "tag" | "version" | "payload">,
): string | undefined {
  if (content.domain !== BASIC_DOMAIN || content.tag !== BasicTag.readReceipt || content.version > BASIC_VERSION)
    return undefined;
  try {
    return fromBinary(ReadReceiptSchema, content.payload).messageId;
  } catch {
    return undefined;
  }
}
