import { firstDifference, type Trace } from "./trace.ts";

/** Where two recordings of one scene differ first; `undefined`: nowhere. */
export function compareTraces(recorded: Trace, again: Trace): string | undefined {
  if (JSON.stringify(recorded) === JSON.stringify(again)) return undefined;
  for (const field of ["name", "config", "header", "hostKey"] as const)
    if (recorded[field] !== again[field]) return `${field}: ${again[field]} instead of ${recorded[field]}`;
  let number = 0;
  for (const [index, life] of recorded.lives.entries()) {
    const other = again.lives[index];
    if (!other) return `life ${index} is missing`;
    if (JSON.stringify(life.open) !== JSON.stringify(other.open)) return `life ${index}, opening: differs`;
    for (const [position, step] of life.steps.entries()) {
      const now = other.steps[position];
      const place = `step ${number++}`;
      if (!now) return `${place}: missing`;
      for (const field of ["input", "reads", "then"] as const)
        if (JSON.stringify(step[field]) !== JSON.stringify(now[field])) return `${place}: ${field} differs`;
      if (JSON.stringify(step.result) !== JSON.stringify(now.result))
        return `${place}: ${firstDifference(step.parts, now.parts)}`;
      if (JSON.stringify(step.parts) !== JSON.stringify(now.parts)) return `${place}: parts differ`;
    }
    if (other.steps.length > life.steps.length) return `step ${number}: one too many`;
  }
  return again.lives.length > recorded.lives.length ? "a life too many" : "the order of fields";
}
