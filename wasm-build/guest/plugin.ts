import type { Crypto } from "@chatsdk/core";

/** `[name, number, kind]`: a kind is the name of a scalar, or the index of a message. */
export type FieldTable = readonly [string, number, string | number];
/** A field and its label, or a oneof and its fields. */
export type MemberTable = readonly [...FieldTable, string] | readonly [string, readonly FieldTable[]];
export type MessageTable = readonly [typeName: string, members: readonly MemberTable[]];

/** What the plugin (../plugin) gives its guest. */
interface Plugin {
  crypto: Crypto;
  keccak256(data: Uint8Array): Uint8Array;
  protobuf: {
    /** Once, before all else. */
    define(messages: readonly MessageTable[]): void;
    create(message: number, init?: object): object;
    encode(message: number, value: object): Uint8Array;
    /** Throws if the bytes do not decode. */
    decode(message: number, bytes: Uint8Array, keepUnknown: boolean): object;
  };
  /** A method of `ModuleHost`: the host's result, status byte and all. */
  hostCall(method: number, request: Uint8Array): Uint8Array;
  /** Once, while the bundle is evaluated. `handle` gives a result; so do the last words, for what it cannot answer itself. */
  register(
    handle: (method: number, request: Uint8Array) => Uint8Array,
    lastWords: { tooLarge: Uint8Array; busy: Uint8Array; exhausted: Uint8Array },
  ): void;
}

export const plugin = (globalThis as unknown as { __chatsdk: Plugin }).__chatsdk;
