import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { type AgentOptions, LANGUAGES, type Language } from "../../agent/agent-process.ts";
import { AgentPool } from "../../src/agent-pool.ts";
import { type LocalNode, type NodeOptions, startNode } from "../../src/local-network.ts";

/** All languages, or those that CHATSDK_AGENTS names: `ts,go`. */
export function testedLanguages(): Language[] {
  const named = process.env["CHATSDK_AGENTS"]?.split(",");
  return named ? LANGUAGES.filter((language) => named.includes(language)) : [...LANGUAGES];
}

/** Each with each, in both orders. */
export function pairsOf(languages: readonly Language[]): [Language, Language][] {
  return languages.flatMap((one) => languages.map((other): [Language, Language] => [one, other]));
}

/** One service node, agents of all languages and a folder for their files, for all tests of a file. */
export class Theatre {
  readonly node: LocalNode;
  readonly pool: AgentPool;
  readonly #folder: string;
  #folders = 0;

  private constructor(node: LocalNode, options: AgentOptions) {
    this.node = node;
    this.#folder = mkdtempSync(join(tmpdir(), "chatsdk-agents-"));
    this.pool = new AgentPool(join(this.#folder, "state"), options);
  }

  static async open(options: NodeOptions = {}): Promise<Theatre> {
    return new Theatre(await startNode(options), {});
  }

  /** Around a node that runs already; `close` ends it. */
  static around(node: LocalNode, options: AgentOptions): Theatre {
    return new Theatre(node, options);
  }

  /** Of its own for each call. */
  newFolder(): string {
    return mkdtempSync(join(this.#folder, `${++this.#folders}-`));
  }

  async close(): Promise<void> {
    try {
      await this.pool.close();
    } finally {
      await this.node.stop();
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }
}

/** A theatre for the tests of a file, closed after them. */
export async function theatre(options?: NodeOptions): Promise<Theatre> {
  const opened = await Theatre.open(options);
  afterAll(() => opened.close());
  return opened;
}
