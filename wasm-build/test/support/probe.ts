import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Crypto } from "@chatsdk/core";
import { bundle } from "../../bundle.mjs";
import { ModuleInstance } from "../../host/index.ts";
import { snapshot } from "../../snapshot.mjs";
import { fromJson, toJson } from "./plain.ts";

/** The plugin with the probe in place of the core. */
export class Probe {
  readonly #instance: ModuleInstance;

  private constructor(instance: ModuleInstance) {
    this.#instance = instance;
  }

  static async load(): Promise<Probe> {
    const plugin = readFileSync(new URL("../../plugin.wasm", import.meta.url));
    const { source } = await bundle(fileURLToPath(new URL("probe-guest.ts", import.meta.url)));
    const hostCall = () => new Uint8Array();
    return new Probe(await ModuleInstance.load(await snapshot(plugin, source), { hostCall }));
  }

  /** Throws what the guest threw, by kind and message. */
  ask(name: string, ...parameters: unknown[]): unknown {
    const request = Buffer.from(toJson([name, ...parameters]));
    const { answer, error } = fromJson(Buffer.from(this.#instance.call(0, request)).toString()) as Answer;
    if (error) throw Object.assign(error.name === "RangeError" ? new RangeError() : new Error(), error);
    return answer;
  }

  /** The primitives of the plugin. */
  get crypto(): Crypto {
    const call =
      (_: unknown, name: string) =>
      (...parameters: unknown[]) =>
        this.ask("crypto", name, ...parameters);
    return new Proxy({}, { get: call }) as Crypto;
  }
}

interface Answer {
  answer?: unknown;
  error?: { name: string; message: string };
}
