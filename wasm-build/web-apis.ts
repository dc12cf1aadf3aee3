// Asks the guest which interfaces of the Web and of JavaScript it has, and prints the table of README.md.
import { pathToFileURL } from "node:url";
import { Probe } from "./test/support/probe.ts";

const NAMES = [
  ...["BigInt", "Map", "Proxy", "RegExp", "Symbol", "Uint8Array", "DataView", "JSON", "Promise", "Reflect", "eval"],
  ...["Date", "Intl", "WeakMap", "WeakRef", "FinalizationRegistry", "SharedArrayBuffer", "Atomics", "WebAssembly"],
  ...["TextEncoder", "TextDecoder", "TextEncoder.prototype.encodeInto", "console", "console.log", "console.error"],
  ...["crypto", "crypto.getRandomValues", "crypto.subtle", "Math.random", "performance", "queueMicrotask"],
  ...["setTimeout", "structuredClone", "atob", "btoa", "URL", "fetch", "AbortController", "Event", "Blob"],
  ...["String.prototype.isWellFormed", "Array.fromAsync", "Uint8Array.fromBase64", "Uint8Array.prototype.toHex"],
];

/** The table in Markdown. */
export async function webApis(): Promise<string> {
  const probe = await Probe.load();
  const has = (name: string): boolean => {
    const parts = name.split(".");
    const paths = parts.map((_, index) => parts.slice(0, index + 1).join("."));
    return paths.every((path) => probe.ask("evaluate", `typeof ${path}`) !== "undefined");
  };
  const list = (present: boolean): string =>
    NAMES.filter((name) => has(name) === present)
      .map((name) => `\`${name}\``)
      .join(", ");
  return ["| | |", "|---|---|", `| there | ${list(true)} |`, `| missing | ${list(false)} |`].join("\n");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) console.log(await webApis());
