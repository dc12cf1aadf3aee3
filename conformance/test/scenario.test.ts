import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { describe, expect, test } from "vitest";
import type { Json } from "../agent/agent-process.ts";
import { at, fillIn, mismatch } from "../src/scenario-match.ts";
import { parseScenario, readScenarios } from "../src/scenario-schema.ts";

describe("scenarios", () => {
  test("S4 all of the repository are as the schema says, and no name is used twice", () => {
    const names = readScenarios().map(({ name }) => name);
    expect(names.length).toBeGreaterThan(15);
    expect(new Set(names).size).toBe(names.length);
  });

  test("S4 every error that needs no special means is met", () => {
    const met = JSON.stringify(readScenarios()).matchAll(/"fails":\{"code":"(\w+)"/g);
    // A keyring, a full or broken disk, a signal, a defect, a network without a node that answers; the file that another has open is in live/database-file.test.ts.
    const special = [
      "KEYRING_UNAVAILABLE",
      "STORAGE_FULL",
      "STORAGE_FAILED",
      "ABORTED",
      "INTERNAL",
      "DATABASE_LOCKED",
      "TRANSPORT_FAILED",
    ];
    const names = Object.values(ErrorCode).filter(
      (code) => typeof code === "string" && code !== "ERROR_CODE_UNSPECIFIED",
    );
    expect(new Set([...met].map(([, code]) => code))).toEqual(
      new Set(names.filter((name) => !special.includes(name as string))),
    );
  });

  const story = (change: object, step: object = {}) =>
    JSON.stringify({
      name: "a story",
      shows: ["F1"],
      people: { alice: {} },
      steps: [{ as: "alice", do: "accounts", ...step }],
      ...change,
    });

  test("S4 one that is not as the schema says is refused", () => {
    expect(parseScenario(story({}), "it").name).toBe("a story");
    for (const change of [
      { shows: [] },
      { shows: ["X1"] },
      { people: { alice: { pasphrase: "x" } } },
      { steps: [] },
      { steps: [{ as: "alice", dp: "accounts" }] },
      { moral: "none" },
    ])
      expect(() => parseScenario(story(change), "it"), JSON.stringify(change)).toThrow(/^it: /);
    expect(() => parseScenario(story({}, { resutl: [] }), "it")).toThrow(/^it: /);
    expect(() => parseScenario(story({}, { fails: { code: "CLOSED" } }), "it")).toThrow(/^it: /);
    expect(() => parseScenario(story({}, { as: "bob" }), "it")).toThrow("it: nobody is called bob");
    const nested = { steps: [{ repeat: 2, steps: [{ as: "bob", do: "accounts" }] }] };
    expect(() => parseScenario(story(nested), "it")).toThrow("it: nobody is called bob");
  });
});

describe("patterns", () => {
  const actual: Json = { id: "0011", count: 3, open: false, tags: ["a", { deep: null }], text: "hello" };
  const alike: Json[] = [
    {},
    actual,
    { id: "0011" },
    { id: { $matches: "^[0-9]{4}$" } },
    { tags: ["a", {}] },
    { tags: { $length: 2 }, text: { $length: 5 } },
    { failureReason: { $absent: true }, open: { $present: true } },
    { tags: ["a", { deep: null }] },
  ];
  const different: [Json, string][] = [
    [{ id: "0012" }, 'it.id is "0011", not "0012"'],
    [{ count: "3" }, 'it.count is 3, not "3"'],
    [{ open: null }, "it.open is false, not null"],
    [{ missing: 1 }, "it.missing is nothing, not 1"],
    [{ missing: {} }, "it.missing is missing"],
    [{ missing: { $present: true } }, "it.missing is missing"],
    [{ text: { $absent: true } }, 'it.text is "hello"'],
    [{ id: { $matches: "^[a-f]+$" } }, 'it.id is "0011", not like ^[a-f]+$'],
    [{ count: { $matches: "3" } }, "it.count is 3, not like 3"],
    [{ tags: ["a"] }, "it.tags has 2 items, not 1"],
    [{ tags: ["a", { deep: 1 }] }, "it.tags[1].deep is null, not 1"],
    [{ tags: { $length: 3 } }, "it.tags has length 2, not 3"],
    [{ text: ["hello"] }, 'it.text is "hello", not a list'],
    [{ text: {} }, 'it.text is "hello"'],
    [["a"], "it is"],
  ];

  test.each(alike)("S4 %j is like it", (pattern) => {
    expect(mismatch(actual, pattern)).toBeUndefined();
  });

  test.each(different)("S4 %j is not, and the difference is named", (pattern, reason) => {
    expect(mismatch(actual, pattern)).toContain(reason);
  });

  test("S4 variables are filled in, whole and within a text; one that does not exist is an error", () => {
    const variables = new Map<string, Json>([
      ["id", "0011"],
      ["list", [1, 2]],
    ]);
    const value = { a: "$id", b: ["$list", "no $(id) here", "$", "a $id"], c: { $repeat: ["$(id)", 3] } };
    expect(fillIn(value, variables)).toEqual({
      a: "0011",
      b: [[1, 2], "no 0011 here", "$", "a $id"],
      c: "001100110011",
    });
    for (const unknown of ["$other", "an $(other)"])
      expect(() => fillIn(unknown, variables)).toThrow("no variable other");
  });

  test("S4 a path leads into objects and lists; one that leads nowhere is an error", () => {
    expect(at(actual, "tags.1.deep")).toBeNull();
    expect(at(actual, "")).toBe(actual);
    expect(() => at(actual, "tags.2")).toThrow("there is no tags.2");
    expect(() => at(actual, "id.x")).toThrow("there is no id.x");
  });
});
