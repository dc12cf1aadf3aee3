import { type ChildProcessByStdio, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

/** Real Waku service nodes on the loopback interface, for live tests and benchmarks. */

export interface NodeOptions {
  /** Database file of the store. Default: in memory, gone with the process. */
  store?: string;
  /** Multiaddrs of nodes to connect to as relay peers. */
  peers?: readonly string[];
  /** Default: free ports. */
  tcpPort?: number;
  wsPort?: number;
  /** The node's secp256k1 key, 64 hex digits. Default: a random one. */
  nodeKey?: string;
  clusterId?: number;
  shards?: number;
  /** Further command line arguments. */
  args?: readonly string[];
  /** Default: `nodeBinary()`. */
  binary?: string;
  /** A line of its log. */
  onLog?: (line: string) => void;
}

export interface LocalNode {
  readonly peerId: string;
  readonly websocket: string;
  readonly tcp: string;
  readonly pid: number;
  /** Sends the signal; resolves when the process has ended, or at once for SIGSTOP and SIGCONT. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Ends the process the orderly way, and by force if that takes more than 5 seconds. Its whole log is read then. */
  stop(): Promise<void>;
  /** A new process with the same key, ports and store, once the old one has ended. */
  restart(): Promise<LocalNode>;
}

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;

/** WAKU_NODE_BIN, or the binary that the repository's build puts into .cache/bin. */
export function nodeBinary(): string {
  return process.env["WAKU_NODE_BIN"] ?? fileURLToPath(new URL("../../.cache/bin/waku-node", import.meta.url));
}

/** WAKU_NODE_RLN_BIN, or the binary that the repository's build puts into .cache/bin: the node that can verify RLN proofs. */
export function rlnNodeBinary(): string {
  return process.env["WAKU_NODE_RLN_BIN"] ?? fileURLToPath(new URL("../../.cache/bin/waku-node-rln", import.meta.url));
}

export async function startNode(options: NodeOptions = {}): Promise<LocalNode> {
  const binary = options.binary ?? nodeBinary();
  if (!existsSync(binary)) throw new Error(`${binary} is missing: run node scripts/setup.mjs --tests`);
  const nodeKey = options.nodeKey ?? randomBytes(32).toString("hex");
  const args = [
    ...["--tcp-port", String(options.tcpPort ?? 0), "--ws-port", String(options.wsPort ?? 0)],
    ...["--cluster-id", String(options.clusterId ?? 42), "--shards", String(options.shards ?? 8)],
    ...["--node-key", nodeKey, "--exit-on-stdin-close"],
    ...(options.store === undefined ? [] : ["--store", options.store]),
    ...(options.peers ?? []).flatMap((peer) => ["--peer", peer]),
    ...(options.args ?? []),
  ];
  // The node ends when its standard input closes, so none is left behind if this process dies.
  const child = spawn(binary, args, { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => undefined);
  if (options.onLog) createInterface(child.stderr).on("line", options.onLog);
  const ready = await firstLine(child);
  const { peerId, websocket, tcp } = JSON.parse(ready) as { peerId: string; websocket: string; tcp: string };

  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    if (hasEnded(child)) return;
    child.kill(signal);
    if (signal !== "SIGSTOP" && signal !== "SIGCONT") await once(child, "exit");
  };
  return {
    peerId,
    websocket,
    tcp,
    pid: child.pid as number,
    kill,
    async stop() {
      if (hasEnded(child)) return;
      const force = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      const ended = once(child, "close");
      child.kill("SIGCONT");
      child.stdin.end();
      await ended;
      clearTimeout(force);
    },
    async restart() {
      if (!hasEnded(child)) throw new Error("restart: the node still runs");
      return startNode({ ...options, nodeKey, tcpPort: portOf(tcp), wsPort: portOf(websocket) });
    },
  };
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** The line a node prints when it is ready. Rejects with its last words if it ends instead. */
async function firstLine(child: Child): Promise<string> {
  let complaints = "";
  child.stderr.on("data", (data) => {
    complaints = (complaints + data).slice(-2000);
  });
  const lines = createInterface(child.stdout);
  const timer = setTimeout(() => child.kill("SIGKILL"), START_TIMEOUT_MS);
  try {
    const ended = once(child, "exit").then(([code, signal]) => {
      throw new Error(`the service node ended with ${code ?? signal}: ${complaints}`);
    });
    ended.catch(() => undefined);
    const [line] = await Promise.race([once(lines, "line"), ended]);
    return line as string;
  } finally {
    clearTimeout(timer);
    lines.close();
    child.stdout.resume();
  }
}

function hasEnded(child: Child): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function portOf(address: string): number {
  return Number(/\/tcp\/(\d+)/.exec(address)?.[1]);
}
