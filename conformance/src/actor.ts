import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { AgentProcess, Json, JsonObject, Language } from "../agent/agent-process.ts";
import type { AgentPool } from "./agent-pool.ts";
import type { LocalNode } from "./local-network.ts";
import { mismatch, show } from "./scenario-match.ts";
import type { Opening } from "./scenario-schema.ts";

export type ActorOpening = Opening & { rln?: JsonObject };

export interface ActorParts {
  name: string;
  language: Language;
  /** Holds the database and copies of it. */
  folder: string;
  pool: AgentPool;
  node: Pick<LocalNode, "websocket" | "tcp">;
  opening: ActorOpening;
  /** One line of the transcript. */
  onLine(line: string): void;
}

/** A port of the loopback interface that nobody serves: discard, and refused. */
const NOBODY = "127.0.0.1/tcp/9";
/** Ticks within a second: the defaults spare the network. A busy machine has longer to bring what is behind a gap in order. */
const QUICK = { ackDelayMs: 200, ackIntervalMs: 500, gapDelayMs: 10_000 };
const POLL_MS = 10;
const LONGEST_LINE = 600;

/** Somebody in a scenario: a database, the agent that has it open, and the events it has shown. */
export class Actor {
  readonly #parts: ActorParts;
  #agent: AgentProcess | undefined;
  /** Each stored event once, in the order in which they came; also over restarts. */
  readonly events: JsonObject[] = [];
  readonly #byNumber = new Map<Json, JsonObject>();
  readonly #consumed = new Set<JsonObject>();
  /** An event that came a second time and was another one. */
  #defect: string | undefined;

  constructor(parts: ActorParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  get path(): string {
    return join(this.#parts.folder, `${this.name}.db`);
  }

  /** Opens the database, in a process that is running or in a new one. */
  async start(overrides: ActorOpening = {}): Promise<void> {
    const { offline, ...opening } = { ...this.#parts.opening, ...overrides };
    const agent = await this.#running();
    const address = agent.ready.address === "ws" ? this.#parts.node.websocket : this.#parts.node.tcp;
    await this.call("open", {
      storageKey: { unprotected: true },
      peers: [offline ? address.replace(/\d+\.\d+\.\d+\.\d+\/tcp\/\d+/, NOBODY) : address],
      ...(opening as JsonObject),
      protocol: { ...QUICK, ...opening.protocol },
      path: this.path,
    });
  }

  async #running(): Promise<AgentProcess> {
    if (this.#agent?.isRunning) return this.#agent;
    const agent = await this.#parts.pool.take(this.#parts.language);
    agent.listener = {
      onEvent: (event) => this.#note(event),
      onLine: (line) => this.#parts.onLine(`${this.name} ${line.slice(0, LONGEST_LINE)}`),
    };
    this.#agent = agent;
    return agent;
  }

  async call(method: string, params: JsonObject = {}): Promise<Json> {
    return (await this.#running()).call(method, params);
  }

  #note(event: JsonObject): void {
    const { number = "0" } = event;
    if (number !== "0") {
      const earlier = this.#byNumber.get(number);
      if (earlier && !isDeepStrictEqual(earlier, event))
        this.#defect ??= `event ${show(number)} came as ${show(earlier)} and as ${show(event)}`;
      if (earlier) return;
      this.#byNumber.set(number, event);
    }
    this.events.push(event);
  }

  /** The first event of a type, and like the pattern, that was not waited for before. */
  async expect(type: string, pattern: JsonObject, withinMs: number): Promise<JsonObject> {
    const isLike = (event: JsonObject) => event["type"] === type && !mismatch(event, pattern);
    const find = () => this.events.find((event) => !this.#consumed.has(event) && isLike(event));
    const found = await this.until(find, withinMs, () => {
      const others = this.events.filter((event) => event["type"] === type && !this.#consumed.has(event));
      return `no ${type} like ${show(pattern)}; there were ${show(others)}`;
    });
    this.#consumed.add(found);
    return found;
  }

  /** Waits until something is there. */
  async until<Found>(find: () => Found | undefined, withinMs: number, describe: () => string): Promise<Found> {
    const end = performance.now() + withinMs;
    for (;;) {
      if (this.#defect) throw new Error(this.#defect);
      const found = find();
      if (found !== undefined) return found;
      if (performance.now() > end) throw new Error(`${this.name}, after ${withinMs} ms: ${describe()}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** The process ends: in order, or at once. */
  async end(how: "stop" | "kill"): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (!agent) throw new Error(`${this.name} is not running`);
    if (how === "kill") await agent.kill();
    else await agent.stop();
  }

  /** What the process has written to its standard error. */
  get complaints(): string {
    return this.#agent?.complaints ?? "";
  }

  saveFile(name: string): void {
    copyFileSync(this.path, join(this.#parts.folder, `${this.name}.${name}.copy`));
  }

  /** What was shown since then never happened to this database: its numbers are given out again. */
  restoreFile(name: string): void {
    this.#byNumber.clear();
    copyFileSync(join(this.#parts.folder, `${this.name}.${name}.copy`), this.path);
  }

  writeFile(text: string): void {
    writeFileSync(this.path, text);
  }

  /** Closes the client; the process serves somebody else. */
  async leave(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (!agent?.isRunning) return;
    await agent.call("close");
    agent.listener = undefined;
    this.#parts.pool.giveBack(agent);
    if (this.#defect) throw new Error(this.#defect);
  }

  /** After a failure: the process is of no further use. */
  async abandon(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (!agent?.isRunning) return;
    if (agent.complaints !== "") this.#parts.onLine(`${this.name} stderr: ${agent.complaints}`);
    await agent.kill();
  }
}
