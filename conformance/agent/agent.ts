import { createInterface } from "node:readline";
import { ChatError } from "@chatsdk/client";
import { ClientMethods } from "./client-methods.ts";
import { StoreMethods } from "./store-methods.ts";
import { toJson } from "./values.ts";

/** The agent of TypeScript: PROTOCOL.md says what it does. */

type Method = (params: never) => Promise<unknown>;

const client = new ClientMethods((event) => write({ event }));
const store = new StoreMethods();

function methodOf(name: string): Method {
  const holder = name === "storeOpen" || name === "store" ? store : client;
  const found: unknown = Reflect.get(holder, name);
  if (typeof found !== "function" || name === "constructor") throw new Error(`no method ${name}`);
  return found.bind(holder) as Method;
}

async function serve(line: string): Promise<void> {
  const { id, method, params = {} } = parse(line);
  try {
    const result = (await methodOf(method)(params as never)) ?? null;
    write({ id, result });
  } catch (error) {
    write({ id, error: describe(error) });
  }
}

function parse(line: string): { id: number; method: string; params?: unknown } {
  const request = JSON.parse(line) as { id: number; method: string; params?: unknown };
  if (typeof request?.id !== "number" || typeof request.method !== "string") throw new Error(`no request: ${line}`);
  return request;
}

function describe(error: unknown): { code: string; message: string; retryable: boolean } {
  if (error instanceof ChatError) {
    const { codeName: code, message, retryable } = error;
    return { code, message, retryable };
  }
  return { code: "AGENT", message: error instanceof Error ? error.message : String(error), retryable: false };
}

function write(line: object): void {
  process.stdout.write(`${JSON.stringify(toJson(line))}\n`);
}

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin });
  process.once("SIGTERM", () => lines.close());
  write({ ready: { language: "ts", address: "ws", transports: ["light"] } });
  for await (const line of lines) await serve(line);
  try {
    await client.close();
    await store.close();
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
}

main().then(
  // The transport may hold sockets that are still ending.
  () => process.exit(),
  (error: unknown) => {
    console.error(error);
    process.exit(2);
  },
);
