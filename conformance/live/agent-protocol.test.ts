import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { AgentError, AgentProcess, commandOf, type Language } from "../agent/agent-process.ts";
import { Actor } from "../src/actor.ts";
import { testedLanguages, theatre } from "./support/agents.ts";

/** S4: what agent/PROTOCOL.md says about the agents themselves, so that a difference is not taken for one of the SDK. */

const stage = await theatre();

/** Runs an agent on an input that ends; what it wrote after its first line, and how it ended. */
async function run(language: Language, input: string): Promise<{ lines: string[]; end: unknown }> {
  const [command, args] = commandOf(language);
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"] });
  let output = "";
  child.stdout.on("data", (data: Buffer) => {
    output += data.toString();
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  return { lines: output.split("\n").slice(1, -1), end: code ?? signal };
}

describe.concurrent.each(testedLanguages())("the agent in %s", (language) => {
  test("S4 answers all it has read before the end of its input, in order, and exits with 0", async () => {
    const requests = Array.from({ length: 50 }, (_, i) => JSON.stringify({ id: i + 1, method: "conjure" }));
    const { lines, end } = await run(language, `${requests.join("\n")}\n`);
    expect(end).toBe(0);
    const answers = lines.map((line) => JSON.parse(line) as { id: number; error: object });
    expect(answers.map(({ id }) => id)).toEqual(requests.map((_, i) => i + 1));
    for (const { error } of answers) expect(error).toMatchObject({ code: "AGENT", retryable: false });
  });

  test.each(["this is no JSON", "[]", '{"id":1}', '{"method":"close"}'])("S4 exits with 2 after %s", async (line) => {
    expect((await run(language, `${line}\n`)).end).toBe(2);
  });

  test("S4 exits with 0 on SIGTERM, with the client closed", async () => {
    const agent = await AgentProcess.start(language, stage.newFolder());
    expect(agent.ready.language).toBe(language);
    expect(agent.ready.transports).toContain("light");
    expect(await agent.kill("SIGTERM")).toBe("0");
  });

  test("S4 knows calls that come too early, too late, or without what they need", async () => {
    const folder = stage.newFolder();
    const { pool, node } = stage;
    const alice = new Actor({ name: "alice", language, folder, pool, node, opening: {}, onLine() {} });
    const code = (method: string, params = {}) =>
      alice.call(method, params).then(
        () => "none",
        (error: unknown) => (error instanceof AgentError ? error.code : String(error)),
      );
    // As another test may have left the agent, too.
    expect(["AGENT", "CLOSED"]).toContain(await code("accounts"));
    expect(await code("close")).toBe("none");
    await alice.start();
    expect(await code("open", { path: alice.path, storageKey: { unprotected: true }, peers: [] })).toBe("AGENT");
    expect(await code("send", { conversationId: "x" })).toBe("AGENT");
    expect(await code("accounts")).toBe("none");
    const stats = (await alice.call("stats")) as { residentBytes: number };
    expect(stats.residentBytes).toBeGreaterThan(1_000_000);
    expect(await code("close")).toBe("none");
    expect(await code("accounts")).toBe("CLOSED");
    expect(await code("store", { method: "Close", request: "" })).toBe("AGENT");
    expect(await code("storeOpen", { path: `${folder}/store.db` })).toBe("none");
    expect(await code("storeOpen", { path: `${folder}/store.db` })).toBe("AGENT");
    expect(await code("store", { method: "Conjure", request: "" })).toBe("AGENT");
    expect(await code("store", { method: "CountUnread", request: "ff" })).toBe("AGENT");
    expect(await code("store", { method: "Close", request: "" })).toBe("none");
    expect(await code("store", { method: "GetHeader", request: "" })).toBe("CLOSED");
    await alice.end("stop");
  });
});
