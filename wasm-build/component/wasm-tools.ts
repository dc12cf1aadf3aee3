import { parse as parseText } from "@bytecodealliance/jco-transpile/wasm-tools";

/** WebAssembly text to a binary. */
export async function parse(text: string): Promise<Uint8Array<ArrayBuffer>> {
  return Uint8Array.from(await parseText(text));
}
