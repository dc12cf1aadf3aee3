import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { nodeCrypto } from "@chatsdk/client";
import { ChatError } from "@chatsdk/core";
import type { Disk } from "../src/disk.ts";
import type { ConfigValue, InputValue } from "../src/machine.ts";
import { Person } from "../src/people.ts";
import type { Trace } from "../src/trace.ts";
import { RecordedMachine } from "../src/trace-recorder.ts";
import { Interrupted, World } from "../src/world.ts";

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const UNKNOWN_ID = "00112233445566778899aabbccddeeff";

export type Content = { domain: number; tag: number; version: number; payload: Uint8Array };

/** A content of domain 0. */
export function basic<Desc extends DescMessage>(tag: number, schema: Desc, value: MessageInitShape<Desc>): Content {
  return { domain: 0, tag, version: 1, payload: toBinary(schema, create(schema, value)) };
}

/** Where a scene is played: a world, and people whose machines are recorded. */
export class Stage {
  readonly world: World;
  readonly #name: string;
  readonly #machines: RecordedMachine[] = [];

  constructor(name: string, seed: number) {
    this.#name = name;
    this.world = new World(seed);
  }

  /** Somebody whose trace is kept. */
  person(name: string, config: ConfigValue = {}, protection: "rawKey" | "unprotected" = "rawKey"): Person {
    const machine = new RecordedMachine(
      `${this.#name}/${name}`,
      nodeCrypto,
      { clusterId: 42, ...config },
      `${this.#name}-${name}`,
      protection,
    );
    this.#machines.push(machine);
    return new Person(this.world, machine);
  }

  /** Somebody of whom nothing is kept. */
  extra(name: string, config: ConfigValue = {}): Person {
    return new Person(this.world, `${this.#name}/${name}`, config, nodeCrypto);
  }

  get traces(): Trace[] {
    return this.#machines.map(({ trace }) => trace);
  }
}

/** Two people with a conversation in which both have written. */
export function talked(stage: Stage, config: ConfigValue = {}) {
  const [alice, bob] = [stage.person("alice", config), stage.person("bob", config)];
  const id = alice.accept(bob.invite());
  stage.world.run(10 * SECOND);
  bob.send(id, "hello alice");
  stage.world.run(5 * MINUTE);
  return { alice, bob, id };
}

/** A call that must fail, as a scene expects. */
export function refused(person: Person, input: InputValue, code: string): void {
  try {
    person.call(input, "done");
  } catch (error) {
    if (error instanceof ChatError && error.codeName === code) return;
    throw error;
  }
  throw new Error(`${input.case} was expected to fail with ${code}`);
}

/** A call that may end in any way. */
export function tried(person: Person, input: InputValue): void {
  if (!person.world.isRunning(person.machine)) return;
  try {
    person.world.call(person.machine, input);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
}

export function say(person: Person, conversationId: string, content: Content): string {
  return person.call({ case: "sendMessage", value: { conversationId, content } }, "sentMessage").message!.messageId;
}

/** The process ends and starts again. */
export function restart(person: Person): void {
  person.world.switchOff(person.machine);
  person.world.switchOn(person.machine);
}

/** The machine starts from an old disk, and knows it. */
export function restore(person: Person, backup: Disk): void {
  const { world, machine } = person;
  world.switchOff(machine);
  machine.disk = backup.copy();
  world.switchOn(machine, true);
}

/** An envelope from nowhere arrives. */
export function inject(person: Person, payload: Uint8Array): void {
  person.world.feed(person.machine, { case: "envelopeReceived", value: { topic: "", payload } });
}
