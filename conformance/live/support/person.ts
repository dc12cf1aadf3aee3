import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ChatClient, ChatEvent } from "@chatsdk/client";
import { type Note, readDiary } from "./diary.ts";
import type { Death } from "./noted-parts.ts";
import type { Answer, Call, FromWorker, Stream, WorkerSettings } from "./worker.ts";

const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");

/** A process whose client is closed ends by itself within this. */
const END_MS = 15_000;

type Method = {
  [Name in string & keyof ChatClient]: ChatClient[Name] extends (...args: never[]) => Promise<unknown> ? Name : never;
}[string & keyof ChatClient];

/** Workers run what is compiled: brings it up to date. Takes two seconds when it is. */
export function compilePackages(): void {
  const { status, stdout } = spawnSync(process.execPath, [TSC, "-b", "abi", "core", "bindings-ts"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`tsc -b: ${stdout}`);
}

/** Somebody with a database, and the process that has it open, if one runs. */
export class Person {
  readonly name: string;
  readonly #folder: string;
  readonly #settings: Partial<WorkerSettings> & Pick<WorkerSettings, "peers">;
  #process: Process | undefined;
  #earlierNotes = 0;
  /** Of all processes, in the order in which they came. */
  readonly events: ChatEvent[] = [];

  constructor(name: string, folder: string, settings: Partial<WorkerSettings> & Pick<WorkerSettings, "peers">) {
    this.name = name;
    this.#folder = folder;
    this.#settings = settings;
  }

  get path(): string {
    return join(this.#folder, `${this.name}.db`);
  }

  /** Of all processes. */
  get notes(): Note[] {
    return readDiary(this.#diary);
  }

  /** Of the last process. */
  get latestNotes(): Note[] {
    return this.notes.slice(this.#earlierNotes);
  }

  get #diary(): string {
    return join(this.#folder, `${this.name}.diary`);
  }

  get running(): boolean {
    return this.#process?.ended === false;
  }

  /** Starts a process; resolves once it exists, not once the client is open. */
  launch(settings: Partial<WorkerSettings> = {}): void {
    if (this.running) throw new Error(`${this.name} runs already`);
    this.#earlierNotes = this.notes.length;
    const all: WorkerSettings = { ...this.#settings, ...settings, path: this.path, diary: this.#diary };
    this.#process = new Process(all, this.#folder, (event) => this.events.push(event));
  }

  /** Starts a process and waits until its client is open. */
  async start(settings: Partial<WorkerSettings> = {}): Promise<this> {
    this.launch(settings);
    await this.opened();
    return this;
  }

  async opened(): Promise<void> {
    await this.#live.ready;
  }

  /** The process begins to open its client. */
  async begun(): Promise<void> {
    await this.#live.begun;
  }

  get #live(): Process {
    if (!this.#process) throw new Error(`${this.name} does not run`);
    return this.#process;
  }

  /** A method of the client. */
  async call<Name extends Method>(
    method: Name,
    ...args: Parameters<ChatClient[Name]>
  ): Promise<Awaited<ReturnType<ChatClient[Name]>>> {
    return (await this.#live.call(method, args)) as Awaited<ReturnType<ChatClient[Name]>>;
  }

  async online(): Promise<boolean> {
    return (await this.#live.call("online", [])) as boolean;
  }

  /** Sends on its own, see `Stream`. */
  async stream(stream: Stream): Promise<void> {
    await this.#live.call("stream", [stream]);
  }

  async sentCount(): Promise<number> {
    return (await this.#live.call("sentCount", [])) as number;
  }

  /** Has the process kill itself; see `ended`. */
  async die(death: Death): Promise<void> {
    await this.#live.call("die", [death]);
  }

  /** SIGKILL, now. */
  async kill(): Promise<void> {
    await this.#live.kill();
  }

  /** How the process ended: true if by SIGKILL. Rejects with its last words if otherwise. */
  async ended(): Promise<void> {
    await this.#live.killed;
  }

  /** Closes the client; the process ends by itself. */
  async close(): Promise<void> {
    if (this.running) await this.#live.close();
  }

  /** For the end of a test, whatever state it is in. */
  async remove(): Promise<void> {
    if (this.running) await this.kill().catch(() => undefined);
  }

  get received(): Extract<ChatEvent, { type: "messageReceived" }>["message"][] {
    return this.events.flatMap((event) => (event.type === "messageReceived" ? [event.message] : []));
  }

  /** Ids of messages that reached a status. */
  withStatus(status: string): string[] {
    return this.events.flatMap((event) =>
      event.type === "messageStatusChanged" && event.status === status ? [event.messageId] : [],
    );
  }
}

class Process {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  readonly #exit: Promise<string>;
  readonly #begun = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<void>();
  #count = 0;
  #stderr = "";
  ended = false;

  constructor(settings: WorkerSettings, folder: string, onEvent: (event: ChatEvent) => void) {
    this.#child = fork(WORKER, [JSON.stringify(settings)], {
      execArgv: ["--disable-warning=ExperimentalWarning"],
      serialization: "advanced",
      stdio: ["ignore", "inherit", "pipe", "ipc"],
      // The rollback anchor lives there.
      env: { ...process.env, NODE_OPTIONS: "", XDG_STATE_HOME: folder, ...settings.environment },
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4000);
    });
    const stages = [this.#begun, this.#ready];
    for (const { promise } of stages) promise.catch(() => undefined);
    this.#child.on("message", (message: FromWorker) => {
      if ("event" in message) onEvent(message.event);
      else if ("answer" in message) this.#answered(message.answer);
      else if ("refused" in message) this.#ready.reject(new WorkerError(message.refused));
      else if ("begun" in message) this.#begun.resolve();
      else this.#ready.resolve();
    });
    this.#exit = once(this.#child, "exit").then(([code, signal]) => {
      this.ended = true;
      const how = String(signal ?? code);
      const error = new Error(`the process ended with ${how}: ${this.#stderr}`);
      for (const { reject } of [...stages, ...this.#waiting.values()]) reject(error);
      return how;
    });
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("value" in answer) waiting?.resolve(answer.value);
    else waiting?.reject(new WorkerError(answer.failure));
  }

  call(method: string, args: unknown[]): Promise<unknown> {
    if (this.ended || !this.#child.connected) return Promise.reject(new Error("the process has ended"));
    return new Promise((resolve, reject) => {
      const id = ++this.#count;
      this.#waiting.set(id, { resolve, reject });
      const call: Call = { id, method, args };
      this.#child.send(call, (error) => error && reject(error));
    });
  }

  /** Resolves when it has been killed; rejects if it ended in another way. */
  get killed(): Promise<void> {
    return this.#exit.then((how) => {
      if (how !== "SIGKILL") throw new Error(`the process ended with ${how}: ${this.#stderr}`);
    });
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.killed;
  }

  async close(): Promise<void> {
    await this.call("close", []);
    const how = await Promise.race([this.#exit, pause(END_MS, "nothing: something keeps it alive", { ref: false })]);
    if (how !== "0") throw new Error(`the process ended with ${how}: ${this.#stderr}`);
    if (this.#stderr !== "") throw new Error(`the process complained: ${this.#stderr}`);
  }
}

/** What a call of a worker's client rejected with; `code` is the name of the ChatError's. */
export class WorkerError extends Error {
  readonly code: string;

  constructor(failure: { code: string; message: string }) {
    super(`${failure.code}: ${failure.message}`);
    this.code = failure.code;
  }
}

/** Waits until a condition holds; fails with the words given. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: () => string,
  timeoutMs = 60_000,
  everyMs = 50,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`after ${timeoutMs} ms still not: ${what()}`);
    await pause(everyMs);
  }
}
