import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** Linux counts processor time in ticks of 10 ms (`USER_HZ`). */
const TICK_MS = 10;

/** How long something took since the program's start. */
export interface Took {
  wallMs: number;
  /** Processor time of all its threads; `undefined` where the system does not say. */
  cpuMs: number | undefined;
}

/** A program that prints lines. */
export class Program {
  readonly #start = performance.now();
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #closed: Promise<unknown[]>;

  constructor([command, ...args]: readonly string[], env: Record<string, string>) {
    this.#child = spawn(command!, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env } });
    this.#closed = once(this.#child, "close");
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#child.spawnfile} ended too early: exit status ${(await this.#closed)[0]}`);
    return value;
  }

  write(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  took(): Took {
    return { wallMs: performance.now() - this.#start, cpuMs: this.#cpuMs() };
  }

  #cpuMs(): number | undefined {
    if (process.platform !== "linux") return undefined;
    // After the name in brackets, which may hold spaces: fields 14 and 15 of proc_pid_stat(5).
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }

  /** Ends its input and waits for its end. */
  async end(): Promise<void> {
    this.#child.stdin.end();
    const [status] = await this.#closed;
    if (status !== 0) throw new Error(`${this.#child.spawnfile}: exit status ${status}`);
  }
}
