import {
  create,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { type Content, ContentSchema } from "@chatsdk/abi/api_pb";
import {
  AttachmentReferenceSchema,
  ReactionSchema,
  ReadReceiptSchema,
  ReplySchema,
  TextSchema,
} from "@chatsdk/abi/content_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { BASIC_DOMAIN, BASIC_VERSION, BasicTag, ChatError } from "@chatsdk/core";

/** What names a content type on the wire. */
export interface ContentTypeId {
  /** Who defines the tag: 0 is this SDK; take a random number below 2^32 for your application. */
  domain: number;
  /** Which type of that domain. */
  tag: number;
  /** Version of the encoding that `encode` writes, from 1. */
  version: number;
}

/** How values of a type become bytes. */
export interface ContentCodec<Value> extends ContentTypeId {
  encode(value: Value): Uint8Array;
  /** `version` is the one the bytes were written with, at most the codec's own. May throw. */
  decode(payload: Uint8Array, version: number): Value;
}

/** A content on its way out, or as it came in. */
export interface ContentBytes extends ContentTypeId {
  payload: Uint8Array;
}

/**
 * A content type (F5): the SDK's basic ones below, or your own:
 *
 * ```ts
 * const Move = new ContentType<{ from: string; to: string }>({
 *   domain: 0x63686573, tag: 1, version: 1,
 *   encode: (move) => new TextEncoder().encode(JSON.stringify(move)),
 *   decode: (payload) => JSON.parse(new TextDecoder().decode(payload)),
 * });
 * await client.send(conversationId, Move.of({ from: "e2", to: "e4" }));
 * const move = Move.read(message);
 * ```
 *
 * Nothing is registered: a message of a type this program does not know is stored as it came and can be read by a later version that
 * knows it.
 */
export class ContentType<Value> {
  readonly #codec: ContentCodec<Value>;

  constructor(codec: ContentCodec<Value>) {
    this.#codec = codec;
  }

  /** A content to send. */
  of(value: Value): Content {
    const { domain, tag, version } = this.#codec;
    return create(ContentSchema, { domain, tag, version, payload: this.#codec.encode(value) });
  }

  /** True if the content is of this type, in a version this type reads. */
  matches(content: ContentTypeId): boolean {
    const { domain, tag, version } = this.#codec;
    return content.domain === domain && content.tag === tag && content.version <= version;
  }

  /** The value; `undefined` if the content is of another type, of a newer version, or not decodable. */
  read(content: ContentBytes): Value | undefined {
    if (!this.matches(content)) return undefined;
    try {
      return this.#codec.decode(content.payload, content.version);
    } catch {
      return undefined;
    }
  }
}

type Fields<Shape extends Message> = Omit<Shape, "$typeName" | "$unknown">;

function basicType<Shape extends Message>(schema: GenMessage<Shape>, tag: number): ContentType<Fields<Shape>> {
  return new ContentType<Fields<Shape>>({
    domain: BASIC_DOMAIN,
    tag,
    version: BASIC_VERSION,
    encode: (value) =>
      toBinary(schema, create(schema, value as MessageInitShape<GenMessage<Shape>>) as MessageShape<GenMessage<Shape>>),
    decode: (payload) => fromBinary(schema, payload) as Shape,
  });
}

/** Plain text. */
export const Text = basicType(TextSchema, BasicTag.text);
/** Text that answers a message. */
export const Reply = basicType(ReplySchema, BasicTag.reply);
/** A reaction to a message; an empty one takes the earlier one back. */
export const Reaction = basicType(ReactionSchema, BasicTag.reaction);
/** Everything up to a message has been read; sent by `ChatClient.markRead`. */
export const ReadReceipt = basicType(ReadReceiptSchema, BasicTag.readReceipt);
/** A file kept elsewhere, with its key. */
export const AttachmentReference = basicType(AttachmentReferenceSchema, BasicTag.attachmentReference);

/** What the sending calls take: a string is a text. */
export type Sendable = string | Content;

export function toContent(content: Sendable): Content {
  if (typeof content === "string") {
    if (content === "")
      throw new ChatError(ErrorCode.INVALID_ARGUMENT, "content: empty text; give at least one character");
    return Text.of({ text: content });
  }
  return content;
}
