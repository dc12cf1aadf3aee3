import { ChatError } from "@chatsdk/core";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { Change } from "@chatsdk/abi/host_pb";

const TAG_LENGTH = 8;
const LARGEST_LIMIT = 1000;

/** Throws INTERNAL for changes no core makes: with them refused up front, applying the others cannot fail halfway for its input. */
export function checkChanges(changes: readonly Change[]): void {
  for (const [index, { change }] of changes.entries()) {
    switch (change.case) {
      case undefined:
        throw defect(`changes[${index}]: no change this version knows`);
      case "put":
        checkKey(change.value.key, `changes[${index}].put.key`);
        break;
      case "addTags":
        checkKey(change.value.key, `changes[${index}].addTags.key`);
        checkTags(change.value.tags, `changes[${index}].addTags.tags`);
        break;
      case "removeTags":
        checkTags(change.value, `changes[${index}].removeTags`);
        break;
      case "putMessage":
        checkKey(change.value.conversationId, `changes[${index}].putMessage.conversationId`);
        checkKey(change.value.messageId, `changes[${index}].putMessage.messageId`);
        break;
      case "putConversation":
        checkKey(change.value.conversationId, `changes[${index}].putConversation.conversationId`);
        break;
      default:
        break;
    }
  }
}

function checkTags(tags: Uint8Array, field: string): void {
  if (tags.length % TAG_LENGTH !== 0)
    throw defect(`${field}: ${tags.length} bytes, must be a multiple of ${TAG_LENGTH}`);
}

/** Throws INVALID_ARGUMENT unless `limit` is a whole number from 1 to 1,000. */
export function checkLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > LARGEST_LIMIT) {
    throw new ChatError(
      ErrorCode.INVALID_ARGUMENT,
      `limit: ${limit}, must be a whole number from 1 to ${LARGEST_LIMIT}`,
    );
  }
}

/** The 8-byte tags of a change. */
export function* eachTag(tags: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < tags.length; start += TAG_LENGTH) yield tags.subarray(start, start + TAG_LENGTH);
}

/** A NUL would cut the key short where SQLite's C strings are read. */
function checkKey(key: string, field: string): void {
  if (key === "" || key.includes("\0")) throw defect(`${field}: empty, or holds a NUL`);
}

function defect(message: string): ChatError {
  return new ChatError(ErrorCode.INTERNAL, `${message}; report this`);
}
