import { readFileSync } from "node:fs";
import { nodeCrypto } from "@chatsdk/client";
import { nobleCrypto } from "@chatsdk/core";
import { Conversation, type Cost, type Engine } from "./conversation.ts";
import { DirectEngine, ModuleEngine } from "./engines.ts";
import type { Result } from "./result.ts";

/**
 * One conversation in V8: `v8.ts noble|node|MODULE [COUNT...]`. Prints a line when the first message is encrypted, and a `Result` after the
 * last count, with the memory at each.
 */
const [what, ...counts] = process.argv.slice(2);
if (!what) throw new Error("usage: v8.ts noble|node|MODULE [COUNT...]");

const times = { compileMs: 0, instantiateMs: 0 };
const conversation = new Conversation(await engineMaker(what));
console.log("first message");

/** Messages measured at once. */
const PART = 20;
const parts: Cost[] = [];
const memory: Result["memory"] = [];
for (const count of counts.map(Number)) {
  while (conversation.messages < count) parts.push(measurePart());
  memory.push([count, conversation.memoryBytes]);
}
const result: Result = {
  ...times,
  pingPongPerSecond: perSecond(parts.map(({ exchangeMs }) => exchangeMs)),
  messagesPerSecond: perSecond(parts.map(({ totalMs }) => totalMs)),
  memory,
  digest: conversation.digest,
};
console.log(JSON.stringify(result));

async function engineMaker(name: string): Promise<() => Engine> {
  if (name === "noble") return () => new DirectEngine(nobleCrypto);
  if (name === "node") return () => new DirectEngine(nodeCrypto);
  const start = performance.now();
  const module = await WebAssembly.compile(readFileSync(name));
  times.compileMs = performance.now() - start;
  return () => {
    const start = performance.now();
    const engine = new ModuleEngine(module);
    times.instantiateMs = performance.now() - start;
    return engine;
  };
}

function measurePart(): Cost {
  const { exchangeMs, totalMs } = { ...conversation.cost };
  for (let message = 0; message < PART; message++) conversation.exchange();
  const { cost } = conversation;
  return { exchangeMs: cost.exchangeMs - exchangeMs, totalMs: cost.totalMs - totalMs };
}

/** By the median, so that a part in which the machine did something else counts no more than another. */
function perSecond(partsMs: number[]): number {
  const middle = partsMs.toSorted((a, b) => a - b)[partsMs.length >> 1];
  return middle === undefined ? 0 : (PART * 1000) / middle;
}
