import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** An acknowledgement may take a minute. */
const PATIENCE_MS = 90_000;

/** An example under test: a process whose output is awaited piece by piece. */
export class Program {
  output = "";
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<unknown>;
  /** What comes before this was matched already. */
  #from = 0;

  /** @param file - path within the folder of the examples. */
  constructor(file: string, args: readonly string[], env: Record<string, string> = {}) {
    const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
    this.#child = spawn(process.execPath, [path, ...args], { env: { ...process.env, NO_COLOR: "1", ...env } });
    this.#ended = once(this.#child, "close");
    const take = (text: string): void => {
      this.output += text;
    };
    this.#child.stdout.setEncoding("utf8").on("data", take);
    this.#child.stderr.setEncoding("utf8").on("data", take);
    this.#child.stdin.on("error", () => {});
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Waits for a pattern in what has been printed since the last one that was waited for. Returns its first group, or all of it. */
  async until(pattern: RegExp): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const match = pattern.exec(this.output.slice(this.#from));
      if (match) {
        this.#from += match.index + match[0].length;
        return match[1] ?? match[0];
      }
      if (Date.now() > deadline || this.#hasEnded) throw new Error(`${pattern} did not come; output:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends the input and waits for the end of the process. Returns its exit status. */
  async end(): Promise<number | null> {
    this.#child.stdin.end();
    await this.#ended;
    return this.#child.exitCode;
  }

  async kill(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    await this.#ended;
    return this.#child.exitCode;
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}
