import { AgentProcess, type AgentOptions, type Language } from "../agent/agent-process.ts";

/** Agents that have closed their client and can open the next database: starting a process is what costs most. */
export class AgentPool {
  readonly #stateFolder: string;
  readonly #options: AgentOptions;
  readonly #idle: AgentProcess[] = [];

  constructor(stateFolder: string, options: AgentOptions = {}) {
    this.#stateFolder = stateFolder;
    this.#options = options;
  }

  async take(language: Language): Promise<AgentProcess> {
    const index = this.#idle.findIndex((agent) => agent.language === language && agent.isRunning);
    const [agent] = index < 0 ? [] : this.#idle.splice(index, 1);
    return agent ?? AgentProcess.start(language, this.#stateFolder, this.#options);
  }

  giveBack(agent: AgentProcess): void {
    this.#idle.push(agent);
  }

  /** Ends all that are idle; rejects if one does not end as it should. */
  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((agent) => agent.stop()));
  }
}
