import { toBinary } from "@bufbuild/protobuf";
import { EventSchema } from "@chatsdk/abi/api_pb";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { accountOf, keyReuse, shownEvents } from "../src/ledger.ts";
import { Person, text } from "../src/people.ts";
import { CALM, type Fault, Interrupted, type Weather, World } from "../src/world.ts";

const HOUR = 3600_000;
const FAULTS: Fault[] = ["before the commit", "after the commit", "commit refused", 0, 1, 2, 3];

interface Story {
  world: World;
  alice: Person;
  bob: Person;
  id: string;
}

/** Tells a story in which single steps fail: `faults` by the number of the step, counted over both machines. */
function tell(
  faults: ReadonlyMap<number, Fault>,
  weather: Weather,
  acts: (story: Story) => void,
): Story & { steps: number } {
  const world = new World(51);
  const alice = new Person(world, "alice", {}, nodeCrypto);
  const bob = new Person(world, "bob", {}, nodeCrypto);
  let steps = 0;
  world.fault = () => faults.get(steps++);
  const link = insist(world, () => bob.invite());
  world.weather = weather;
  const id = insist(world, () => alice.accept(link, "hello"));
  const story = { world, alice, bob, id };
  acts(story);
  const counted = steps;
  world.fault = () => undefined;
  world.weather = { ...weather, loss: 0, duplication: 0 };
  world.run(2 * HOUR);
  return { ...story, steps: counted };
}

/** What an application does whose call got no answer: it waits for the next start and looks what became of it. */
function insist(world: World, call: () => string): string {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof Interrupted)) return answerOf(error);
      world.run(1000);
    }
  }
}

/** The set-up was committed before the crash: the failure names the conversation. */
function answerOf(error: unknown): string {
  const id = /use conversation ([0-9a-f]{32})/.exec(String(error))?.[1];
  if (id === undefined) throw error;
  return id;
}

function sendInput(conversationId: string, value: string) {
  return { case: "sendMessage" as const, value: { conversationId, content: text(value) } };
}

/** Sends, and does not care for the answer. */
function say(person: Person, id: string, value: string): void {
  try {
    const { machine, world } = person;
    if (world.isRunning(machine) && machine.disk.conversations.has(id)) person.send(id, value);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
}

function expectWhole({ world, alice, bob, id }: Story): void {
  expect(keyReuse(world)).toEqual([]);
  for (const [sender, recipient] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    const { sent, stored, shown, undelivered } = accountOf(sender, recipient, id);
    expect(stored).toEqual(sent);
    expect(shown).toEqual(sent);
    expect(undelivered).toEqual([]);
  }
  for (const person of [alice, bob]) {
    // A number is one event for ever, whenever it is shown.
    const seen = new Map<bigint, string>();
    for (const event of person.machine.events) {
      const content = Buffer.from(toBinary(EventSchema, event)).toString("hex");
      expect(seen.get(event.eventNumber) ?? content).toBe(content);
      seen.set(event.eventNumber, content);
    }
    expect(
      shownEvents(person)
        .map(({ eventNumber }) => Number(eventNumber))
        .toSorted((a, b) => a - b),
    ).toEqual(Array.from({ length: seen.size }, (_, i) => i + 1));
  }
}

function shortStory({ world, alice, bob, id }: Story): void {
  world.run(300);
  say(alice, id, "a1");
  say(bob, id, "b1");
  world.run(2500);
  say(bob, id, "b2");
  say(alice, id, "a2");
  world.run(3000);
}

describe.each([
  { name: "with the store", weather: CALM },
  { name: "without the store", weather: { ...CALM, store: false } },
])("one step fails, $name", ({ weather }) => {
  const { steps } = tell(new Map(), weather, shortStory);

  test.each(FAULTS.map((fault) => ({ fault })))(
    "F3 F4 at each step of a short story, fault $fault: nothing is lost, shown twice, or encrypted under a used key",
    ({ fault }) => {
      expect(steps).toBeGreaterThan(15);
      for (let step = 0; step < steps; step++) expectWhole(tell(new Map([[step, fault]]), weather, shortStory));
    },
  );
});

describe("after a fault", () => {
  test("F4 what was committed leaves at the next start, the same bytes, without waiting for a timer", () => {
    const { world, alice, bob, id } = tell(new Map(), CALM, shortStory);
    const { effects } = alice.machine.prepare(world.nowMs, sendInput(id, "not yet published"));
    const mark = world.published.length;
    let fault: Fault | undefined = 0;
    world.fault = () => {
      const now = fault;
      fault = undefined;
      return now;
    };
    alice.machine.rewind();
    expect(() => alice.send(id, "not yet published")).toThrow(Interrupted);
    expect(world.published.length).toBe(mark);
    world.run(2000);
    const expected = effects.flatMap(({ effect }) => (effect.case === "publish" ? [effect.value.payload] : []));
    expect(world.published.slice(mark, mark + 1).map(({ payload }) => payload)).toEqual(expected);
    expect(bob.texts.at(-1)).toBe("not yet published");
  });

  test("R1 commits refused while history is asked for do not end the asking", () => {
    const { world, alice, bob, id } = tell(new Map(), CALM, shortStory);
    const refusals = { wake: 3, historyPage: 3 };
    world.fault = (machine, { case: kind }) => {
      const refused = machine === bob.machine && (kind === "wake" || kind === "historyPage") && refusals[kind]-- > 0;
      return refused ? "commit refused" : undefined;
    };
    world.weather = { ...CALM, loss: 1 };
    alice.send(id, "only the store has this");
    world.run(45 * 60_000);
    expect(Math.max(refusals.wake, refusals.historyPage)).toBeLessThan(0);
    expect(bob.texts.at(-1)).toBe("only the store has this");
  });
});

describe("many steps fail", () => {
  const act = fc.record({
    who: fc.boolean(),
    what: fc.constantFrom("say", "say", "say", "restart", "wait"),
    gapMs: fc.integer({ min: 0, max: 4000 }),
  });
  const faults = fc.array(fc.tuple(fc.integer({ min: 0, max: 250 }), fc.constantFrom(...FAULTS)), { maxLength: 25 });

  test("F3 F4 in random stories, in bad weather: nothing is lost, shown twice, or encrypted under a used key", () => {
    fc.assert(
      fc.property(fc.array(act, { minLength: 5, maxLength: 40 }), faults, fc.boolean(), (acts, planned, store) => {
        const weather = { loss: 0.2, duplication: 0.2, reorder: 5, delayMs: 300, store };
        const story = tell(new Map(planned), weather, ({ world, alice, bob, id }) => {
          acts.forEach(({ who, what, gapMs }, number) => {
            const person = who ? alice : bob;
            if (what === "say") say(person, id, `${number}`);
            if (what === "restart" && world.isRunning(person.machine)) {
              world.switchOff(person.machine);
              world.switchOn(person.machine);
            }
            world.run(gapMs);
          });
        });
        expectWhole(story);
      }),
      { numRuns: 120, seed: 4, endOnFailure: true },
    );
  });
});
