import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeCrypto } from "@chatsdk/client";
import { Machine } from "@chatsdk/conformance/machine";
import { Program, type Took } from "./program.ts";

/** From the start of a process to its first encrypted message: with no compiled module kept from earlier, and with one. */
export interface ColdStart {
  empty: Took;
  filled: Took;
}

/** Runs of each kind; the shortest counts. */
const RUNS = 3;
/** Nothing listens there: what a transport does must not count. */
const NOBODY = { tcp: "/ip4/127.0.0.1/tcp/9", ws: "/ip4/127.0.0.1/tcp/9/ws" };
const PEER_ID = "16Uiu2HAmPLe7Mzm8TsYUubgCAW1aJoeFScxrLj8ppHFivPo97bUZ";

/** The module alone in its engine: compiled or loaded, opened, and the invite of another instance accepted. */
export function engineStart(command: readonly string[]): Promise<ColdStart> {
  return coldStart(async (folder) => {
    const program = new Program(command, environment(folder));
    await program.line();
    const took = program.took();
    await program.line();
    await program.end();
    return took;
  });
}

/** The whole SDK: an encrypted database is made, an account, and an invite accepted. */
export function agentStart(command: readonly string[]): Promise<ColdStart> {
  const link = invite();
  return coldStart(async (folder) => {
    const agent = new Program(command, environment(folder));
    const { address } = JSON.parse(await agent.line()).ready as { address: keyof typeof NOBODY };
    const storageKey = { rawKey: "42".repeat(32) };
    const path = join(mkdtempSync(join(folder, "database-")), "chat.db");
    await call(agent, "open", { path, storageKey, peers: [`${NOBODY[address]}/p2p/${PEER_ID}`] });
    const { id } = (await call(agent, "createAccount")) as { id: string };
    await call(agent, "acceptInvite", { accountId: id, link, content: { text: "x".repeat(100) } });
    const took = agent.took();
    await agent.end();
    return took;
  });
}

function invite(): string {
  const machine = new Machine("bob", nodeCrypto, { clusterId: 42 });
  const { accountId } = machine.call(Date.now(), { case: "createAccount", value: {} }, "account");
  return machine.call(Date.now(), { case: "createInvite", value: { accountId } }, "invite").link;
}

async function call(agent: Program, method: string, params: object = {}): Promise<unknown> {
  agent.write(JSON.stringify({ id: 1, method, params }));
  for (;;) {
    const line = JSON.parse(await agent.line()) as { id?: number; result?: unknown; error?: { message: string } };
    if (line.error) throw new Error(`${method}: ${line.error.message}`);
    if (line.id !== undefined) return line.result;
  }
}

async function coldStart(run: (folder: string) => Promise<Took>): Promise<ColdStart> {
  const folder = () => mkdtempSync(join(tmpdir(), "chatsdk-bench-"));
  const folders = Array.from({ length: RUNS }, folder);
  try {
    const empty = await inTurn(folders, run);
    const filled = await inTurn(folders, run);
    return { empty, filled };
  } finally {
    for (const each of folders) rmSync(each, { recursive: true });
  }
}

async function inTurn(folders: readonly string[], run: (folder: string) => Promise<Took>): Promise<Took> {
  const all: Took[] = [];
  for (const folder of folders) all.push(await run(folder));
  return { wallMs: Math.min(...all.map(({ wallMs }) => wallMs)), cpuMs: leastCpu(all) };
}

function leastCpu(all: readonly Took[]): number | undefined {
  const known = all.flatMap(({ cpuMs }) => cpuMs ?? []);
  return known.length === 0 ? undefined : Math.min(...known);
}

/** Compiled modules, the rollback anchor: all of it in a folder of its own. */
function environment(folder: string): Record<string, string> {
  return { XDG_CACHE_HOME: join(folder, "cache"), XDG_STATE_HOME: join(folder, "state") };
}
