import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

/** Where the node of `npm run node` listens, which the examples use if they are told nothing else. */
export const LOCAL_WEBSOCKET_PORT = 24201;

/** No peer id in it: whoever starts the node on this port will do. */
export function localAddress(websocketPort = LOCAL_WEBSOCKET_PORT): string {
  return `/ip4/127.0.0.1/tcp/${websocketPort}/ws`;
}

export interface ServiceNodeOptions {
  /** 0, the default: any free port. */
  websocketPort?: number;
  tcpPort?: number;
  /** SQLite file for the messages; without it they are gone with the process. */
  store?: string;
  /** How long it keeps them, such as "336h". Default: for ever. */
  retention?: string;
  /** The file of an RLN group: refuses messages without a member's proof. */
  rlnGroup?: string;
  /** How far a message's time may be from the node's clock, such as "10m"; default 20 s. */
  maxClockSkew?: string;
}

export interface ServiceNode {
  /** Multiaddr for clients. */
  readonly address: string;
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;

/** Starts a Waku service node on the loopback interface. It ends with this process, however this process ends. */
export async function startServiceNode(options: ServiceNodeOptions = {}): Promise<ServiceNode> {
  const { websocketPort = 0, tcpPort = 0, store, retention, rlnGroup, maxClockSkew } = options;
  const binary = rlnGroup ? rlnNodeBinary() : binaryOf("WAKU_NODE_BIN", "waku-node", "");
  const args = [
    ...["--ws-port", String(websocketPort), "--tcp-port", String(tcpPort)],
    ...(store ? ["--store", store] : []),
    ...(retention ? ["--store-retention", retention] : []),
    ...(rlnGroup ? ["--rln-group", rlnGroup] : []),
    ...(maxClockSkew ? ["--max-clock-skew", maxClockSkew] : []),
    ...["--exit-on-stdin-close", "--log-level", "error"],
  ];
  // A process group of its own: Ctrl-C in the terminal is for us, and we stop the node when we are done.
  const child = spawn(binary, args, { stdio: ["pipe", "pipe", "pipe"], detached: true });
  const ended = once(child, "close").then(() => {});
  child.stdin.on("error", () => {});
  try {
    const ready = await firstLine(child.stdout, child.stderr, ended);
    return { address: (JSON.parse(ready) as { websocket: string }).websocket, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }

  async function stop(): Promise<void> {
    child.stdin.end();
    const force = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await ended.catch(() => {});
    clearTimeout(force);
  }
}

/** The build of the node that can make groups and verify proofs. */
export function rlnNodeBinary(): string {
  return binaryOf("WAKU_NODE_RLN_BIN", "waku-node-rln", " --tests");
}

function binaryOf(variable: string, name: string, setupOption: string): string {
  const binary = process.env[variable] ?? fileURLToPath(new URL(`../../.cache/bin/${name}`, import.meta.url));
  if (!existsSync(binary)) throw new Error(`${binary} is missing; make it with: node scripts/setup.mjs${setupOption}`);
  return binary;
}

/** The line the node prints once it serves. Rejects with the node's last words if it ends instead. */
async function firstLine(stdout: Readable, stderr: Readable, ended: Promise<void>): Promise<string> {
  let lastWords = "";
  stderr.setEncoding("utf8").on("data", (text: string) => {
    lastWords = (lastWords + text).slice(-1000);
  });
  const lines = createInterface({ input: stdout });
  const signal = AbortSignal.timeout(START_TIMEOUT_MS);
  const failure = ended.then(() => {
    throw new Error(`the service node could not start: ${lastWords.trim()}`);
  });
  try {
    const [line] = await Promise.race([once(lines, "line", { signal }), failure]);
    return line as string;
  } finally {
    failure.catch(() => {});
    lines.close();
    stdout.resume();
  }
}
