import { on } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Block, Screen } from "./screen.ts";

/** For pipes and files. */
export class PlainScreen implements Screen {
  readonly interactive = false;
  readonly #reader: Interface = createInterface({ input: process.stdin });

  print(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  printBlock(_key: string, { text, indent }: Block): void {
    this.print(text.replaceAll("\n", `\n${" ".repeat(indent)}`));
  }

  update(): void {}

  setPrompt(): void {}

  async *lines(): AsyncGenerator<string> {
    for await (const [line] of on(this.#reader, "line", { close: ["close"] })) yield line as string;
  }

  close(): void {
    this.#reader.close();
  }
}
