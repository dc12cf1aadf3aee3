import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { ChatEvent } from "@chatsdk/client";
import type { Order, Orders, Report } from "./person.ts";
import type { Speaker } from "./printing.ts";

type Result<Name extends keyof Orders> = Awaited<ReturnType<Orders[Name]>>;

type EventListener = (event: ChatEvent, reaction: string | undefined) => void;

/** A person's process, seen from its parent. */
export class PersonProcess {
  readonly name: Speaker;
  readonly #child: ChildProcess;
  readonly #unanswered = new Map<number, PromiseWithResolvers<unknown>>();
  #orders = 0;

  constructor(name: Speaker, folder: string, nodeAddress: string, onEvent: EventListener) {
    this.name = name;
    const program = fileURLToPath(new URL("person.ts", import.meta.url));
    this.#child = fork(program, [folder, nodeAddress], { serialization: "advanced" });
    this.#child.on("message", (report: Report) => {
      if (report.kind === "event") onEvent(report.event, report.reaction);
      else this.#answered(report);
    });
    this.#child.on("exit", () => {
      for (const { reject } of this.#unanswered.values()) reject(new Error(`${name}: the process ended unexpectedly`));
    });
  }

  /** Tells the person to do something. */
  async order<Name extends keyof Orders>(name: Name, ...args: Parameters<Orders[Name]>): Promise<Result<Name>> {
    const id = ++this.#orders;
    const answer = Promise.withResolvers<unknown>();
    this.#unanswered.set(id, answer);
    this.#child.send({ id, name, args } satisfies Order);
    return (await answer.promise) as Result<Name>;
  }

  /** The person closes its client, and the process ends. */
  async stop(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
    if (this.#child.exitCode !== 0) throw new Error(`${this.name}: ended with exit status ${this.#child.exitCode}`);
  }

  /** Ends the process at once, if it still runs. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #answered({ id, value, error }: Extract<Report, { kind: "answer" }>): void {
    const answer = this.#unanswered.get(id);
    this.#unanswered.delete(id);
    if (error === undefined) answer?.resolve(value);
    else answer?.reject(new Error(`${this.name}: ${error}`));
  }
}
