import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import { type ServiceNode, type ServiceNodeOptions, startServiceNode } from "../local-node/service-node.ts";
import { Program } from "./program.ts";

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "chatsdk-examples-"));
  cleanups.push(async () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function serviceNode(options?: ServiceNodeOptions): Promise<ServiceNode> {
  const node = await startServiceNode(options);
  cleanups.push(() => node.stop());
  return node;
}

/** Starts an example; it is ended with the test. */
export function start(file: string, args: readonly string[], env?: Record<string, string>): Program {
  const program = new Program(file, args, env);
  cleanups.push(() => program.kill("SIGKILL"));
  return program;
}
