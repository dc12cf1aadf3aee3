import { plugin } from "./plugin.ts";
import { messages } from "chatsdk:schema";

/**
 * In place of `@bufbuild/protobuf`: all of it that the core and the generated glue use, by the plugin's native code. A schema is the index of
 * its message.
 */
plugin.protobuf.define(messages());

export const { create, encode: toBinary } = plugin.protobuf;

export function fromBinary(schema: number, bytes: Uint8Array, options?: { readUnknownFields?: boolean }): object {
  return plugin.protobuf.decode(schema, bytes, options?.readUnknownFields ?? true);
}
