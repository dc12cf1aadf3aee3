import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { type LocalNode, rlnNodeBinary, startNode } from "@chatsdk/conformance/local-network";
import type { JsonObject } from "../../conformance/agent/agent-process.ts";
import { circuitFiles } from "../../bindings-ts/test/rln-support/circuit.ts";
import { EPOCH_MS, MESSAGES_PER_EPOCH } from "../shard/quota.ts";

/** The service node of a measurement, and what a client needs beside its address. */
export interface ServiceNode {
  node: LocalNode;
  /** The store's file. */
  file: string;
  /** Lines of its log that tell of trouble: refused messages among them. */
  complaints: string[];
  /** An agent's `rln`; absent without RLN. */
  membership(member: number): JsonObject | undefined;
}

/** In a folder of its own. With RLN, so many members of a new group with the network's default quota. */
export async function startServiceNode(folder: string, members: number, rln: boolean): Promise<ServiceNode> {
  const file = join(folder, "node.db");
  const complaints: string[] = [];
  const onLog = (line: string): void => {
    if (/\t(WARN|ERROR)\t/.test(line) || line.includes("refused")) complaints.push(line);
  };
  if (!rln) return { node: await startNode({ store: file, onLog }), file, complaints, membership: () => undefined };
  const group = join(folder, "group");
  const size = ["--members", `${members}`, "--limit", `${MESSAGES_PER_EPOCH}`, "--epoch", `${EPOCH_MS / 1000}`];
  execFileSync(rlnNodeBinary(), ["rln-group", ...size, "--out", group]);
  const groupFile = join(group, "group.json");
  const node = await startNode({ binary: rlnNodeBinary(), store: file, onLog, args: ["--rln-group", groupFile] });
  const circuitFolder = dirname(circuitFiles().provingKey);
  return {
    node,
    file,
    complaints,
    membership: (member) => ({ groupFile, credentialsFile: join(group, `member-${member}.json`), circuitFolder }),
  };
}
