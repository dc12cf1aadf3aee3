// Evaluated in the plugin in place of the core: lets a test call what the plugin gives its guest, and see what the guest has. Requests and
// answers are JSON; none of this is in the module that is shipped.
import { plugin } from "../../guest/plugin.ts";
import "../../guest/protobuf.ts";
import { fromJson, toJson } from "./plain.ts";

const { crypto, keccak256, protobuf } = plugin;

const probes: Record<string, (...parameters: never[]) => unknown> = {
  crypto: (name: keyof typeof crypto, ...parameters: unknown[]) =>
    (crypto[name] as (...parameters: unknown[]) => unknown)(...parameters),
  keccak256,
  decode: protobuf.decode,
  encode: (message: number, bytes: Uint8Array) => protobuf.encode(message, protobuf.decode(message, bytes, true)),
  create: (message: number, init: object) => protobuf.encode(message, protobuf.create(message, init)),
  evaluate: (expression: string) => new Function(`return (${expression})`)(),
  recurse: function recurse(): number {
    return recurse() + 1;
  },
  exhaust: () => {
    const kept: Uint8Array[] = [];
    for (;;) kept.push(new Uint8Array(1 << 20));
  },
};

function handle(_: number, request: Uint8Array): Uint8Array {
  return new TextEncoder().encode(`\0${answerTo(new TextDecoder().decode(request))}`);
}

function answerTo(request: string): string {
  try {
    const [name, ...parameters] = fromJson(request) as [string, ...never[]];
    return toJson({ answer: probes[name]!(...parameters) });
  } catch (error) {
    const { name, message } = error as Error;
    return toJson({ error: { name, message } });
  }
}

const nothing = new Uint8Array(1);
plugin.register(handle, { tooLarge: nothing, busy: nothing, exhausted: nothing });
