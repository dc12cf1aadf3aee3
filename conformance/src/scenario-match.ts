import type { Json } from "../agent/agent-process.ts";

/** Variables of a scenario. */
export type Variables = Map<string, Json>;

/**
 * Puts variables into a value: a text `"$name"` becomes the variable itself, `$(name)` within a text its text.
 * `{"$repeat": [text, count]}` becomes the text so many times.
 */
export function fillIn(value: Json, variables: Variables): Json {
  const variable = (name: string): Json => {
    const found = variables.get(name);
    if (found === undefined) throw new Error(`no variable ${name}`);
    return found;
  };
  if (typeof value === "string") {
    const whole = /^\$(\w+)$/.exec(value);
    if (whole) return variable(whole[1]!);
    return value.replace(/\$\((\w+)\)/g, (_, name: string) => String(variable(name)));
  }
  if (Array.isArray(value)) return value.map((item) => fillIn(item, variables));
  if (typeof value !== "object" || value === null) return value;
  const repeat = value["$repeat"];
  if (Array.isArray(repeat)) return String(fillIn(repeat[0]!, variables)).repeat(Number(repeat[1]));
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, fillIn(field, variables)]));
}

/**
 * Why a value is not as a pattern wants it; `undefined` if it is. Objects must have the pattern's fields and may have more, lists
 * must have its length. `{"$matches": expression}` stands for a text, `{"$absent": true}` for a field that is not there, `{"$present": true}`
 * for any value, `{"$length": n}` for a list or text of that length.
 */
export function mismatch(actual: Json | undefined, pattern: Json, place = "it"): string | undefined {
  if (Array.isArray(pattern)) return mismatchOfList(actual, pattern, place);
  if (typeof pattern !== "object" || pattern === null)
    return actual === pattern ? undefined : `${place} is ${show(actual)}, not ${show(pattern)}`;
  if (pattern["$absent"] !== undefined) return actual === undefined ? undefined : `${place} is ${show(actual)}`;
  if (actual === undefined) return `${place} is missing`;
  if (pattern["$present"] !== undefined) return undefined;
  if (typeof pattern["$matches"] === "string") {
    const matches = typeof actual === "string" && new RegExp(pattern["$matches"]).test(actual);
    return matches ? undefined : `${place} is ${show(actual)}, not like ${pattern["$matches"]}`;
  }
  if (pattern["$length"] !== undefined) {
    const length = typeof actual === "string" || Array.isArray(actual) ? actual.length : undefined;
    return length === pattern["$length"] ? undefined : `${place} has length ${length}, not ${show(pattern["$length"])}`;
  }
  if (typeof actual !== "object" || actual === null || Array.isArray(actual)) return `${place} is ${show(actual)}`;
  for (const [name, field] of Object.entries(pattern)) {
    const found = mismatch(actual[name], field, `${place}.${name}`);
    if (found) return found;
  }
  return undefined;
}

function mismatchOfList(actual: Json | undefined, pattern: Json[], place: string): string | undefined {
  if (!Array.isArray(actual)) return `${place} is ${show(actual)}, not a list`;
  if (actual.length !== pattern.length) return `${place} has ${actual.length} items, not ${pattern.length}`;
  for (const [index, item] of pattern.entries()) {
    const found = mismatch(actual[index], item, `${place}[${index}]`);
    if (found) return found;
  }
  return undefined;
}

export function show(value: Json | undefined): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** What a path such as `message.id` or `0.id` leads to; the empty path: the value itself. */
export function at(value: Json, path: string): Json {
  let found: Json | undefined = value;
  for (const name of path === "" ? [] : path.split("."))
    found = typeof found === "object" && found !== null ? (found as { [name: string]: Json })[name] : undefined;
  if (found === undefined) throw new Error(`there is no ${path} in ${show(value)}`);
  return found;
}
