import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError, Rejected } from "./errors.ts";

/** Decodes what came from the network. Unknown fields are dropped: they must not travel on into stored state. */
export function decode<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array, what: string): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch {
    throw new Rejected(`${what}: not decodable`);
  }
}

/** Decodes what this machine itself has stored; `place` names it in the error. */
export function decodeStored<Desc extends DescMessage>(
  schema: Desc,
  bytes: Uint8Array,
  place: string,
): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes);
  } catch {
    throw new ChatError(ErrorCode.DATABASE_CORRUPT, `${place}: not decodable; restore a backup`);
  }
}

/** Refuses a field of another length. */
export function checkLength(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length !== length) throw new Rejected(`${what}: ${bytes.length} bytes, not ${length}`);
}

export function encode<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Uint8Array {
  return toBinary(schema, message);
}
