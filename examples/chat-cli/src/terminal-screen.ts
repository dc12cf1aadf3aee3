import { on } from "node:events";
import { createInterface, type Interface, type Key } from "node:readline";
import { PassThrough } from "node:stream";
import type { Block, Screen } from "./screen.ts";

interface Printed {
  /** Row of its first line, counted from the start of the program. */
  top: number;
  rows: number;
}

/**
 * A terminal: the line that is being typed stays at the bottom, and everything else is printed above it. What has been printed
 * scrolls away as usual and is rewritten only while it is in sight.
 */
export class TerminalScreen implements Screen {
  readonly interactive = true;
  readonly #output = process.stdout;
  readonly #reader: Interface;
  readonly #ruler = new Ruler();
  readonly #printed = new Map<string, Printed>();
  /** Row in which the prompt begins, counted likewise. */
  #row = 0;
  #prompt = "";
  #closed = false;

  /** @param completions - what the tab key offers. */
  constructor(completions: readonly string[]) {
    const completer = (line: string): [string[], string] => [completions.filter((text) => text.startsWith(line)), line];
    this.#reader = createInterface({ input: process.stdin, output: this.#output, completer, prompt: "" });
    this.#reader.on("close", () => {
      this.#hidePrompt();
      this.#closed = true;
    });
    this.#reader.on("SIGINT", () => this.#interrupt());
    this.#reader.on("line", (line) => this.#eraseEntered(line));
    // After both it is not known any more what stands where.
    this.#output.on("resize", () => this.#printed.clear());
    process.stdin.on("keypress", (_text: string | undefined, key: Key) => {
      if (key.ctrl && key.name === "l") this.#printed.clear();
    });
  }

  print(text: string): void {
    this.#printRows(this.#wrap(text, 0));
  }

  printBlock(key: string, { text, indent }: Block): void {
    const wrapped = this.#wrap(text, indent);
    this.#printed.set(key, { top: this.#row, rows: this.#rowsOf(wrapped) });
    this.#printRows(wrapped);
  }

  update(key: string, { text, indent }: Block): void {
    if (this.#closed) return;
    const printed = this.#printed.get(key);
    const wrapped = this.#wrap(text, indent);
    if (printed?.rows !== this.#rowsOf(wrapped)) return;
    const up = this.#row - printed.top;
    const position = this.#reader.getCursorPos();
    const promptRows = this.#inputRows(this.#reader.line);
    if (up > this.#output.rows - promptRows) {
      this.#printed.delete(key);
      return;
    }
    const write = [
      "\x1b[?25l\r",
      `\x1b[${up + position.rows}A`,
      ...Array.from({ length: printed.rows }, () => "\x1b[2K\x1b[B"),
      `\x1b[${printed.rows}A`,
      wrapped,
      "\r",
      `\x1b[${up - printed.rows + 1 + position.rows}B`,
      position.cols > 0 ? `\x1b[${position.cols}C` : "",
      "\x1b[?25h",
    ];
    this.#output.write(write.join(""));
  }

  setPrompt(prompt: string): void {
    if (prompt === this.#prompt) return;
    this.#hidePrompt();
    this.#prompt = prompt;
    this.#reader.setPrompt(prompt);
    this.#showPrompt();
  }

  async *lines(): AsyncGenerator<string> {
    for await (const [line] of on(this.#reader, "line", { close: ["close"] })) yield line as string;
  }

  close(): void {
    this.#reader.close();
  }

  /** Ctrl-C empties the line, or ends the program if it is empty. */
  #interrupt(): void {
    if (this.#reader.line === "") {
      this.close();
      return;
    }
    this.#reader.write(null, { ctrl: true, name: "e" });
    this.#reader.write(null, { ctrl: true, name: "u" });
  }

  /** What was entered is shown as a message, or as the echo of a command: here it goes. */
  #eraseEntered(line: string): void {
    this.#output.write(`\x1b[${this.#inputRows(line)}A\r\x1b[J`);
    this.#showPrompt();
  }

  #hidePrompt(): void {
    if (this.#closed) return;
    const { rows } = this.#reader.getCursorPos();
    this.#output.write(`${rows > 0 ? `\x1b[${rows}A` : ""}\r\x1b[J`);
  }

  #showPrompt(): void {
    if (this.#closed) return;
    // How many rows are above the cursor, which readline would go up to redraw. It has no other way to be told that they are gone.
    (this.#reader as unknown as { prevRows: number }).prevRows = 0;
    this.#reader.prompt(true);
  }

  /** Readline goes to the next row when the last one is full. */
  #inputRows(line: string): number {
    return Math.floor(this.#ruler.width(this.#prompt + line) / this.#columns) + 1;
  }

  #printRows(wrapped: string): void {
    this.#hidePrompt();
    this.#row += this.#rowsOf(wrapped);
    this.#output.write(`${wrapped}\n`);
    this.#showPrompt();
  }

  /** Breaks lines between words. A word that fits in no line, such as a link, is left whole, so that it can be copied. */
  #wrap(text: string, indent: number): string {
    const margin = " ".repeat(indent);
    const lines: string[] = [];
    for (const [number, paragraph] of text.split("\n").entries()) {
      let line: string | undefined;
      for (const word of paragraph.split(" ")) {
        const begun = line ?? (number > 0 ? margin : "");
        const longer = line === undefined ? begun + word : `${begun} ${word}`;
        if (line === undefined || this.#ruler.width(longer) <= this.#columns) line = longer;
        else {
          lines.push(line);
          line = this.#ruler.width(margin + word) <= this.#columns ? margin + word : word;
        }
      }
      lines.push(line ?? "");
    }
    return lines.join("\n");
  }

  #rowsOf(text: string): number {
    const rows = text.split("\n").map((line) => Math.max(1, Math.ceil(this.#ruler.width(line) / this.#columns)));
    return rows.reduce((sum, count) => sum + count, 0);
  }

  get #columns(): number {
    return this.#output.columns || 80;
  }
}

/** Measures text in terminal columns the way readline does, by letting it: escape sequences count nothing, emoji count two. */
class Ruler {
  readonly #reader: Interface;

  constructor() {
    const output = Object.assign(new PassThrough(), { columns: Number.MAX_SAFE_INTEGER });
    this.#reader = createInterface({ input: new PassThrough(), output, terminal: true });
  }

  width(text: string): number {
    this.#reader.setPrompt(text);
    return this.#reader.getCursorPos().cols;
  }
}
