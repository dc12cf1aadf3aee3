import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import { type LocalNode, type NodeOptions, startNode } from "../../src/local-network.ts";
import { Person } from "./person.ts";
import type { WorkerSettings } from "./worker.ts";

/** What a test started, ended after it in reverse order. */
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export function afterwards(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "chatsdk-live-"));
  afterwards(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A service node that a test may kill and start again at the same address. */
export class ServiceNode {
  #node: LocalNode;

  private constructor(node: LocalNode) {
    this.#node = node;
  }

  static async start(options: NodeOptions = {}): Promise<ServiceNode> {
    const node = new ServiceNode(await startNode(options));
    afterwards(() => node.stop());
    return node;
  }

  get websocket(): string {
    return this.#node.websocket;
  }

  get tcp(): string {
    return this.#node.tcp;
  }

  async stop(): Promise<void> {
    await this.#node.stop();
  }

  async kill(): Promise<void> {
    await this.#node.kill("SIGKILL");
  }

  /** A new process in the place of one that has ended. */
  async restart(): Promise<void> {
    this.#node = await this.#node.restart();
  }
}

export function person(
  name: string,
  folder: string,
  settings: Partial<WorkerSettings> & Pick<WorkerSettings, "peers">,
): Person {
  const made = new Person(name, folder, settings);
  afterwards(() => made.remove());
  return made;
}
