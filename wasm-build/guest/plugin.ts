import type { Crypto } from "@chatsdk/core";

/** What the plugin (../plugin) gives its guest. */
interface Plugin {
  crypto: Crypto;
  keccak256(data: Uint8Array): Uint8Array;
  /** A method of `ModuleHost`: the host's result, status byte and all. */
  hostCall(method: number, request: Uint8Array): Uint8Array;
  /** Once, while the bundle is evaluated. `handle` gives a result; so do the last words, for what it cannot answer itself. */
  register(
    handle: (method: number, request: Uint8Array) => Uint8Array,
    lastWords: { tooLarge: Uint8Array; busy: Uint8Array; exhausted: Uint8Array },
  ): void;
}

export const plugin = (globalThis as unknown as { __chatsdk: Plugin }).__chatsdk;
