import { describe, expect, test } from "vitest";
import { play, ScenarioFailure } from "../src/scenario.ts";
import { readScenarios, type Scenario } from "../src/scenario-schema.ts";
import knownFailures from "./known-failures.json" with { type: "json" };
import { pairsOf, testedLanguages, theatre } from "./support/agents.ts";

/** Each language talks with each, in both orders, over one real service node. */

const stage = await theatre();
const { node, pool } = stage;
const scenarios = readScenarios();
const pairs = pairsOf(testedLanguages()).map((languages) => ({ languages, pair: languages.join("-") }));
const known = knownFailures as { pair: string; scenario: string }[];

test("S4 every known failure names a pair and a scenario that exist", () => {
  const names = new Set(scenarios.map(({ name }) => name));
  const all = pairsOf(["ts", "go", "rust"]).map((languages) => languages.join("-"));
  expect(known.filter(({ pair, scenario }) => !all.includes(pair) || !names.has(scenario))).toEqual([]);
});

test("S4 a scenario that goes another way fails, with the pair, the step and what was said", async () => {
  const { languages, pair } = pairs[0]!;
  const wrong: Scenario = {
    name: "a wrong one",
    shows: ["F1"],
    people: { alice: {}, bob: {} },
    steps: [
      { as: "alice", do: "createAccount" },
      { as: "alice", do: "accounts", result: [] },
    ],
  };
  const playing = play(wrong, { languages, node, pool, folder: stage.newFolder() });
  await expect(playing).rejects.toThrow(ScenarioFailure);
  await expect(playing).rejects.toThrow(
    /^\w+-\w+, a wrong one, step 1 .*: accounts has 1 items, not 0\n.* alice → .*/s,
  );
  await expect(playing).rejects.toThrow(pair);
});

describe.concurrent.each(pairs)("$pair", ({ languages, pair }) => {
  // What costs much and depends on one side only is played within each language.
  const played = scenarios.filter(({ alone }) => !alone || languages[0] === languages[1]);
  test.each(played.map((scenario) => [`${scenario.shows.join(" ")} S4 ${scenario.name}`, scenario] as const))(
    "%s",
    async (_, scenario) => {
      const playing = play(scenario, { languages, node, pool, folder: stage.newFolder() });
      if (!known.some((one) => one.pair === pair && one.scenario === scenario.name)) return playing;
      await expect(playing, "a known failure that passes: take it from known-failures.json").rejects.toThrow(
        ScenarioFailure,
      );
    },
  );
});
