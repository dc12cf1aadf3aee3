import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

export const LANGUAGES = ["ts", "go", "rust"] as const;
export type Language = (typeof LANGUAGES)[number];

/** JSON as it travels: see PROTOCOL.md. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

/** The first line of an agent. */
export interface Ready {
  language: string;
  /** Which addresses of a service node it wants. */
  address: "tcp" | "ws";
  transports: string[];
  contractHash?: string;
}

/** A call that failed. */
export class AgentError extends Error {
  override readonly name = "AgentError";
  constructor(
    readonly code: string,
    message: string,
    readonly retryable: boolean,
  ) {
    super(`${code}: ${message}`);
  }
}

/** Sees what an agent writes and is told. */
export interface AgentListener {
  onEvent(event: JsonObject): void;
  /** One line of the conversation between test and agent, with its direction. */
  onLine(line: string): void;
}

interface Waiting {
  resolve(result: Json): void;
  reject(error: Error): void;
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const START_TIMEOUT_MS = 60_000;
const CALL_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const COMPLAINTS = 4000;

export interface AgentOptions {
  /** `open` takes `rln`: for Go and Rust a program of its own, which links the prover. */
  rln?: boolean;
}

/** Programs in .cache/bin. */
const PROGRAMS = {
  go: { plain: "agent-go", rln: "agent-go-rln" },
  rust: { plain: "agent-rust", rln: "agent-rust-rln" },
};

/** The program and its arguments. */
export function commandOf(language: Language, { rln = false }: AgentOptions = {}): [string, string[]] {
  if (language === "ts") {
    const agent = fileURLToPath(new URL("agent.ts", import.meta.url));
    const flags = ["--disable-warning=ExperimentalWarning", "--conditions=source", "--experimental-transform-types"];
    return [process.execPath, [...flags, agent]];
  }
  const binary = `${ROOT}.cache/bin/${PROGRAMS[language][rln ? "rln" : "plain"]}`;
  if (!existsSync(binary)) throw new Error(`${binary} is missing: run node scripts/setup.mjs --tests`);
  return [binary, []];
}

/** An agent of any language, in a process of its own. */
export class AgentProcess {
  readonly language: Language;
  listener: AgentListener | undefined;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ended: Promise<string>;
  readonly #waiting = new Map<number, Waiting>();
  #ready: Ready | undefined;
  #announce: (ready: Ready) => void = () => {};
  #complaints = "";
  #requests = 0;
  #end: string | undefined;

  private constructor(language: Language, stateFolder: string, options: AgentOptions) {
    this.language = language;
    const [command, args] = commandOf(language, options);
    const env = { ...process.env, XDG_STATE_HOME: stateFolder };
    this.#child = spawn(command, args, { cwd: ROOT, env, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdin.on("error", () => undefined);
    this.#child.stderr.on("data", (data: Buffer) => {
      this.#complaints = (this.#complaints + data.toString()).slice(-COMPLAINTS);
    });
    createInterface(this.#child.stdout).on("line", (line) => this.#take(line));
    this.#ended = once(this.#child, "close").then(([code, signal]) => this.#fail(String(code ?? signal)));
  }

  /** @param stateFolder - where its SDK keeps the rollback anchors. */
  static async start(language: Language, stateFolder: string, options: AgentOptions = {}): Promise<AgentProcess> {
    const agent = new AgentProcess(language, stateFolder, options);
    const announced = new Promise<Ready>((resolve) => {
      agent.#announce = resolve;
    });
    const timer = setTimeout(() => agent.#child.kill("SIGKILL"), START_TIMEOUT_MS);
    agent.#ready = await Promise.race([
      announced,
      agent.#ended.then((end) => {
        throw new Error(`agent ${language} ended with ${end} before it was ready: ${agent.#complaints}`);
      }),
    ]);
    clearTimeout(timer);
    return agent;
  }

  get ready(): Ready {
    return this.#ready!;
  }

  get isRunning(): boolean {
    return this.#end === undefined;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it wrote to its standard error, the last of it. */
  get complaints(): string {
    return this.#complaints;
  }

  /** Rejects with an `AgentError` if the agent says so, with another error if it ends or does not answer. */
  call(method: string, params: JsonObject = {}): Promise<Json> {
    if (this.#end !== undefined) return Promise.reject(new Error(`agent ${this.language} has ended with ${this.#end}`));
    const id = ++this.#requests;
    const line = JSON.stringify({ id, method, params });
    this.listener?.onLine(`→ ${line}`);
    return new Promise<Json>((resolve, reject) => {
      const late = () => this.#settle(id)?.reject(new Error(`agent ${this.language}: no answer to ${method}`));
      const timer = setTimeout(late, CALL_TIMEOUT_MS);
      this.#waiting.set(id, {
        resolve(result) {
          clearTimeout(timer);
          resolve(result);
        },
        reject(error) {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#child.stdin.write(`${line}\n`);
    });
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #take(line: string): void {
    this.listener?.onLine(`← ${line}`);
    const message = JSON.parse(line) as JsonObject;
    if (message["ready"] !== undefined) this.#announce(message["ready"] as unknown as Ready);
    else if (message["event"] !== undefined) this.listener?.onEvent(message["event"] as JsonObject);
    else this.#answer(message, line);
  }

  #answer({ id, result, error }: JsonObject, line: string): void {
    const waiting = this.#settle(Number(id));
    if (!waiting) throw new Error(`agent ${this.language} answers what was not asked: ${line}`);
    if (error === undefined) return waiting.resolve(result!);
    const { code, message, retryable } = error as JsonObject;
    waiting.reject(new AgentError(String(code), String(message), retryable === true));
  }

  #fail(end: string): string {
    this.#end = end;
    for (const id of [...this.#waiting.keys()])
      this.#settle(id)?.reject(new Error(`agent ${this.language} ended with ${end}: ${this.#complaints}`));
    return end;
  }

  /** SIGKILL, or another signal; resolves when the process has ended. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<string> {
    this.#child.kill(signal);
    return this.#ended;
  }

  /** Ends its input and waits for a clean end; anything but exit 0 is an error. */
  async stop(): Promise<void> {
    const force = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    this.#child.stdin.end();
    const end = await this.#ended;
    clearTimeout(force);
    if (end !== "0") throw new Error(`agent ${this.language} ended with ${end}: ${this.#complaints}`);
  }
}
