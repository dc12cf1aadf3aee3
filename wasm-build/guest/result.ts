import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { FailureSchema } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError } from "@chatsdk/core";

/** The status byte of a result (abi/ABI.md). */
const SUCCESS = 0;
const FAILURE = 1;

export function success<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Uint8Array {
  return result(SUCCESS, toBinary(schema, message));
}

export function failure(error: unknown): Uint8Array {
  const { code, message, retryable } = error instanceof ChatError ? error : defect(error);
  return result(FAILURE, toBinary(FailureSchema, create(FailureSchema, { code, message, retryable })));
}

/** The response in a host's result; its failure is thrown. */
export function responseOf<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  const body = bytes.subarray(1);
  if (bytes[0] === SUCCESS) return fromBinary(schema, body, { readUnknownFields: false });
  if (bytes[0] !== FAILURE) throw new ChatError(ErrorCode.INTERNAL, "the host's result has no known status; report this");
  const { code, message, retryable } = fromBinary(FailureSchema, body);
  throw new ChatError(code, message, { retryable });
}

function result(status: number, message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + message.length);
  bytes[0] = status;
  bytes.set(message, 1);
  return bytes;
}

/** An exception's text may hold what the application wrote, or a key: only its kind and its place leave the module. */
function defect(error: unknown): ChatError {
  const { name, stack } = error instanceof Error ? error : { name: typeof error, stack: "" };
  const place = stack?.trim().split("\n").slice(0, 4).map((line) => line.trim()).join(", ");
  return new ChatError(ErrorCode.INTERNAL, `a defect of the SDK; report this: ${name} ${place}`);
}
