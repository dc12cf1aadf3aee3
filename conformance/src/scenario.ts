import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { AgentError, type Json, type JsonObject, type Language } from "../agent/agent-process.ts";
import { Actor, type ActorParts } from "./actor.ts";
import { at, fillIn, mismatch, show, type Variables } from "./scenario-match.ts";
import type { Failure, Scenario, Step } from "./scenario-schema.ts";

/** Where and by whom a scenario is played. */
export interface Performance extends Pick<ActorParts, "folder" | "pool" | "node"> {
  /** The first person's language, the second's; a third one has the first's again, and so on. */
  languages: readonly [Language, Language];
}

/** A scenario that did not go as written, with what was said. */
export class ScenarioFailure extends Error {
  override readonly name = "ScenarioFailure";
}

const WITHIN_MS = 20_000;
const POLL_MS = 50;
const TRANSCRIPT_LINES = 60;

/** Plays a scenario; rejects with a `ScenarioFailure`. */
export async function play(scenario: Scenario, performance: Performance): Promise<void> {
  const transcript = new Transcript();
  const actors = new Map<string, Actor>();
  for (const [index, [name, opening]] of Object.entries(scenario.people).entries()) {
    const { start: _, ...settings } = opening;
    const language = performance.languages[index % 2]!;
    const onLine = (line: string) => transcript.add(line);
    actors.set(name, new Actor({ ...performance, name, language, opening: settings, onLine }));
  }
  let place = "opening";
  try {
    const starting = [...actors.values()].filter(({ name }) => scenario.people[name]!.start !== false);
    await Promise.all(starting.map((actor) => actor.start()));
    const director = new Director(actors);
    for (const [index, step] of scenario.steps.entries()) {
      place = `step ${index} ${show(step as Json)}`;
      transcript.begin(place);
      await director.perform(step);
    }
    place = "closing";
    await Promise.all([...actors.values()].map((actor) => actor.leave()));
  } catch (error) {
    await Promise.all([...actors.values()].map((actor) => actor.abandon()));
    const reason = error instanceof Error ? error.message : String(error);
    const pair = performance.languages.join("-");
    throw new ScenarioFailure(`${pair}, ${scenario.name}, ${place}: ${reason}\n${transcript}`, { cause: error });
  }
}

/** The last of what was said, with milliseconds since the beginning. What is asked again and again stands there once. */
class Transcript {
  readonly #startedAt = Date.now();
  readonly #lines: string[] = [];
  readonly #said = new Set<string>();

  begin(step: string): void {
    this.#said.clear();
    this.add(step);
  }

  add(line: string): void {
    const saying = line.replace(/"id":\d+/, "");
    if (this.#said.has(saying)) return;
    this.#said.add(saying);
    this.#lines.push(`${String(Date.now() - this.#startedAt).padStart(6)} ${line}`);
  }

  toString(): string {
    return this.#lines.slice(-TRANSCRIPT_LINES).join("\n");
  }
}

type Simple = Exclude<Step, { repeat: number }>;

class Director {
  readonly #actors: ReadonlyMap<string, Actor>;
  readonly #variables: Variables = new Map();

  constructor(actors: ReadonlyMap<string, Actor>) {
    this.#actors = actors;
  }

  async perform(step: Step): Promise<void> {
    if (!("repeat" in step)) return this.#perform(step);
    for (let i = 1; i <= step.repeat; i++) {
      this.#variables.set("i", i);
      for (const one of step.steps) await this.#perform(one);
    }
  }

  async #perform(step: Simple): Promise<void> {
    if ("equal" in step) return this.#compare(step.equal);
    if ("pauseMs" in step) return pause(step.pauseMs);
    const actor = this.#actors.get(step.as)!;
    if ("do" in step) return this.#call(actor, step);
    if ("expect" in step) {
      const pattern = this.#fill(step.match ?? {}) as JsonObject;
      return this.#save(step.save, await actor.expect(step.expect, pattern, step.withinMs ?? WITHIN_MS));
    }
    if ("never" in step) return this.#never(actor, step);
    if ("received" in step)
      return this.#received(actor, this.#fill(step.received) as Json[], step.withinMs ?? WITHIN_MS);
    if ("start" in step) {
      const opening = this.#fill(step.start as Json) as JsonObject;
      return await settled(actor.start(opening), step.fails).then(() => undefined);
    }
    if ("end" in step) return actor.end(step.end);
    if ("restart" in step) {
      await actor.end(step.restart);
      return actor.start();
    }
    if ("saveFile" in step) return actor.saveFile(step.saveFile);
    if ("writeFile" in step) return actor.writeFile(step.writeFile);
    actor.restoreFile(step.restoreFile);
  }

  #fill(value: Json): Json {
    return fillIn(value, this.#variables);
  }

  async #call(actor: Actor, step: Extract<Simple, { do: string }>): Promise<void> {
    const params = this.#fill(step.with ?? {}) as JsonObject;
    const pattern = step.result === undefined ? undefined : this.#fill(step.result);
    const end = performance.now() + (step.withinMs ?? WITHIN_MS);
    for (;;) {
      const result = await settled(actor.call(step.do, params), step.fails);
      if (result === undefined) return;
      const difference = pattern === undefined ? undefined : mismatch(result, pattern, step.do);
      if (difference === undefined) return this.#save(step.save, result);
      if (!step.eventually || performance.now() > end) throw new Error(difference);
      await pause(POLL_MS);
    }
  }

  #save(save: Record<string, string> | undefined, value: Json): void {
    for (const [name, path] of Object.entries(save ?? {})) this.#variables.set(name, at(value, path));
  }

  #compare([one, other]: [Json, Json]): void {
    const [left, right] = [this.#fill(one), this.#fill(other)];
    if (!isDeepStrictEqual(left, right)) throw new Error(`${show(left)} is not ${show(right)}`);
  }

  async #never(actor: Actor, { never, match = {}, forMs }: Extract<Simple, { never: string }>): Promise<void> {
    const pattern = this.#fill(match);
    await pause(forMs);
    const found = actor.events.find((event) => event["type"] === never && !mismatch(event, pattern));
    if (found) throw new Error(`${actor.name} was shown ${show(found)}`);
  }

  /** All messages this person was ever shown: these, in this order, each once. */
  async #received(actor: Actor, contents: Json[], withinMs: number): Promise<void> {
    const messages = () =>
      actor.events
        .filter((event) => event["type"] === "messageReceived")
        .map((event) => event["message"] as JsonObject);
    const complete = () => (messages().length >= contents.length ? true : undefined);
    await actor.until(complete, withinMs, () => `${messages().length} of ${contents.length} messages`);
    const patterns = contents.map((content) => (typeof content === "string" ? { text: content } : content));
    const difference = mismatch(messages(), patterns, "messages");
    if (difference) throw new Error(difference);
    if (new Set(messages().map(({ id }) => id)).size !== contents.length) throw new Error("a message came twice");
  }
}

/** The result; `undefined` if the call failed as it was expected to. */
async function settled(call: Promise<unknown>, expected: Failure | undefined): Promise<Json | undefined> {
  let result: Json;
  try {
    result = ((await call) ?? null) as Json;
  } catch (error) {
    if (!expected || !(error instanceof AgentError)) throw error;
    const difference = mismatch({ code: error.code, retryable: error.retryable }, expected, "the failure");
    if (difference) throw new Error(`${difference} (${error.message})`);
    return undefined;
  }
  if (expected) throw new Error(`it was expected to fail with ${expected.code}, and gave ${show(result)}`);
  return result;
}
