import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

/** Another process that runs storage-child.ts. */
export interface Child {
  process: ChildProcessByStdio<Writable, Readable, Readable>;
  /** The next line it prints; `undefined` once it has ended. */
  line(): Promise<string | undefined>;
  /** What it printed that was not asked for, after it has ended. */
  rest(): Promise<string[]>;
  stderr(): Promise<string>;
}

export function child(
  args: string[],
  options: { uid?: number; env?: NodeJS.ProcessEnv; command?: string[] } = {},
): Child {
  const script = fileURLToPath(new URL("storage-child.ts", import.meta.url));
  const [command = "", ...first] = [...(options.command ?? []), process.execPath];
  const spawned = spawn(command, [...first, "--conditions=source", "--experimental-transform-types", script, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "", ...options.env },
    ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
  });
  // It may be killed while we write.
  spawned.stdin.on("error", () => {});
  const lines = createInterface({ input: spawned.stdout })[Symbol.asyncIterator]();
  const errors: string[] = [];
  spawned.stderr.setEncoding("utf8").on("data", (text: string) => errors.push(text));
  const closed = once(spawned, "close");
  const line = async () => {
    const next = await lines.next();
    return next.done ? undefined : String(next.value);
  };
  return {
    process: spawned,
    line,
    rest: async () => {
      const all: string[] = [];
      for (let text = await line(); text !== undefined; text = await line()) all.push(text);
      await closed;
      return all;
    },
    stderr: async () => {
      await closed;
      return errors.join("");
    },
  };
}

/** Its one line of output, parsed, once it has ended. */
export async function answer(args: string[], options: Parameters<typeof child>[1] = {}): Promise<unknown> {
  const running = child(args, options);
  running.process.stdin.end();
  const [line, ...more] = await running.rest();
  if (line === undefined || more.length > 0)
    throw new Error(`child ${args[0]}: ${line ?? ""} ${more.join(" ")} ${await running.stderr()}`);
  return JSON.parse(line);
}
