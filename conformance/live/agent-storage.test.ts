import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { AgentPool } from "../src/agent-pool.ts";
import { AgentStorage } from "../src/agent-storage.ts";
import { storageSuite } from "../src/storage-suite.ts";
import { testedLanguages } from "./support/agents.ts";

/** F6, F7: the SQLite storage of every language passes the suite that every storage passes. */

const folder = mkdtempSync(join(tmpdir(), "chatsdk-store-"));
const pool = new AgentPool(join(folder, "state"));
let files = 0;

afterAll(async () => {
  await pool.close();
  rmSync(folder, { recursive: true, force: true });
});

for (const language of testedLanguages()) {
  storageSuite(`SQLite in ${language}`, async () => {
    const agent = await pool.take(language);
    const path = join(folder, `${++files}.db`);
    const storage = await AgentStorage.open(agent, path);
    return {
      storage,
      async reopen() {
        await storage.close();
        return AgentStorage.open(agent, path);
      },
      dispose: async () => pool.giveBack(agent),
    };
  });
}
